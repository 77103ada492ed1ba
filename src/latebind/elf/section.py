"""Section headers (gABI, "Sections"): the linker's view of the file. A loader needs none of them; people do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.bytesource import ByteSource, FileOffset, StringTable, VirtualAddress
from latebind.elf.names import SECTION_TYPES
from latebind.elf.processor_names import SECTION_TYPES_OF

if TYPE_CHECKING:
    from latebind.elf.header import Header

SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL, SHT_DYNSYM = 1, 2, 3, 4, 7, 8, 9, 11
SHT_SYMTAB_SHNDX, SHT_RELR, SHT_CREL, SHT_ANDROID_REL, SHT_ANDROID_RELA = 18, 19, 0x40000014, 0x60000001, 0x60000002
SHN_XINDEX = 0xFFFF
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_INFO_LINK, SHF_COMPRESSED = 0x1, 0x2, 0x4, 0x40, 0x800


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
    machine: int = 0
    """The file's `e_machine`, which says what a processor-specific type means."""

    @property
    def type_name(self) -> str:
        """``"PROGBITS"``, ``"DYNSYM"``, …."""
        own = SECTION_TYPES_OF.get(self.machine, {})
        return own.get(self.type) or SECTION_TYPES.get(self.type, f"{self.type:#x}")


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
        if rows[names_index][1] != SHT_NOBITS:  # as in a file of separate debug information
            names = StringTable(source, rows[names_index][4], rows[names_index][5])
    texts = names.many([row[0] for row in rows]) if names else [""] * count
    machine = header.machine
    return tuple(
        Section(i, text, kind, flags, VirtualAddress(addr), FileOffset(offset), size, link, info, align, entry, machine)
        for i, (text, (_, kind, flags, addr, offset, size, link, info, align, entry)) in enumerate(
            zip(texts, rows, strict=True)
        )
    )
