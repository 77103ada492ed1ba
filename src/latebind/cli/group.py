"""The group of all verbs: names and one line each, so that `--help` imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from latebind import __version__
from latebind.cli.boundary import INTERRUPTED

VERBS: Final = {
    # verb: (module in this package, what it does)
    "inspect": ("inspect", "What is in an ELF file: header, segments, dynamic section, symbols, relocations."),
    "deps": ("deps", "What would be loaded, from where, and why."),
    "explain": ("explain", "Which definition each reference binds to, and why."),
    "audit": ("audit", "What it could do: capabilities implied by imports, raw system calls."),
    "abi": ("abi", "Whether a new build of a library still serves what was linked with the old."),
    "plan": ("plan", "A whole plan as text or document, and what differs between two."),
    "cache": ("cache", "The kept plans: list, verify, clear."),
    "nm": ("nm", "The symbols, as nm prints them."),
    "objdump": ("objdump", "Private headers, dynamic symbols and relocations, as objdump prints them."),
    "ldd": ("ldd", "The libraries that would be loaded, as ldd prints them; nothing is executed."),
    "shell": ("shell", "Call any function of any library, line by line."),
    "plugin": ("plugin", "Write, check, list, show, try, sign and install plugins."),
    "contract": ("contract", "Headers for plugins, JSON Schema and pages of a contract; what a change of it breaks."),
    "readelf": ("readelf", "What is in ELF files, as GNU readelf prints it."),
    "man": ("man", "Print the manual page."),
    "completion": ("completion", "Print the completion script for bash, zsh or fish."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: `latebind.cli.<module>.command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """The verbs, in the order of a person's questions."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the verb, or None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"latebind.cli.{VERBS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with near misses for a verb that does not exist."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The verbs with their lines from VERBS: click would import each to ask it."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="latebind", message="%(prog)s %(version)s")
def latebind() -> None:
    """A dynamic linker and native-plugin host: look into files, plan what loading them does, load and call them."""


def call(arguments: list[str] | None = None) -> object:
    """Call the verb that `arguments` (default: the process's) name. What click has to say ends here.

    To be called inside `boundary.guarded`.
    """
    try:
        return latebind.main(arguments, prog_name="latebind", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
