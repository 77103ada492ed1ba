"""One relocatable object (ET_REL) as the static linker sees it: sections, symbols, groups, and relocations by section.

Everything is checked when it is read: a section that lies beyond the file, a symbol in a section that is not there, a
relocation outside its section raise `MalformedElf` with the file and the offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.header import ET_REL
from latebind.elf.section import SHN_XINDEX, SHT_NOBITS, Section
from latebind.elf.symbol import SHN_ABS, SHN_COMMON, Symbol
from latebind.errors import Unsupported
from latebind.linkplan.static.targets import TARGETS

if TYPE_CHECKING:
    from latebind.elf import Elf

SHT_RELA, SHT_REL, SHT_GROUP = 4, 9, 17
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_GROUP, SHF_TLS, SHF_COMPRESSED = 1, 2, 4, 0x200, 0x400, 0x800
SHN_LORESERVE = 0xFF00
GRP_COMDAT = 1


class Reference(NamedTuple):
    """A relocation of an input: the place in its section, what to compute, and the index of the symbol."""

    offset: int
    type: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class Group:
    """A section group: with COMDAT only the first one of each signature is kept."""

    signature: str
    is_comdat: bool
    sections: tuple[int, ...]


class Relocatable:
    """An ET_REL file. `name` is what errors call it, ``libfoo.a(bar.o)`` for a member of an archive."""

    def __init__(self, elf: Elf) -> None:
        self.elf = elf
        self.name = elf.path
        header = elf.header
        if header.type != ET_REL:
            raise Unsupported(self.name, f"is no relocatable object but {header.type_name}", "load it by itself")
        target = TARGETS.get(header.machine)
        if target is None or header.bits != 64 or not elf.source.little:
            raise Unsupported(
                self.name,
                f"is for {header.machine_name} ({header.bits}-bit); only x86-64 and AArch64 objects can be linked here",
            )
        self.target = target
        self.sections: tuple[Section, ...] = elf.sections
        self.symbols: tuple[Symbol, ...] = tuple(elf.static_symbols)
        self._check()
        self.groups = tuple(self._group(s) for s in self.sections if s.type == SHT_GROUP)
        self._references = self._read_references()

    def _check(self) -> None:
        for symbol in self.symbols:
            if symbol.section == SHN_XINDEX:
                raise Unsupported(self.name, "has more than 65,279 sections", "compile it without -ffunction-sections")
            in_section = symbol.section < SHN_LORESERVE
            if in_section and symbol.section >= len(self.sections):
                raise self.elf.source.malformed(
                    f"symbol {symbol.index} is in section {symbol.section}, which is not there"
                )
            if not in_section and symbol.section not in (SHN_ABS, SHN_COMMON):
                raise Unsupported(self.name, f"symbol {symbol.name} is in the special section {symbol.section:#x}")
            if symbol.name == "__gnu_lto_slim":
                raise Unsupported(self.name, "has no machine code (slim LTO)", "compile it with -ffat-lto-objects")
        for section in self.sections:
            if section.flags & SHF_ALLOC and section.flags & SHF_COMPRESSED:
                raise Unsupported(self.name, f"section {section.name} is compressed")
            if section.addralign & (section.addralign - 1):
                raise self.elf.source.malformed(f"section {section.name} is aligned to {section.addralign}")

    def _group(self, section: Section) -> Group:
        words = [row[0] for row in self.elf.source.records("I", section.offset, section.size // 4, "section group")]
        if not words or section.info >= len(self.symbols):
            raise self.elf.source.malformed(f"section group {section.index} is broken", section.offset)
        symbol = self.symbols[section.info]
        # GNU as names a group after a section's symbol where its signature is no symbol's name.
        name = symbol.name or (self.sections[symbol.section].name if symbol.section < len(self.sections) else "")
        return Group(name, bool(words[0] & GRP_COMDAT), tuple(words[1:]))

    def _read_references(self) -> dict[int, list[Reference]]:
        found: dict[int, list[Reference]] = {}
        for table in self.sections:
            if table.type == SHT_REL:
                raise Unsupported(self.name, "uses REL relocations, which its machine's ABI does not")
            if table.type != SHT_RELA:
                continue
            if table.info >= len(self.sections):
                raise self.elf.source.malformed(f"relocations {table.name} are for section {table.info}", table.offset)
            target = self.sections[table.info]
            if target.flags & SHF_ALLOC:
                found.setdefault(target.index, []).extend(self._table(table, target))
        return found

    def _table(self, table: Section, target: Section) -> list[Reference]:
        rows = self.elf.source.records("QQq", table.offset, table.size // 24, f"relocations {table.name}")
        found = []
        for offset, info, addend in rows:
            if offset >= target.size or info >> 32 >= len(self.symbols):
                raise self.elf.source.malformed(f"a relocation in {table.name} is outside its section or symbol table")
            found.append(Reference(offset, info & 0xFFFFFFFF, info >> 32, addend))
        return found

    def references(self, section: Section) -> list[Reference]:
        """The relocations that apply to `section`."""
        return self._references.get(section.index, [])

    def contents(self, section: Section) -> bytes:
        """The bytes of `section`; none for NOBITS."""
        if section.type == SHT_NOBITS:
            return b""
        return self.elf.source.take(section.offset, section.size, f"section {section.name}")
