"""`latebind ldd`: what would be loaded, as glibc's ldd prints it.

The command line is that of ldd, whose long options may be abbreviated and whose options end at the first file; click
hands it over as it is.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from latebind.cli.raw import RawCommand

if TYPE_CHECKING:
    from latebind.compat.output import Output

_OPTIONS: Final = {
    "help": "print this help and exit",
    "version": "print version information and exit",
    "data-relocs": "process data relocations",
    "function-relocs": "process data and function relocations",
    "unused": "print unused direct dependencies",
    "verbose": "print all information",
}
_LETTERS: Final = {"-d": "data-relocs", "-r": "function-relocs", "-u": "unused", "-v": "verbose"}


@click.command(cls=RawCommand)
def command(arguments: tuple[str, ...]) -> int:
    """Show the libraries that files would load, as ldd does; unlike ldd this never executes anything."""
    from latebind.compat.ldd import LddOptions, ldd
    from latebind.compat.output import Output

    output = Output("ldd", sys.stdout.buffer, sys.stderr.buffer)
    chosen: set[str] = set()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        argument = rest.pop(0)
        if argument == "--":
            break
        option = _LETTERS.get(argument) or _long(argument, output)
        if option is None:
            return 1
        if option in {"help", "version"}:
            click.echo(_usage() if option == "help" else _version(), nl=False)
            return 0
        chosen.add(option)
    if not rest:
        output.complain("missing file arguments")
        output.message("Try `ldd --help' for more information.")
        return 1
    options = LddOptions(
        verbose="verbose" in chosen,
        relocate=bool(chosen & {"data-relocs", "function-relocs"}),
        bind_now="function-relocs" in chosen,
        unused="unused" in chosen,
    )
    return ldd(rest, output, os.environ, options)


def _long(argument: str, output: Output) -> str | None:
    """The option that `argument` abbreviates; None, with a message, for none or several."""
    matches = [name for name in _OPTIONS if argument.startswith("--") and name.startswith(argument[2:])]
    if len(matches) == 1:
        return matches[0]
    if matches:
        output.complain(f"option `{argument}' is ambiguous")
    else:
        output.complain(f"unrecognized option `{argument}'")
        output.message("Try `ldd --help' for more information.")
    return None


def _usage() -> str:
    lines = ["Usage: latebind ldd [OPTION]... FILE..."]
    for name, text in _OPTIONS.items():
        letter = next((f"{short}, " for short, long in _LETTERS.items() if long == name), "    ")
        lines.append(f"  {letter}--{name:<20}{text}")
    lines.append("\nThe output and the exit status are those of glibc 2.36's ldd, but for the addresses.")
    return "\n".join(lines) + "\n"


def _version() -> str:
    from latebind import __version__

    return f"latebind ldd {__version__}, prints what glibc 2.36's ldd prints\n"
