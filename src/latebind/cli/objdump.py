"""`latebind objdump`: headers, symbols, relocations and contents, as GNU objdump prints them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from latebind.cli.raw import RawCommand, usage_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.compat.command_line import Option


def _options() -> Sequence[Option]:
    from latebind.compat.objdump_options import OPTIONS

    return OPTIONS


@click.command(cls=RawCommand, options=_options)
def command(arguments: tuple[str, ...]) -> int:
    """Show the asked-for parts of each FILE (default: a.out), as objdump does.

    The output and the exit status are those of GNU objdump 2.40.
    """
    from latebind.compat.command_line import UsageError, usage
    from latebind.compat.objdump import objdump
    from latebind.compat.objdump_options import parse_objdump
    from latebind.compat.output import Output

    head = [
        "Usage: latebind objdump OPTION... [FILE]...",
        "",
        "Show parts of files (default: a.out), as GNU objdump does. At least one of -a -f -p -h -x -s -t -T -r -R:",
        "",
    ]
    try:
        options, files, instead = parse_objdump(arguments)
    except UsageError as error:
        return usage_error("objdump", error, usage(head, _options()) if error.show_usage else None)
    if instead == "help":
        click.echo(usage(head, _options()), nl=False)
        return 0
    if instead == "version":
        from latebind import __version__

        click.echo(f"latebind objdump {__version__}, prints what GNU objdump 2.40 prints")
        return 0
    if not options.any_part:
        click.echo(usage(head, _options()), err=True, nl=False)
        return 2
    return objdump(files or ("a.out",), options, Output("objdump", sys.stdout.buffer, sys.stderr.buffer))
