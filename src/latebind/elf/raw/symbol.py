"""Rows of a symbol table (gABI, "Symbol Table"), in one order for both classes.

A large program has hundreds of thousands of symbols, so a row is a plain tuple, not an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

SYMBOL_SIZE = {True: 24, False: 16}
"""Bytes of one entry, by whether the file is of the 64-bit class."""


class SymbolRow(NamedTuple):
    """One symbol: `name` is an offset in the string table, `section` a section index or an SHN_ constant."""

    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


Row = tuple[int, int, int, int, int, int]
"""The same without the names of the fields; `SymbolRow(*row)` has them."""


def read_symbol_rows(source: ByteSource, offset: int, count: int) -> list[Row]:
    """`count` symbols from `offset` on; raises `MalformedElf` where they are not all in the file."""
    if source.is64:
        return list(source.records("IBBHQQ", offset, count, "symbols"))  # type: ignore[arg-type]  # six fields
    return [
        (name, info, other, section, value, size)
        for name, value, size, info, other, section in source.records("IIIBBH", offset, count, "symbols")
    ]


def with_extended_sections(rows: list[Row], indexes: list[int]) -> list[Row]:
    """The rows with section indexes beyond 16 bits filled in from SHT_SYMTAB_SHNDX (gABI, "Sections", SHN_XINDEX).

    Then every number can be a section's; SHN_ABS and the other reserved ones move to the end of the 32 bits.
    """
    found = []
    for row, index in zip(rows, indexes, strict=False):  # the index table may be longer
        if row[3] == 0xFFFF:
            found.append((row[0], row[1], row[2], index, row[4], row[5]))
        elif row[3] >= 0xFF00:
            found.append((row[0], row[1], row[2], row[3] + 0xFFFF0000, row[4], row[5]))
        else:
            found.append(row)
    return found
