"""Relocation entries (gABI, "Relocation"): the places in an object that depend on an address.

A large library has hundreds of thousands: they are read and kept column by column, as symbols are (table.py).
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.dynamic import (
    DT_ANDROID_REL,
    DT_ANDROID_RELA,
    DT_ANDROID_RELASZ,
    DT_ANDROID_RELR,
    DT_ANDROID_RELRSZ,
    DT_ANDROID_RELSZ,
    DT_CREL,
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
from latebind.elf.packed_relocation import read_aps2, read_crel
from latebind.elf.relocation_names import relocation_names
from latebind.elf.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.segment import AddressMap

_EM_MIPS, _EM_SPARCV9 = 8, 43


class RelocationTable(NamedTuple):
    """One table of relocations: which dynamic tag names it, where it is in the file and how its entries look."""

    tag: str
    """``"RELA"``, ``"REL"``, ``"JMPREL"``, ``"RELR"``; packed: ``"ANDROID_REL"``, ``"ANDROID_RELA"``, ``"CREL"``."""
    offset: int
    size: int
    has_addend: bool


class Relocation(NamedTuple):
    """One relocation. `offset` is the virtual address that it changes; `symbol` an index, 0 for none.

    In a relocatable file `offset` counts from the start of the section. `addend` is None where it stands at the place
    itself (REL, RELR). On 64-bit MIPS `type` holds up to three types, the first in its lowest byte.
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


@lru_cache(maxsize=1024)
def relocation_name(machine: int, kind: int) -> str:
    """The psABI's name of relocation type `kind` on `machine`, or a text with both numbers.

    The three types of a 64-bit MIPS relocation are joined: ``"R_MIPS_REL32/R_MIPS_64"``.
    """
    names = relocation_names(machine)
    if machine == _EM_MIPS and kind > 0xFF:
        kinds = (kind & 0xFF, kind >> 8 & 0xFF, kind >> 16 & 0xFF)
        return "/".join(names.get(k, f"type {k} of machine {machine}") for k in kinds if k)
    if machine == _EM_SPARCV9:  # the upper 24 bits are data of R_SPARC_OLO10
        names, kind = relocation_names(2), kind & 0xFF
    return names.get(kind, f"type {kind} of machine {machine}")


