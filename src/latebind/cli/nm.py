"""`latebind nm`: the symbols of files, as GNU nm prints them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from latebind.cli.raw import RawCommand, usage_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.compat.command_line import Option


def _options() -> Sequence[Option]:
    from latebind.compat.nm_options import OPTIONS

    return OPTIONS


@click.command(cls=RawCommand, options=_options)
def command(arguments: tuple[str, ...]) -> int:
    """List the symbols of each FILE (default: a.out), as nm does.

    The output and the exit status are those of GNU nm 2.40: the number of files that could not be read.
    """
    from latebind.compat.command_line import UsageError, usage
    from latebind.compat.nm import nm
    from latebind.compat.nm_options import parse_nm
    from latebind.compat.output import Output

    head = [
        "Usage: latebind nm [OPTION]... [FILE]...",
        "",
        "List the symbols of files (default: a.out), as GNU nm does.",
        "",
    ]
    try:
        options, files, instead = parse_nm(arguments)
    except UsageError as error:
        return usage_error("nm", error, usage(head, _options()) if error.show_usage else None)
    if instead == "help":
        click.echo(usage(head, _options()), nl=False)
        return 0
    if instead == "version":
        from latebind import __version__

        click.echo(f"latebind nm {__version__}, prints what GNU nm 2.40 prints")
        return 0
    return nm(files or ("a.out",), options, Output("nm", sys.stdout.buffer, sys.stderr.buffer))
