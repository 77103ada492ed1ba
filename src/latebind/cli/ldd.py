"""`latebind ldd`: what would be loaded, as glibc's ldd prints it."""

from __future__ import annotations

import os
import sys

import click


@click.command(epilog="The output and the exit status are those of glibc 2.36's ldd, but for the addresses.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--verbose", "-v", is_flag=True, help="The versions that each object needs, and where they are.")
def command(files: tuple[str, ...], verbose: bool) -> int:  # noqa: FBT001  (click passes options by keyword)
    """Show the libraries that each FILE would load, as ldd does; unlike ldd this never executes anything."""
    from latebind.compat.ldd import ldd
    from latebind.compat.output import Output

    output = Output("ldd", sys.stdout.buffer, sys.stderr.buffer)
    if not files:
        output.complain("missing file arguments")
        output.message("Try `ldd --help' for more information.")
        return 1
    return ldd(files, output, os.environ, verbose=verbose)
