"""An ELF file as binutils' BFD library sees it: the model that nm and objdump print from.

BFD reads section headers only, knows sections by flags of its own, and puts each symbol into one of them; what it
cannot place is absolute. The rules stand in binutils' bfd/elf.c (`bfd_section_from_shdr`), bfd/elfcode.h
(`elf_object_p`, `elf_slurp_symbol_table`) and bfd/syms.c (`bfd_decode_symclass`); the version of reference is 2.40 as
Debian builds it, which knows x86 and treats every other machine as a generic one.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from typing import TYPE_CHECKING, Final

from latebind.compat.symbol_kind import ABSOLUTE, UNDEFINED, Kind, symbol_kind
from latebind.compat.symbol_versions import Versions
from latebind.elf import read, read_archive, read_member
from latebind.elf.archive import is_archive
from latebind.elf.bytesource import StringTable
from latebind.elf.header import ET_CORE, ET_DYN, ET_EXEC, ET_REL
from latebind.elf.section import (
    SHF_ALLOC,
    SHF_COMPRESSED,
    SHF_INFO_LINK,
    SHN_XINDEX,
    SHT_DYNSYM,
    SHT_REL,
    SHT_RELA,
    SHT_RELR,
    SHT_STRTAB,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
)
from latebind.elf.symbol import SHN_COMMON, SHN_UNDEF
from latebind.elf.symbol_rows import (
    ByteStrings,
    byte_text,
    read_extended_indexes,
    read_rows,
    read_version_indexes,
)
from latebind.elf.version import read_definitions, read_needs
from latebind.errors import LatebindError, MalformedElf, NotFound, SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.compat.output import Output
    from latebind.elf import Elf, Section
    from latebind.elf.archive import Archive, Member
    from latebind.elf.version import VersionDefinition, VersionNeed

SHT_NULL, SHT_SHLIB, SHT_GROUP = 0, 10, 17
SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
SHN_X86_64_LCOMMON: Final = 0xFF02

_X86: Final = {
    # (ELFCLASS, e_machine) → the target's name, for little-endian files
    (2, 62): "elf64-x86-64",
    (1, 62): "elf32-x86-64",
    (1, 3): "elf32-i386",
    (1, 6): "elf32-iamcu",
}
_SECTION_ORDER: Final = frozenset({0xFF00, 0xFF01})  # SHN_BEFORE and SHN_AFTER of Solaris, which x86 accepts in sh_link
_EI_VERSION: Final = 6
_ENTRY_SIZES_64: Final = {SHT_SYMTAB: 24, SHT_DYNSYM: 24, SHT_RELA: 24, SHT_REL: 16, SHT_RELR: 8, SHT_GNU_VERSYM: 2}
_ENTRY_SIZES_32: Final = {SHT_SYMTAB: 16, SHT_DYNSYM: 16, SHT_RELA: 12, SHT_REL: 8, SHT_RELR: 4, SHT_GNU_VERSYM: 2}


class NotRecognized(LatebindError):
    """BFD does not take the file for an object that it knows. A file that cannot be opened raises `SystemFailure`."""

    def __str__(self) -> str:
        return "file format not recognized"


SymbolEntry = tuple[str, int, int, Kind, int, int]
"""(name, address, st_size, kind, st_other, Versym entry); a common symbol's address is its size, as in BFD."""


def file_size(path: str, output: Output, shown: str) -> int:
    """The size of the file at `path`, or -1 after a message where it is no file that binutils look into."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        output.complain(f"'{shown}': No such file")
    except OSError as e:
        output.complain(f"Warning: could not locate '{shown}'.  reason: {e.strerror}")
    else:
        if stat.S_ISREG(status.st_mode):
            return status.st_size
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
        output.complain(f"Warning: '{shown}' is {what}")
    return -1


def error_text(error: LatebindError | OSError) -> str:
    """What BFD says about `error` (`bfd_errmsg`)."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return os.strerror(error.errno) if isinstance(error, SystemFailure) else str(NotRecognized())


def open_object(path: str, *, core: bool = False) -> BfdFile:
    """The object file at `path`, or the core dump where `core` allows one.

    Raises `NotRecognized`, or `SystemFailure` where the system refuses to read it.
    """
    try:
        return BfdFile(read(path), core=core)
    except MalformedElf as e:
        raise NotRecognized from e


def open_archive(path: str) -> Archive | None:
    """The static archive at `path`, None where it is none. Raises as `open_object` does."""
    with open(path, "rb") as f:
        if not is_archive(f.read(8)):
            return None
    try:
        return read_archive(path)
    except MalformedElf as e:
        raise NotRecognized from e


