"""One ELF file while readelf shows it: each table read once and shared by those who print it.

Reading is as forgiving as readelf's. What cannot be read is reported once, as readelf reports it, and is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.text import c_string, section_text
from latebind.elf.bytesource import ByteSource
from latebind.elf.header import PN_XNUM, Header, read_any_header
from latebind.elf.raw.dynamic import Row as DynamicRow
from latebind.elf.raw.dynamic import read_dynamic_rows
from latebind.elf.raw.header import (
    PROGRAM_HEADER_SIZE,
    SECTION_HEADER_SIZE,
    SectionHeader,
    read_program_headers,
    read_section_headers,
)
from latebind.elf.raw.symbol import SYMBOL_SIZE, read_symbol_rows, with_extended_sections
from latebind.elf.raw.symbol import Row as SymbolTuple
from latebind.elf.section import SHN_XINDEX, SHT_NOBITS
from latebind.elf.segment import PT_DYNAMIC, PT_LOAD, Segment
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.compat.output import Output
    from latebind.compat.readelf_options import Options
    from latebind.elf.bytesource import type_of_bytes

SHT_SYMTAB_SHNDX: Final = 18
DF_1_PIE: Final = 0x08000000
_DT_FLAGS_1: Final = 0x6FFFFFFB

ELFOSABI_NONE, ELFOSABI_GNU, ELFOSABI_SOLARIS, ELFOSABI_FREEBSD = 0, 3, 6, 9
X86_64_FAMILY: Final = frozenset({62, 180, 181})
"""x86-64 and the two other machines that binutils treats alike: L1OM and K1OM."""
X86_AND_SPARC: Final = X86_64_FAMILY | {3, 6, 2, 11, 18, 43}


class File:
    """The file `name`, whose bytes are `data`. Raises `MalformedElf` where the ELF header is cut off.

    `sections`, `section_names`, `segments` and `dynamic_place` are what the functions that show the file have found
    so far, in the order in which readelf looks for them.
    """

    def __init__(self, name: str, data: type_of_bytes, options: Options, out: Output) -> None:
        self.name = name
        self.options = options
        self.out = out
        self.ident = bytes(data[:16])
        self.header: Header
        self.header, self.source = read_any_header(name, data)
        self.address_form = "%016x" if self.is64 else "%08x"
        self.sections: tuple[SectionHeader, ...] = ()
        self.section_names: bytes | None = None
        self.interpreter: str | None = None
        self.dynamic_place: tuple[int, int] | None = None
        self.dynamic_info: dict[int, int] = {}
        """Tag → value of the tags that matter later; empty until the dynamic section was looked through."""
        self.dynamic_strings: bytes | None = None
        self.dynamic_symbols: list[SymbolTuple] | None = None
        self._segments: tuple[Segment, ...] | None = None
        self._dynamic_rows: list[DynamicRow] | None = None
        self._strings: dict[int, bytes] = {}
        self._resolve_escapes()

    # the header ------------------------------------------------------------------------------------------------

    @property
    def is64(self) -> bool:
        """Whether the file is of the 64-bit class."""
        return self.source.is64

    @property
    def machine(self) -> int:
        """`e_machine`."""
        return self.header.machine

    @property
    def os_abi(self) -> int:
        """`EI_OSABI`."""
        return self.header.os_abi

    def _resolve_escapes(self) -> None:
        """Numbers that do not fit the header stand in section header 0 (gABI, "ELF Header")."""
        header = self.header
        self.first_section: SectionHeader | None = None
        if header.shoff and header.shnum >= 0 and header.shentsize >= SECTION_HEADER_SIZE[self.is64]:
            try:
                self.first_section = read_section_headers(self.source, header.shoff, 1)[0]
            except MalformedElf:
                self.first_section = None  # the whole table is reported when it is read
        self.section_count, self.names_index, self.segment_count = header.shnum, header.shstrndx, header.phnum
        if (first := self.first_section) is not None:
            if header.phnum == PN_XNUM and first.info:
                self.segment_count = first.info
            if not header.shnum:
                self.section_count = first.size & 0xFFFFFFFF
            if header.shstrndx == SHN_XINDEX:
                self.names_index = first.link
            if self.names_index >= self.section_count:
                self.names_index = 0

    # bytes -----------------------------------------------------------------------------------------------------

    def take(self, offset: int, size: int, what: str) -> bytes | None:
        """`size` bytes at `offset`, or None, reported, where they are not in the file or none are wanted."""
        if not size:
            return None
        if offset + size > self.source.size:
            self.out.error(f"Reading {size} bytes extends past end of file for {what}")
            return None
        return self.source.take(offset, size, what)

    def offset_of(self, address: int, size: int) -> int:
        """Where in the file the `size` bytes at the virtual address are; the address itself, reported, if nowhere."""
        for s in self.segments:
            if s.type == PT_LOAD and address >= s.vaddr & -s.align and address + size <= s.vaddr + s.filesz:
                return address - s.vaddr + s.offset
        if self.segments:
            self.out.warn(f"Virtual address {address:#x} not located in any PT_LOAD segment.")
        else:
            self.out.warn("Cannot interpret virtual addresses without program headers.")
        return address

    # sections --------------------------------------------------------------------------------------------------

    def read_sections(self) -> bool:
        """Fill `sections` and `section_names`; False, reported, where the headers cannot be read."""
        entry, wanted = self.header.shentsize, SECTION_HEADER_SIZE[self.is64]
        if not entry or not self.section_count or not self.header.shoff:
            return False
        if entry != wanted:
            relation = "less" if entry < wanted else "larger"
            message = f"The e_shentsize field in the ELF header is {relation} than the size of an ELF section header"
            if entry < wanted:
                self.out.error(message)
                return False
            self.out.warn(message)
        size = entry * self.section_count
        if self.take(self.header.shoff, size, "section headers") is None:
            return False
        self.sections = read_section_headers(self.source, self.header.shoff, self.section_count)
        self._check_links()
        if 0 < self.names_index < len(self.sections):
            names = self.sections[self.names_index]
            self.section_names = self.take(names.offset, names.size, "string table")
        return True

    def _check_links(self) -> None:
        count = len(self.sections)
        for index, section in enumerate(self.sections):
            if section.link > count:
                self.out.warn(f"Section {index} has an out of range sh_link value of {section.link}")
            if section.flags & 0x40 and section.info > count:
                self.out.warn(f"Section {index} has an out of range sh_info value of {section.info}")

    def name_of(self, section: SectionHeader) -> str:
        """The section's name as it stands in the file, or what readelf says in its place."""
        if self.section_names is None:
            return "<no-strings>"
        if section.name >= len(self.section_names):
            return "<corrupt>"
        return c_string(self.section_names, section.name)

    def shown_name(self, section: SectionHeader) -> str:
        """The section's name for a line of text."""
        return section_text(self.name_of(section))

    def shown_name_at(self, index: int) -> str:
        """The name of section number `index` for a line of text."""
        return self.shown_name(self.sections[index]) if index < len(self.sections) else "<corrupt>"

    def section_named(self, name: str) -> SectionHeader | None:
        """The first section called `name`."""
        if self.section_names is None:
            return None
        return next((s for s in self.sections if self.name_of(s) == name), None)

    # segments --------------------------------------------------------------------------------------------------

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The program headers; none, reported, where they cannot be read."""
        if self._segments is None:
            self._segments = self._read_segments()
        return self._segments

    def _read_segments(self) -> tuple[Segment, ...]:
        entry, wanted, count = self.header.phentsize, PROGRAM_HEADER_SIZE[self.is64], self.segment_count
        if not count:
            return ()
        if count * wanted >= self.source.size:
            self.out.error(f"Too many program headers - {count:#x} - the file is not that big")
            return ()
        if not entry:
            return ()
        message = "The e_phentsize field in the ELF header is {} than the size of an ELF program header"
        if entry < wanted:
            self.out.error(message.format("less"))
            return ()
        if entry > wanted:
            self.out.warn(message.format("larger"))
        if self.take(self.header.phoff, entry * count, "program headers") is None:
            return ()
        return read_program_headers(self.source, self.header.phoff, count)

    # the dynamic section ---------------------------------------------------------------------------------------

    def locate_dynamic(self) -> None:
        """Where the dynamic section is: what section .dynamic says, else what PT_DYNAMIC says."""
        segment = next((s for s in self.segments if s.type == PT_DYNAMIC), None)
        place = (0, 0)
        if segment is not None:
            place = (int(segment.offset), segment.filesz)
            section = self.section_named(".dynamic")
            if section is not None:
                empty = not section.size or section.type == SHT_NOBITS
                place = (0, 0) if empty else (section.offset, section.size)
            if sum(place) > self.source.size:
                place = (0, 0)
        self.dynamic_place = place

    def dynamic_rows(self) -> list[DynamicRow] | None:
        """The dynamic section's entries with the closing one; None, reported, where they cannot be read."""
        if self._dynamic_rows is None and self.dynamic_place is not None:
            offset, size = self.dynamic_place
            if self.take(offset, size, "dynamic section") is not None:
                self._dynamic_rows = read_dynamic_rows(self.source, offset, size)
        return self._dynamic_rows

    def is_pie(self) -> bool:
        """Whether DT_FLAGS_1 marks the file as a position-independent program."""
        if self.dynamic_place is None:
            self.locate_dynamic()
        assert self.dynamic_place is not None, "just located"
        rows = self.dynamic_rows() if self.dynamic_place[1] else None
        flags = next((value for tag, value in rows or () if tag == _DT_FLAGS_1), 0)
        return bool(flags & DF_1_PIE)

    # symbols ---------------------------------------------------------------------------------------------------

    def symbols_of(self, section: SectionHeader, index: int) -> list[SymbolTuple] | None:
        """The symbols in `section`, which has number `index`; None, reported, where it is broken, or empty."""
        if not section.size or not self._is_symbol_table(section):
            return None
        if self.take(section.offset, section.size, "symbols") is None:
            return None
        rows = read_symbol_rows(self.source, section.offset, section.size // section.entsize)
        for extended in self.index_sections(index):
            indexes = self._words(extended)
            if indexes is None:
                return None
            if len(indexes) < len(rows):
                self.out.error(
                    f"Index section {self.shown_name(extended)} has an sh_size of {extended.size:#x}"
                    f" - expected {section.size:#x}"
                )
                return None
            rows = with_extended_sections(rows, indexes)
        return rows

    def _is_symbol_table(self, section: SectionHeader) -> bool:
        size, entry, name = section.size, section.entsize, self.shown_name(section)
        if not entry or entry > size:
            self.out.error(f"Section {name} has an invalid sh_entsize of {entry:#x}")
            return False
        if size // entry * SYMBOL_SIZE[self.is64] > size + 1:
            self.out.error(f"Size ({size:#x}) of section {name} is not a multiple of its sh_entsize ({entry:#x})")
            return False
        return True

    def index_sections(self, index: int) -> list[SectionHeader]:
        """The SHT_SYMTAB_SHNDX sections of the symbol table with section number `index`: none or one."""
        return [s for s in self.sections if s.type == SHT_SYMTAB_SHNDX and s.link == index]

    def _words(self, section: SectionHeader) -> list[int] | None:
        if self.take(section.offset, section.size, "symbol table section indices") is None:
            return None
        return [row[0] for row in self.source.records("I", section.offset, section.size // 4, "section indices")]

    def strings_of(self, section: SectionHeader, what: str) -> bytes:
        """The string table that `section` links to; empty where there is none."""
        link = section.link
        if link >= len(self.sections):
            return b""
        if link not in self._strings:
            strings = self.sections[link]
            self._strings[link] = self.take(strings.offset, strings.size, what) or b""
        return self._strings[link]

    def over(self, contents: bytes) -> ByteSource:
        """A source that reads `contents` as if they were a whole file of this class and byte order."""
        return ByteSource(self.name, contents, is64=self.is64, little=self.source.little)
