"""Relocations by section (gABI, "Relocation"): what a relocatable file leaves for the linker to fill in.

Linked files keep them too where the linker was asked to (`ld -q`), and list their dynamic ones as sections.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from latebind.elf.relocation import RELATIVE_TYPES, Relocation, RelocationTable, read_relocations
from latebind.elf.section import SHT_ANDROID_REL, SHT_ANDROID_RELA, SHT_CREL, SHT_REL, SHT_RELA, SHT_RELR, Section
from latebind.elf.symbol import Symbol
from latebind.elf.table import joined

if TYPE_CHECKING:
    from latebind.elf.file import Elf
    from latebind.elf.table import Table

_TAGS: Final = {
    SHT_RELA: "RELA",
    SHT_REL: "REL",
    SHT_RELR: "RELR",
    SHT_CREL: "CREL",
    SHT_ANDROID_REL: "ANDROID_REL",
    SHT_ANDROID_RELA: "ANDROID_RELA",
}


@dataclass(frozen=True, slots=True)
class SectionRelocations:
    """One relocation section: the section `target` that it changes (None: the whole image), and its entries.

    `symbols` is the symbol table that the entries' `symbol` is an index of; empty where the section names none.
    """

    section: Section
    target: Section | None
    entries: Table[Relocation] = field(repr=False)
    symbols: Table[Symbol] = field(repr=False)


def read_section_relocations(elf: Elf) -> tuple[SectionRelocations, ...]:
    """Every relocation section of `elf`, in file order."""
    machine, sections = elf.header.machine, elf.sections
    relative = RELATIVE_TYPES.get(machine, 0)
    found = []
    for section in sections:
        tag = _TAGS.get(section.type)
        if tag is None:
            continue
        if section.link >= len(sections) or section.info >= len(sections):
            raise elf.source.malformed(f"sh_link or sh_info of {section.name} is beyond the {len(sections)} sections")
        table = RelocationTable(tag, section.offset, section.size, tag in {"RELA", "ANDROID_RELA", "CREL"})
        entries = read_relocations(elf.source, table, machine, relative)
        symbols = elf.section_symbols(sections[section.link]) if section.link and tag != "RELR" else joined(Symbol, ())
        target = sections[section.info] if section.info else None
        found.append(SectionRelocations(section, target, entries, symbols))
    return tuple(found)
