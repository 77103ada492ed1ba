"""`latebind completion SHELL`: the script that teaches a shell to complete latebind's verbs, options and files."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(latebind completion bash)"
    zsh:   eval "$(latebind completion zsh)"
    fish:  latebind completion fish | source
    """
    from click.shell_completion import get_completion_class

    from latebind.cli.group import latebind

    made = get_completion_class(shell)
    assert made is not None, "click knows the shells that the argument allows"
    click.echo(made(latebind, {}, "latebind", "_LATEBIND_COMPLETE").source())