def open_member(archive: Archive, member: Member) -> BfdFile:
    """One object file in an archive. Raises as `open_object` does."""
    try:
        return BfdFile(read_member(archive, member))
    except (MalformedElf, NotFound) as e:
        raise NotRecognized from e


class BfdFile:
    """One object file. Making it checks what BFD checks before it recognises a file."""

    def __init__(self, elf: Elf, *, core: bool = False) -> None:
        self.elf = elf
        header = elf.header
        endian = "little" if elf.source.little else "big"
        x86 = _X86.get((header.elf_class, header.machine)) if elf.source.little else None
        self.is_x86 = x86 is not None
        self.target = x86 or f"elf{header.bits}-{endian}"
        self.digits = header.bits // 4
        """Hexadecimal digits of an address."""
        self.linked = header.type in {ET_EXEC, ET_DYN}
        self.is_dynamic = header.type == ET_DYN
        self.is_core = header.type == ET_CORE
        if header.type == ET_CORE:
            if not core:
                raise NotRecognized
            self.sections: tuple[Section, ...] = ()
        else:
            self.sections = elf.sections
            self._check()
        self._kinds: dict[int, Kind] = {}

    def _check(self) -> None:
        """The checks of `elf_object_p` that reading the tables does not do already."""
        header, sections = self.elf.header, self.sections
        if header.type == ET_REL and not sections:
            raise NotRecognized
        if self.elf.data[_EI_VERSION] != 1 or len(self.elf.segments) != header.phnum:
            raise NotRecognized
        entry_sizes = _ENTRY_SIZES_64 if self.elf.source.is64 else _ENTRY_SIZES_32
        for s in sections[1:]:
            linked = s.link < len(sections) or (self.is_x86 and s.link in _SECTION_ORDER)
            applied = s.info < len(sections) or not (s.flags & SHF_INFO_LINK or s.type in {SHT_REL, SHT_RELA})
            sized = s.entsize == entry_sizes.get(s.type, s.entsize)
            split = s.type not in {SHT_SYMTAB, SHT_DYNSYM} or s.info * s.entsize <= s.size or not s.size
            if not (linked and applied and sized and split):
                raise NotRecognized

    # sections -----------------------------------------------------------------------------------------------

    def _first(self, kind: int) -> Section | None:
        return next((s for s in self.sections if s.type == kind), None)

    @cached_property
    def symtab(self) -> Section | None:
        """The static symbol table."""
        return self._first(SHT_SYMTAB)

    @cached_property
    def dynsym(self) -> Section | None:
        """The dynamic symbol table, which BFD finds through section headers alone."""
        return self._first(SHT_DYNSYM)

    @property
    def has_symbols(self) -> bool:
        """BFD's HAS_SYMS."""
        return self.symtab is not None or self.dynsym is not None

    def has_bfd_section(self, section: Section) -> bool:
        """Whether BFD makes a section of its own out of this one (`bfd_section_from_shdr`)."""
        if section.type in {SHT_NULL, SHT_SYMTAB_SHNDX, SHT_SHLIB}:
            return False
        if section.type == SHT_SYMTAB:
            return bool(section.flags & SHF_ALLOC) and self.is_dynamic
        if section.type == SHT_STRTAB:
            names = self.elf.header.shstrndx
            return section.index != names and (self.symtab is None or section.index != self.symtab.link)
        if section.type in {SHT_REL, SHT_RELA}:
            return not self._relocates(section)
        return True

    def _relocates(self, section: Section) -> bool:
        """Whether BFD keeps this as the relocations of another section, rather than as a section."""
        return not (
            (self.linked and section.flags & SHF_ALLOC)
            or section.flags & SHF_COMPRESSED
            or self.symtab is None
            or section.link != self.symtab.index
            or not 0 < section.info < len(self.sections)
            or self.sections[section.info].type in {SHT_REL, SHT_RELA}
        )

    @cached_property
    def bfd_sections(self) -> tuple[Section, ...]:
        """The sections that BFD makes, in its order."""
        return tuple(s for s in self.sections if self.has_bfd_section(s))

    @cached_property
    def relocated(self) -> frozenset[int]:
        """The indexes of the sections that BFD keeps relocations of (SEC_RELOC)."""
        return frozenset(s.info for s in self.sections if s.type in {SHT_REL, SHT_RELA} and self._relocates(s))

    def relocations_of(self, section: Section) -> list[Section]:
        """The relocation sections for `section`."""
        tables = (s for s in self.sections if s.type in {SHT_REL, SHT_RELA} and s.info == section.index)
        return [s for s in tables if self._relocates(s)]

    def linked_section(self, section: Section) -> Section:
        """The section that `section` links to. Raises `MalformedElf` for those values of sh_link that name none."""
        if section.link >= len(self.sections):
            raise self.elf.source.malformed(f"sh_link {section.link:#x} of section {section.index} is no section")
        return self.sections[section.link]

    def strings_of(self, section: Section) -> StringTable:
        """The string table that `section` links to."""
        link = self.linked_section(section)
        return StringTable(self.elf.source, link.offset, link.size)

    # symbols ------------------------------------------------------------------------------------------------

    def kind(self, info: int, shndx: int) -> Kind:
        """What BFD makes of a symbol with these two fields."""
        key = info << 32 | shndx
        found = self._kinds.get(key)
        if found is None:
            found = self._kinds[key] = symbol_kind(info, self._place(shndx))
        return found

    def _place(self, shndx: int) -> Section | str:
        """The section that BFD puts a symbol with this index into; a text for its four that are in no file."""
        if shndx == SHN_UNDEF:
            return UNDEFINED
        if shndx == SHN_COMMON:
            return "*COM*"
        if shndx == SHN_X86_64_LCOMMON and self.elf.header.machine == 62:
            return "LARGE_COMMON"
        if shndx < len(self.sections) and self.has_bfd_section(self.sections[shndx]):
            return self.sections[shndx]
        return ABSOLUTE

    def symbols(self, *, dynamic: bool, alignments: bool = False) -> Iterator[SymbolEntry]:
        """The symbols of one table without symbol 0; with `alignments`, common symbols have theirs in place of a size.

        Raises `MalformedElf` where the table is not in the file, or the version records of dynamic symbols are broken.
        """
        table = self.dynsym if dynamic else self.symtab
        if table is None:
            return
        source = self.elf.source
        link = self.linked_section(table)
        strings = ByteStrings(source, link)
        rows = read_rows(source, table)
        extended = read_extended_indexes(source, table, self.sections)
        versym = self._versym if dynamic and self.versions is not None else None
        if versym is not None and versym.size // 2 != len(rows):
            versym = None
        versions = read_version_indexes(source, versym, len(rows))
        kinds, derive = self._kinds, self.kind
        next(versions, None)
        for i, (row, version) in enumerate(zip(rows[1:], versions, strict=False), 1):
            name_at, info, other, shndx, value, size = row
            if shndx == SHN_XINDEX and i < len(extended):
                shndx = extended[i]
            kind = kinds.get(info << 32 | shndx) or derive(info, shndx)
            name = strings[name_at]
            if name is None:
                name = "(null)"
            if kind.debugging or kind.common or not self.linked:
                before = value
                name, value = self._adjusted(name, value, size, kind, shndx)
                if alignments and kind.common:
                    size = before
            yield name, value, size, kind, other, version

    def _adjusted(self, name: str, value: int, size: int, kind: Kind, shndx: int) -> tuple[str, int]:
        """The name of a section symbol, the size of a common one, and the address in a relocatable file."""
        section = self.sections[shndx] if shndx < len(self.sections) else None
        if kind.section_symbol and not name and section is not None:
            name = byte_text(section.name)
        if kind.common:
            value = size
        elif not self.linked and section is not None and kind.section not in {UNDEFINED, ABSOLUTE}:
            value += section.addr
        return name, value

    # versions -----------------------------------------------------------------------------------------------

    @cached_property
    def _versym(self) -> Section | None:
        return self._first(SHT_GNU_VERSYM)

    @cached_property
    def version_definitions(self) -> tuple[VersionDefinition, ...] | None:
        """The versions that the file defines, None where it has no such section."""
        section = next((s for s in self.sections if s.type == SHT_GNU_VERDEF and s.info), None)
        if section is None:
            return None
        return read_definitions(self.elf.source, section.offset, section.info, self.strings_of(section))

    @cached_property
    def version_needs(self) -> tuple[VersionNeed, ...] | None:
        """The versions that the file needs, None where it has no such section."""
        section = next((s for s in self.sections if s.type == SHT_GNU_VERNEED and s.info), None)
        if section is None:
            return None
        return read_needs(self.elf.source, section.offset, section.info, self.strings_of(section))

    @cached_property
    def versions(self) -> Versions | None:
        """What the versions of dynamic symbols are called; None where BFD would print none."""
        definitions, needs = self.version_definitions, self.version_needs
        if self._versym is None or (definitions is None and needs is None):
            return None
        return Versions(definitions or (), needs or ())
