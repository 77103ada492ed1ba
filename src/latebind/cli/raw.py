"""A verb whose command line is another tool's: click hands over every word as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.compat.command_line import Option


class RawCommand(click.Command):
    """A command with one parameter, `arguments`: the words behind the verb, ``--`` and ``--help`` among them.

    `options` gives those that the manual page and a shell's completion are to show.
    """

    def __init__(self, name: str | None, *, options: Callable[[], Sequence[Option]] | None = None, **more: Any) -> None:
        more["add_help_option"] = False
        super().__init__(name, **more)
        self._options = options

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take all words without looking at them."""
        ctx.params["arguments"] = tuple(args)
        return []

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:  # noqa: ARG002  (click's signature)
        """What there is to show: the options of the tool, and the files."""
        shown: list[click.Parameter] = []
        for option in self._options() if self._options is not None else ():
            if option.help:
                forms = [*(f"-{letter}" for letter in option.letters), *(f"--{name}" for name in option.names)]
                is_flag = option.argument.name == "NONE"
                metavar = None if is_flag else "ARG"
                shown.append(click.Option(["option", *forms], help=option.help, is_flag=is_flag, metavar=metavar))
        return [*shown, click.Argument(["files"], nargs=-1, metavar="[FILE]...")]


def usage_error(tool: str, error: Exception, usage: str | None) -> int:
    """Report a wrong command line as `tool` does, with its `usage` where it shows one; the exit status."""
    click.echo(f"{tool}: {error}", err=True)
    if usage is not None:
        click.echo(usage, err=True, nl=False)
    return 1
