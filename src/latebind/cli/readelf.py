"""`latebind readelf`: what is in ELF files, as GNU readelf prints it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.raw import RawCommand, usage_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.compat.command_line import Option


def _options() -> Sequence[Option]:
    from latebind.compat.readelf_options import OPTIONS

    return OPTIONS


@click.command(cls=RawCommand, options=_options)
def command(arguments: tuple[str, ...]) -> int:
    """Show what is in ELF files, as GNU readelf does.

    The output and the exit status are those of GNU readelf 2.40.
    """
    from latebind.compat.command_line import UsageError, usage
    from latebind.compat.readelf_options import HEAD, OPTIONS, parse

    try:
        options = parse(arguments)
    except UsageError as error:
        return usage_error("readelf", error, usage(HEAD, OPTIONS) if error.show_usage else None)
    if options.help:
        click.echo(usage(HEAD, OPTIONS), nl=False)
        return SUCCESS
    if options.version:
        from latebind import __version__

        click.echo(f"latebind readelf {__version__}, prints what GNU readelf 2.40 prints")
        return SUCCESS
    if not options.any_table or not options.files:
        if options.any_table:
            click.echo("readelf: Warning: Nothing to do.", err=True)
        click.echo(usage(HEAD, OPTIONS), err=True, nl=False)
        return FINDING
    from latebind.compat.output import Output
    from latebind.compat.readelf import show_files

    sys.stdout.flush()
    out = Output("readelf", sys.stdout.buffer, sys.stderr.buffer)
    return SUCCESS if show_files(options, out) else FINDING