def relocation_tables(dynamic: Dynamic, addresses: AddressMap) -> tuple[RelocationTable, ...]:
    """The file's dynamic relocation tables in the order in which a linker applies them: RELR, REL(A), JMPREL.

    Part of JMPREL may stand inside RELA (some linkers count it in DT_RELASZ); each entry is then in RELA alone.
    """
    values = dynamic.values
    tables = []
    for tag, place, length, addend in (
        ("RELR", DT_RELR, DT_RELRSZ, False),
        ("RELR", DT_ANDROID_RELR, DT_ANDROID_RELRSZ, False),
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


def packed_relocation_tables(dynamic: Dynamic, addresses: AddressMap) -> tuple[RelocationTable, ...]:
    """The file's packed dynamic relocation tables: Android's, and CREL."""
    values = dynamic.values
    tables = [
        RelocationTable(tag, addresses.offset(values[place], f"DT_{tag}"), values[length], tag == "ANDROID_RELA")
        for tag, place, length in (
            ("ANDROID_REL", DT_ANDROID_REL, DT_ANDROID_RELSZ),
            ("ANDROID_RELA", DT_ANDROID_RELA, DT_ANDROID_RELASZ),
        )
        if place in values and values.get(length)
    ]
    if DT_CREL in values:  # its header says how many entries there are; no tag says how many bytes
        start = values[DT_CREL]
        tables.append(
            RelocationTable("CREL", addresses.offset(start, "DT_CREL"), addresses.room(start), has_addend=True)
        )
    return tuple(tables)


def read_relocations(source: ByteSource, table: RelocationTable, machine: int, relative: int) -> Table[Relocation]:
    """The entries of one table. `relative` is the machine's RELATIVE type, which RELR's entries stand for."""
    what = f"{table.tag} relocation table"
    source.view(table.offset, table.size, what)
    source.spend("relocation tables", table.size, table.offset)
    columns: tuple[Sequence[int | None], ...]
    if table.tag == "RELR":
        places = _relr(source, table)
        columns = (places, [relative] * len(places), [0] * len(places), [None] * len(places))
    elif table.tag == "CREL":
        columns = read_crel(source, table.offset, table.size, what)
    elif table.tag.startswith("ANDROID_"):
        shift, mask = (32, 0xFFFFFFFF) if source.is64 else (8, 0xFF)
        places, info, found = read_aps2(source, table.offset, table.size, what)
        addends = found if table.has_addend else [None] * len(found)
        columns = (places, [i & mask for i in info], [i >> shift for i in info], addends)
    else:
        columns = _columns64(source, table, machine, what) if source.is64 else _columns32(source, table, what)
    return Table(Relocation, (*columns, [machine] * len(columns[0])))


def _columns64(source: ByteSource, table: RelocationTable, machine: int, what: str) -> tuple[Sequence[int | None], ...]:
    """Places, types, symbols and addends of an Elf64_Rel or Elf64_Rela table."""
    fields = 3 if table.has_addend else 2
    count = table.size // (8 * fields)
    longs = source.numbers(table.offset, count * fields, 8, what)
    words = source.numbers(table.offset, count * fields * 2, 4, what)
    first, second = words[2 :: 2 * fields], words[3 :: 2 * fields]  # the two halves of r_info, in file order
    types: Sequence[int]
    types, symbols = (first, second) if source.little else (second, first)
    if machine == _EM_MIPS:
        # mips64el does not store r_info as one number: the symbol comes first, then four bytes, the type last.
        types, symbols = second, first
        if source.little:
            types = second[:]
            types.byteswap()
        types = [t & 0xFFFFFF for t in types]  # the highest byte is the symbol of the second type
    addends = _signed("q", longs[2::3]) if table.has_addend else [None] * count
    return longs[0::fields], types, symbols, addends


def _columns32(source: ByteSource, table: RelocationTable, what: str) -> tuple[Sequence[int | None], ...]:
    """Places, types, symbols and addends of an Elf32_Rel or Elf32_Rela table."""
    fields = 3 if table.has_addend else 2
    count = table.size // (4 * fields)
    words = source.numbers(table.offset, count * fields, 4, what)
    info = words[1::fields]
    addends = _signed("i", words[2::3]) if table.has_addend else [None] * count
    return words[0::fields], bytes(i & 0xFF for i in info), [i >> 8 for i in info], addends


def _signed(code: str, numbers: array[int]) -> array[int]:
    result = array(code)
    result.frombytes(numbers.tobytes())
    return result


def _relr(source: ByteSource, table: RelocationTable) -> Sequence[int]:
    """The places of RELR (gABI, "Relative relocation"): an even word is an address, an odd one a bitmap of words."""
    word = source.word
    places: list[int] = []
    where, most = 0, source.size // word  # each place holds a word of the file
    for entry in source.numbers(table.offset, table.size // word, word, "RELR relocation table"):
        if entry & 1 == 0:
            places.append(entry)
            where = entry + word
            continue
        places += [where + bit * word for bit in _set_bits(entry >> 1)]
        where += (word * 8 - 1) * word
        if len(places) > most:
            raise source.malformed(f"RELR names more than the file's {most} words", table.offset)
    return places


def _set_bits(bitmap: int) -> Iterator[int]:
    while bitmap:
        lowest = bitmap & -bitmap
        yield lowest.bit_length() - 1
        bitmap ^= lowest


RELATIVE_TYPES = {62: 8, 3: 8, 183: 1027, 40: 23, 243: 3, 21: 22, 20: 22, 22: 12, 8: 3, 258: 3, 2: 22, 43: 22, 42: 165}
"""`e_machine` → the number of its RELATIVE relocation."""
