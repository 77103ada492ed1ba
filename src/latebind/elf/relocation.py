"""Relocation entries (gABI, "Relocation"): the places in an object that depend on an address.

Bulk records are named tuples: a large library has hundreds of thousands, and a tuple is the cheapest immutable
record that Python has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.dynamic import (
    DT_JMPREL,
    DT_PLTREL,
    DT_PLTRELSZ,
    DT_REL,
    DT_RELA,
    DT_RELASZ,
    DT_RELR,
    DT_RELRSZ,
    DT_RELSZ,
    Dynamic,
)
from latebind.elf.relocation_names import RELOCATION_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.segment import AddressMap


class RelocationTable(NamedTuple):
    """One table of relocations: which dynamic tag names it, where it is in the file and how its entries look."""

    tag: str
    """``"RELA"``, ``"REL"``, ``"JMPREL"`` or ``"RELR"``."""
    offset: int
    size: int
    has_addend: bool


class Relocation(NamedTuple):
    """One relocation. `offset` is the virtual address that it changes; `symbol` an index, 0 for none.

    `addend` is None where it stands at the place itself (REL, RELR).
    """

    offset: int
    type: int
    symbol: int
    addend: int | None
    machine: int

    @property
    def type_name(self) -> str:
        """``"R_X86_64_GLOB_DAT"`` and so on."""
        return relocation_name(self.machine, self.type)


def relocation_name(machine: int, kind: int) -> str:
    """The psABI's name of relocation type `kind` on `machine`, or a text with both numbers."""
    return RELOCATION_NAMES.get(machine, {}).get(kind, f"type {kind} of machine {machine}")


def relocation_tables(dynamic: Dynamic, addresses: AddressMap) -> tuple[RelocationTable, ...]:
    """The file's dynamic relocation tables in the order in which a linker applies them: RELR, REL(A), JMPREL.

    Part of JMPREL may stand inside RELA (some linkers count it in DT_RELASZ); each entry is then in RELA alone.
    """
    values = dynamic.values
    tables = []
    for tag, place, length, addend in (
        ("RELR", DT_RELR, DT_RELRSZ, False),
        ("REL", DT_REL, DT_RELSZ, False),
        ("RELA", DT_RELA, DT_RELASZ, True),
        ("JMPREL", DT_JMPREL, DT_PLTRELSZ, values.get(DT_PLTREL) != DT_REL),
    ):
        size = values.get(length, 0)
        if place not in values or not size:
            continue
        start = values[place]
        if tag == "JMPREL":
            for other, other_size in ((DT_RELA, DT_RELASZ), (DT_REL, DT_RELSZ)):
                end = values.get(other, 0) + values.get(other_size, 0)
                if other in values and values[other] <= start < end:
                    start, size = end, start + size - end
            if size <= 0:
                continue
        tables.append(RelocationTable(tag, addresses.offset(start, f"DT_{tag}"), size, addend))
    return tuple(tables)


def read_relocations(source: ByteSource, table: RelocationTable, machine: int, relative: int) -> Iterator[Relocation]:
    """The entries of one table. `relative` is the machine's RELATIVE type, which RELR's entries stand for."""
    if table.tag == "RELR":
        yield from _relr(source, table, machine, relative)
        return
    if source.is64:
        layout, size, shift, mask = ("QQq", 24, 32, 0xFFFFFFFF) if table.has_addend else ("QQ", 16, 32, 0xFFFFFFFF)
    else:
        layout, size, shift, mask = ("IIi", 12, 8, 0xFF) if table.has_addend else ("II", 8, 8, 0xFF)
    rows = source.records(layout, table.offset, table.size // size, f"DT_{table.tag} table")
    if table.has_addend:
        for offset, info, addend in rows:
            yield Relocation(offset, info & mask, info >> shift, addend, machine)
    else:
        for offset, info in rows:
            yield Relocation(offset, info & mask, info >> shift, None, machine)


def _relr(source: ByteSource, table: RelocationTable, machine: int, relative: int) -> Iterator[Relocation]:
    """RELR (gABI, "Relative relocation"): an even word is an address, an odd one a bitmap of the words after it."""
    word, layout = (8, "Q") if source.is64 else (4, "I")
    where = 0
    for (entry,) in source.records(layout, table.offset, table.size // word, "DT_RELR table"):
        if entry & 1 == 0:
            yield Relocation(entry, relative, 0, None, machine)
            where = entry + word
            continue
        for bit in range(word * 8 - 1):
            if entry >> (bit + 1) & 1:
                yield Relocation(where + bit * word, relative, 0, None, machine)
        where += (word * 8 - 1) * word


RELATIVE_TYPES = {62: 8, 3: 8, 183: 1027, 40: 23, 243: 3, 21: 22, 22: 12, 8: 3, 258: 3}
"""`e_machine` → the number of its RELATIVE relocation."""
