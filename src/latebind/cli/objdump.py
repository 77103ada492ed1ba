"""`latebind objdump`: private headers, dynamic symbols and relocations, as GNU objdump prints them."""

from __future__ import annotations

import sys

import click


@click.command(epilog="The output and the exit status are those of GNU objdump 2.40.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--private-headers", "-p", is_flag=True, help="Segments, dynamic section, versions.")
@click.option("--dynamic-syms", "-T", "dynamic_symbols", is_flag=True, help="The dynamic symbols.")
@click.option("--dynamic-reloc", "-R", "dynamic_relocations", is_flag=True, help="The dynamic relocations.")
@click.pass_context
def command(
    context: click.Context,
    files: tuple[str, ...],
    private_headers: bool,  # noqa: FBT001  (click passes options by keyword)
    dynamic_symbols: bool,  # noqa: FBT001
    dynamic_relocations: bool,  # noqa: FBT001
) -> int:
    """Show the asked-for parts of each FILE (default: a.out), as objdump does."""
    from latebind.compat.objdump import ObjdumpOptions, objdump
    from latebind.compat.output import Output

    if not (private_headers or dynamic_symbols or dynamic_relocations):
        raise click.UsageError("at least one of -p, -T and -R must be given", context)
    options = ObjdumpOptions(private_headers, dynamic_symbols, dynamic_relocations)
    return objdump(files or ("a.out",), options, Output("objdump", sys.stdout.buffer, sys.stderr.buffer))
