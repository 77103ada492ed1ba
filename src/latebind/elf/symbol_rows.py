"""Symbol tables in bulk: plain tuples and text that is still bytes, for tools that print a whole table.

`Symbol` (symbol.py) is what people and other modules read; a listing of half a million symbols wants neither an
object nor a decoded name for each. Names are therefore kept as *byte text*: a `str` with one character per byte
(Latin-1), which formats and sorts as the bytes do and is written back with the same codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.elf.section import SHT_SYMTAB_SHNDX
from latebind.elf.version import VER_NDX_LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.section import Section

_LEAST_ALLOWANCE, _ALLOWANCE_FACTOR = 1 << 26, 64

SymbolRow = tuple[int, int, int, int, int, int]
"""(st_name, st_info, st_other, st_shndx, st_value, st_size), in this order for both classes."""


def byte_text(name: str) -> str:
    """A name that was decoded as UTF-8 with surrogateescape, as byte text."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("latin-1")


class ByteStrings:
    """The string table in `section`, whose strings are byte text. One that lies outside the table is None.

    Strings may share their ends, and in a hostile table every offset is the start of another long one: what is taken
    out in all is bounded. Raises `MalformedElf` beyond that, and where the table is not in the file.
    """

    __slots__ = ("_allowance", "_malformed", "_text")

    def __init__(self, source: ByteSource, section: Section) -> None:
        self._text = source.take(section.offset, section.size, "string table").decode("latin-1")
        self._allowance = _LEAST_ALLOWANCE + _ALLOWANCE_FACTOR * section.size
        self._malformed = source.malformed("the strings of its string table overlap too much", section.offset)

    def __getitem__(self, index: int) -> str | None:
        text = self._text
        end = text.find("\0", index)
        if end < 0:
            return None
        self._allowance -= end - index
        if self._allowance < 0:
            raise self._malformed
        return text[index:end]


def read_rows(source: ByteSource, table: Section) -> list[SymbolRow]:
    """Every entry of a SHT_SYMTAB or SHT_DYNSYM section, symbol 0 included.

    Raises `MalformedElf` where the table is not in the file.
    """
    if source.is64:
        return list(source.records("IBBHQQ", table.offset, table.size // 24, "symbol table"))  # type: ignore[arg-type]
    rows = source.records("IIIBBH", table.offset, table.size // 16, "symbol table")
    return [(name, info, other, section, value, size) for name, value, size, info, other, section in rows]


def read_extended_indexes(source: ByteSource, table: Section, sections: tuple[Section, ...]) -> tuple[int, ...]:
    """The section indexes of the SHT_SYMTAB_SHNDX section that belongs to `table`; empty without one."""
    for section in sections:
        if section.type == SHT_SYMTAB_SHNDX and section.link == table.index:
            rows = source.records("I", section.offset, section.size // 4, "extended section indexes")
            return tuple(row[0] for row in rows)
    return ()


def read_version_indexes(source: ByteSource, versym: Section | None, count: int) -> Iterator[int]:
    """The Versym entry of each of `count` symbols, with the hidden bit; 0 for all without a `versym` section."""
    if versym is None:
        return iter([VER_NDX_LOCAL] * count)
    return (row[0] for row in source.records("H", versym.offset, count, "version indexes"))
