"""Section headers (gABI, "Sections"): the linker's view of the file. A loader needs none of them; people do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.bytesource import ByteSource, FileOffset, StringTable, VirtualAddress
from latebind.elf.names import SECTION_TYPES

if TYPE_CHECKING:
    from latebind.elf.header import Header

SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_NOBITS, SHT_DYNSYM = 2, 3, 7, 8, 11
SHN_XINDEX = 0xFFFF


@dataclass(frozen=True, slots=True)
class Section:
    """One section header with its name looked up. `size` is bytes."""

    index: int
    name: str
    type: int
    flags: int
    addr: VirtualAddress
    offset: FileOffset
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    @property
    def type_name(self) -> str:
        """``"PROGBITS"``, ``"DYNSYM"``, …."""
        return SECTION_TYPES.get(self.type, f"{self.type:#x}")


def read_sections(source: ByteSource, header: Header) -> tuple[Section, ...]:
    """All section headers, with names; empty where the file has none."""
    if not header.shoff:
        return ()
    layout, expected = ("IIQQQQIIQQ", 64) if source.is64 else ("IIIIIIIIII", 40)
    if header.shentsize != expected:
        raise source.malformed(f"e_shentsize is {header.shentsize}, must be {expected}", 58 if source.is64 else 46)
    first = source.unpack(layout, header.shoff, "section header 0")
    count = header.shnum or first[5]  # more than 0xff00 sections: the number is in section 0's sh_size
    names_index = first[6] if header.shstrndx == SHN_XINDEX else header.shstrndx
    rows = list(source.records(layout, header.shoff, count, "section header table"))
    names: StringTable | None = None
    if names_index:
        if names_index >= count:
            raise source.malformed(
                f"e_shstrndx {names_index} is beyond the {count} sections", 62 if source.is64 else 50
            )
        names = StringTable(source, rows[names_index][4], rows[names_index][5])
    return tuple(
        Section(i, names[row[0]] if names else "", row[1], row[2], VirtualAddress(row[3]), FileOffset(row[4]), *row[5:])
        for i, row in enumerate(rows)
    )
