"""`latebind nm`: the symbols of files, as GNU nm prints them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from latebind.compat.nm import Order


@click.command(epilog="The output and the exit status are those of GNU nm 2.40: the number of files not read.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--dynamic", "-D", is_flag=True, help="The dynamic symbols instead of the static ones.")
@click.option("--debug-syms", "-a", "debugging", is_flag=True, help="Section and file symbols too.")
@click.option("--extern-only", "-g", "external_only", is_flag=True, help="Only external symbols.")
@click.option("--undefined-only", "-u", "shown", flag_value="undefined_only", help="Only undefined symbols.")
@click.option("--defined-only", "-U", "shown", flag_value="defined_only", help="Only defined symbols.")
@click.option("--no-weak", "-W", is_flag=True, help="No weak symbols.")
@click.option("--numeric-sort", "-n", "-v", "order", flag_value="address", help="Sort by address.")
@click.option("--size-sort", "order", flag_value="size", help="Sort by size.")
@click.option("--no-sort", "-p", "order", flag_value="none", help="Do not sort.")
@click.option("--reverse-sort", "-r", "reverse", is_flag=True, help="Sort the other way round.")
@click.option("--print-size", "-S", is_flag=True, help="The size too.")
@click.option("--print-file-name", "-A", "-o", "file_names", is_flag=True, help="The file's name before each symbol.")
@click.option("--portability", "-P", "style", flag_value="posix", help="The same as --format=posix.")
@click.option("--just-symbols", "-j", "style", flag_value="just-symbols", help="Names alone.")
@click.option("-B", "style", flag_value="bsd", help="The same as --format=bsd.")
@click.option("--format", "-f", "style", type=click.Choice(["bsd", "posix", "sysv", "just-symbols"]), default="bsd")
@click.option("--radix", "-t", type=click.Choice(["x", "d", "o"]), default="x", help="The base of numbers.")
@click.option("--print-armap", "-s", "armap", is_flag=True, help="The symbol index of an archive too.")
@click.option("--quiet", is_flag=True, help='Do not say "no symbols".')
@click.option("--with-symbol-versions/--without-symbol-versions", "versions", default=True, help="name@VERSION.")
def command(files: tuple[str, ...], shown: str | None, order: Order | None, **options: Any) -> int:
    """List the symbols of each FILE (default: a.out), as nm does."""
    from latebind.compat.nm import NmOptions, nm
    from latebind.compat.output import Output

    if shown is not None:
        options[shown] = True
    output = Output("nm", sys.stdout.buffer, sys.stderr.buffer)
    return nm(files or ("a.out",), NmOptions(order=order or "name", **options), output)
