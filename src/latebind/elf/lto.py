"""The symbol table that GCC leaves for a linker's plugin in an object of link-time optimisation (``-flto``).

Such an object holds the compiler's intermediate form; which symbols it defines stands in sections of their own
(GCC's lto-plugin.c, `translate` and `parse_symtab_extension`; include/plugin-api.h of binutils).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.section import Section

_TABLE: Final = ".gnu.lto_.symtab."
_EXTENSION: Final = ".gnu.lto_.ext_symtab."
_TAIL: Final = 14  # bytes behind the two strings of an entry: kind, visibility, size (8), slot (4)


class LtoDefinition(IntEnum):
    """What the object does with a symbol."""

    DEFINED = 0
    WEAK = 1
    UNDEFINED = 2
    WEAK_UNDEFINED = 3
    COMMON = 4


class LtoSymbol(NamedTuple):
    """One symbol. `name` is byte text; `variable` and `zeroed` say that it is data, and data of .bss."""

    name: str
    definition: LtoDefinition
    variable: bool
    zeroed: bool


def read_lto_symbols(source: ByteSource, sections: tuple[Section, ...]) -> tuple[LtoSymbol, ...] | None:
    """The symbols of all such tables, in file order; None where the object has none.

    Raises `MalformedElf` where a table is cut off or says something unknown.
    """
    tables = [s for s in sections if s.name.startswith(_TABLE)]
    if not tables:
        return None
    extensions = {s.name.removeprefix(_EXTENSION): s for s in sections if s.name.startswith(_EXTENSION)}
    return tuple(
        symbol for table in tables for symbol in _table(source, table, extensions.get(table.name.removeprefix(_TABLE)))
    )


def _table(source: ByteSource, table: Section, extension: Section | None) -> Iterator[LtoSymbol]:
    data = source.take(table.offset, table.size, "table of LTO symbols")
    # A byte for its version, then for each symbol its type (2 is a variable) and its section (1 is .bss).
    more = source.take(extension.offset, extension.size, "extension of the LTO symbols")[1:] if extension else b""
    at = number = 0
    while at < len(data):
        name_end = data.find(b"\0", at)
        comdat_end = data.find(b"\0", name_end + 1)
        if name_end < 0 or comdat_end < 0 or comdat_end + _TAIL >= len(data):
            raise source.malformed("the table of LTO symbols is cut off", table.offset + at)
        kind = data[comdat_end + 1]
        if kind > LtoDefinition.COMMON:
            raise source.malformed(f"unknown kind {kind} of an LTO symbol", table.offset + comdat_end + 1)
        facts = more[2 * number : 2 * number + 2]
        yield LtoSymbol(
            data[at:name_end].decode("latin-1"), LtoDefinition(kind), facts[:1] == b"\2", facts[1:] == b"\1"
        )
        at = comdat_end + 1 + _TAIL
        number += 1
