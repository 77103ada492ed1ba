"""`nm -l`: where each symbol is defined, or for an undefined one where it is first referred to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.symbol_kind import ABSOLUTE
from latebind.elf.section import SHF_EXECINSTR, SHT_RELA
from latebind.elf.symbol_rows import byte_text
from latebind.errors import MalformedElf
from latebind.linkplan.source_lines import source_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.compat.bfd import BfdFile, SymbolEntry
    from latebind.linkplan.source_lines import Place, SourceLines

_CODE: Final = frozenset("tTWi")
"""The letters of symbols that can be code: only for these the line table is asked."""


def line_finder(file: BfdFile, *, dynamic: bool) -> Callable[[SymbolEntry], str]:
    """What stands behind each symbol: a tabulator, file and line, or nothing where they are not known."""
    try:
        lines = source_lines(file.elf)
        references = {} if dynamic or file.linked or lines is None else _references(file)
    except MalformedElf:
        lines, references = None, {}
    if lines is None:
        return lambda _: ""
    found = lines

    def text(symbol: SymbolEntry) -> str:
        place = _place(symbol, found, references)
        return "" if place is None or not place.line else f"\t{byte_text(place.file)}:{place.line}"

    return text


def _place(symbol: SymbolEntry, lines: SourceLines, references: dict[str, tuple[int, int]]) -> Place | None:
    name, value, _, kind, _, _ = symbol
    if kind.undefined:
        at = references.get(name)
        return None if at is None else lines.at(*at)
    if kind.debugging or kind.common or kind.section == ABSOLUTE:
        return None
    found = lines.declared(name, value, kind.span[0])
    return lines.at(value, kind.span[0]) if found is None and kind.letter in _CODE else found


def _references(file: BfdFile) -> dict[str, tuple[int, int]]:
    """Undefined symbol → the offset and the section of the code that first refers to it, in a relocatable file."""
    symbols = list(file.symbols(dynamic=False))
    found: dict[str, tuple[int, int]] = {}
    shift = 32 if file.elf.source.is64 else 8
    for section in file.bfd_sections:
        if not section.flags & SHF_EXECINSTR:
            continue
        for table in file.relocations_of(section):
            layout = "QQ" if file.elf.source.is64 else "II"
            layout += ("q" if file.elf.source.is64 else "i") if table.type == SHT_RELA else ""
            if not table.entsize:
                continue
            for row in file.elf.source.records(layout, table.offset, table.size // table.entsize, "relocation table"):
                index = row[1] >> shift
                if 0 < index <= len(symbols) and symbols[index - 1][3].undefined:
                    found.setdefault(symbols[index - 1][0], (row[0], section.index))
    return found
