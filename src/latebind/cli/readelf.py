"""`latebind readelf`: what is in ELF files, as GNU readelf prints it.

The command line is readelf's own, so click hands it over as it is.
"""

from __future__ import annotations

import sys
from getopt import GetoptError

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.raw import RawCommand


@click.command(cls=RawCommand)
def command(arguments: tuple[str, ...]) -> int:
    """Show what is in ELF files, as GNU readelf does."""
    from latebind.compat.readelf_options import parse, usage

    try:
        options = parse(arguments)
    except GetoptError as error:
        click.echo(f"readelf: {error.msg}\n{usage()}", err=True, nl=False)
        return FINDING
    if options.help:
        click.echo(usage(), nl=False)
        return SUCCESS
    if options.version:
        from latebind import __version__

        click.echo(f"latebind readelf {__version__}, prints what GNU readelf 2.40 prints")
        return SUCCESS
    if not options.any_table or not options.files:
        if options.any_table:
            click.echo("readelf: Warning: Nothing to do.", err=True)
        click.echo(usage(), err=True, nl=False)
        return FINDING
    from latebind.compat.output import Output
    from latebind.compat.readelf import show_files

    sys.stdout.flush()
    out = Output("readelf", sys.stdout.buffer, sys.stderr.buffer)
    return SUCCESS if show_files(options, out) else FINDING
