"""`latebind inspect`: what is in an ELF file, table by table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from latebind.cli.files import for_each, open_file, print_document, print_lines
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from latebind.elf import Elf
    from latebind.view.look import Look

# One option for each of view.inspect.TABLES; named here so that --help imports nothing.
_TABLES: Final = {
    "header": "What kind of file it is.",
    "segments": "The program headers.",
    "sections": "The section headers.",
    "dynamic": "The dynamic section.",
    "symbols": "The dynamic symbols with their versions.",
    "relocations": "The dynamic relocations.",
    "versions": "The versions that it defines and needs.",
    "notes": "The notes.",
}
_SHOWN_FIRST: Final = ("header", "segments", "dynamic")


def _table_options(function: Callable[..., int]) -> Callable[..., int]:
    for name, text in reversed(_TABLES.items()):
        function = click.option(f"--{name}", "tables", flag_value=name, multiple=True, help=text)(function)
    return function


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_table_options
@click.option("--all", "everything", is_flag=True, help="All of these.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each FILE.")
@look_options
def command(
    files: tuple[str, ...],
    tables: tuple[str, ...],
    everything: bool,  # noqa: FBT001  (click passes options by keyword)
    as_json: bool,  # noqa: FBT001
    look: Look,
) -> int:
    """Show what is in each ELF FILE: header, segments and dynamic section, or the tables that are asked for."""
    from latebind.search import Files
    from latebind.view import inspect

    known = Files()

    chosen = tuple(_TABLES) if everything else tuple(name for name in _TABLES if name in tables) or _SHOWN_FIRST

    def report(file: str) -> bool:
        found = open_file(file, known)
        if as_json:
            print_document(inspect.document(found, chosen))
        else:
            print_lines(_text(found, chosen, inspect.TABLES, look))
        return True

    return for_each(files, report)


def _text(
    elf: Elf, chosen: tuple[str, ...], tables: dict[str, Callable[[Elf, Look], Iterator[str]]], look: Look
) -> Iterator[str]:
    yield look.paint("head", elf.path)
    for name in chosen:
        lines = list(tables[name](elf, look))
        if name != "header":
            yield ""
            yield f"{name}: {len(lines) - 1}" if lines else f"no {name}"
        yield from (f"  {line}" for line in lines)
