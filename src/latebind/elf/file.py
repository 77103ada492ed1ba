"""One ELF file, read lazily: each table is parsed when it is first asked for.

`Elf` only knows which module reads which table and what that table needs of the others; what few ask for is imported
when it is asked for, so that a run over many files starts quickly. How to get one is in reading.py.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import ByteSource, FileOffset, StringTable, type_of_bytes
from latebind.elf.dynamic import Dynamic, read_dynamic
from latebind.elf.header import ELFCLASS64, ELFDATA2LSB, EM_MIPS, ET_CORE, Header, is_sound, read_header
from latebind.elf.note import NT_FDO_DLOPEN, NT_GNU_BUILD_ID, Note, read_notes, read_section_notes
from latebind.elf.relocation import (
    RELATIVE_TYPES,
    Relocation,
    RelocationTable,
    packed_relocation_tables,
    read_relocations,
    relocation_tables,
)
from latebind.elf.section import SHT_DYNSYM, SHT_SYMTAB, SHT_SYMTAB_SHNDX, Section, read_sections
from latebind.elf.segment import PT_INTERP, PT_TLS, AddressMap, Segment, read_segments
from latebind.elf.symbol import Symbol, SymbolLayout, read_symbols, symbol_size
from latebind.elf.symbolhash import (
    HashTable,
    count_from_gnu_hash,
    count_from_sysv_hash,
    hash_entry_size,
    read_gnu_hash,
    read_sysv_hash,
)
from latebind.elf.table import Table, joined
from latebind.elf.version import VersionDefinition, VersionNeed, read_definitions, read_needs

if TYPE_CHECKING:
    from latebind._core import SymbolTable
    from latebind.elf.core_file import Core
    from latebind.elf.gnu_property import GnuProperty
    from latebind.elf.got import GotSlot
    from latebind.elf.init_array import InitFunction
    from latebind.elf.known_note import AbiTag, OptionalDependency, PluginRecord
    from latebind.elf.layout import Layout
    from latebind.elf.plt import PltEntry
    from latebind.elf.section_relocation import SectionRelocations
    from latebind.elf.summary import Summary


class FileIdentity(NamedTuple):
    """Which file this was: device and inode, size in bytes, modification time in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Elf:
    """What one ELF file says. Made by `read`; immutable; every property raises `MalformedElf` on broken tables."""

    layout: Layout | tuple[()] | None = None
    """Where its tables are, for `latebind.linkplan.table`: empty in a file that is not plain, None while not known."""
    symbols_in_core: SymbolTable | None = None
    """The same, its symbols, ready to be searched by the core."""

    def __init__(
        self, path: str, data: type_of_bytes, identity: FileIdentity | None, summary: Summary | None = None
    ) -> None:
        self.path = path
        """Where it was read from; ``"<memory>"`` for bytes."""
        self.data = data
        self.identity = identity
        """The file's identity when it was opened; None for bytes."""
        if summary is not None:  # which says that its header is sound
            self.__dict__["summary"] = summary
        elif not is_sound(data):
            read_header(path, data)  # says what is wrong with it

    def __repr__(self) -> str:
        h = self.header
        return f"<Elf {self.path}: {h.type_name} {h.machine_name} {h.bits}-bit>"

    @cached_property
    def header(self) -> Header:
        """The ELF header."""
        return read_header(self.path, self.data)[0]

    @cached_property
    def source(self) -> ByteSource:
        """The file's bytes, read in its class and byte order."""
        elf_class, order = self.data[4], self.data[5]
        return ByteSource(self.path, self.data, is64=elf_class == ELFCLASS64, little=order == ELFDATA2LSB)

    @cached_property
    def summary(self) -> Summary:
        """What searching for shared objects needs of it."""
        from latebind.elf.summary import summarize_elf

        return summarize_elf(self)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The program headers."""
        return read_segments(self.source, self.header)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section headers; empty in a file without."""
        return read_sections(self.source, self.header)

    @cached_property
    def addresses(self) -> AddressMap:
        """Virtual address → file offset."""
        return AddressMap(self.source, self.segments)

    @cached_property
    def dynamic(self) -> Dynamic:
        """The dynamic section; without entries in a static or relocatable file."""
        return read_dynamic(self.source, self.segments, self.addresses, self.header.machine)

    @cached_property
    def is_dynamic(self) -> bool:
        """Whether the file has a dynamic section at all."""
        return bool(self.dynamic.entries)

    @cached_property
    def interpreter(self) -> str | None:
        """PT_INTERP: the dynamic linker that the program asks the kernel for."""
        segment = self.segment(PT_INTERP)
        if segment is None:
            return None
        return (
            self.source.take(segment.offset, segment.filesz, "PT_INTERP")
            .split(b"\0")[0]
            .decode("utf-8", "surrogateescape")
        )

    def segment(self, kind: int) -> Segment | None:
        """The first segment of type `kind`, or None."""
        return next((s for s in self.segments if s.type == kind), None)

    def section(self, name: str) -> Section | None:
        """The first section called `name`, or None."""
        return next((s for s in self.sections if s.name == name), None)

    @property
    def tls(self) -> Segment | None:
        """PT_TLS: the image of the thread-local variables."""
        return self.segment(PT_TLS)

    @property
    def soname(self) -> str | None:
        """DT_SONAME."""
        return self.dynamic.soname

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """The notes in the segments; in a file without segments, those in its sections."""
        return read_notes(self.source, self.segments, () if self.segments else self.sections)

    @cached_property
    def section_notes(self) -> tuple[Note, ...]:
        """The notes that only sections hold, because they are not loaded: systemtap's probes, for example."""
        return read_section_notes(self.source, self.segments, self.sections)

    def _notes_of(self, owner: str, *types: int) -> list[Note]:
        return [n for n in self.notes if n.owner == owner and n.type in types]

    @cached_property
    def build_id(self) -> str | None:
        """The GNU build-id in hexadecimal digits."""
        return next((n.desc.hex() for n in self._notes_of("GNU", NT_GNU_BUILD_ID)), None)

    @cached_property
    def abi_tag(self) -> AbiTag | None:
        """The oldest kernel that the file runs on, where a GNU ABI tag says so."""
        from latebind.elf.known_note import NT_GNU_ABI_TAG, read_abi_tag

        return next((read_abi_tag(self.source, n) for n in self._notes_of("GNU", NT_GNU_ABI_TAG)), None)

    @cached_property
    def properties(self) -> tuple[GnuProperty, ...]:
        """The GNU properties: IBT, SHSTK, the ISA level that is needed, BTI, …."""
        from latebind.elf.gnu_property import read_properties
        from latebind.elf.known_note import NT_GNU_PROPERTY_TYPE_0

        notes = self._notes_of("GNU", NT_GNU_PROPERTY_TYPE_0)
        return tuple(p for n in notes for p in read_properties(self.source, n, self.header.machine))

    @cached_property
    def dlopen_notes(self) -> tuple[Note, ...]:
        """The .note.dlopen notes; what they say is in `optional_dependencies`."""
        return tuple(self._notes_of("FDO", NT_FDO_DLOPEN))

    @cached_property
    def optional_dependencies(self) -> tuple[OptionalDependency, ...]:
        """What .note.dlopen says that the file may open at run time."""
        from latebind.elf.known_note import read_dlopen

        return tuple(d for n in self.dlopen_notes for d in read_dlopen(self.source, n))

    @cached_property
    def package(self) -> dict[str, Any] | None:
        """The package metadata (.note.package), as the distribution wrote it."""
        from latebind.elf.known_note import NT_FDO_PACKAGE, read_package

        return next((read_package(self.source, n) for n in self._notes_of("FDO", NT_FDO_PACKAGE)), None)

    @cached_property
    def plugin_records(self) -> tuple[PluginRecord, ...]:
        """The notes of a latebind plugin."""
        from latebind.elf.known_note import read_plugin

        return tuple(read_plugin(self.source, n) for n in self.notes if n.owner == "latebind")

    @cached_property
    def core(self) -> Core | None:
        """The process that a core file describes; None in a file of another kind."""
        from latebind.elf.core_file import read_core

        if self.header.type != ET_CORE:
            return None
        return read_core(self.source, self.notes, self.header.machine)

    def _table_offset(self, tag: int, what: str) -> FileOffset | None:
        value = self.dynamic.values.get(tag)
        return None if value is None else self.addresses.offset(value, what)

    @cached_property
    def symbol_layout(self) -> SymbolLayout | None:
        """Where the dynamic symbols are, or None without any."""
        strings = self.dynamic.strings
        offset = self._table_offset(dyn.DT_SYMTAB, "DT_SYMTAB")
        if strings is None or offset is None:
            return None
        extended = self._table_offset(dyn.DT_SYMTAB_SHNDX, "DT_SYMTAB_SHNDX")
        return SymbolLayout(offset, self._symbol_count(offset), strings, extended)

    def _symbol_count(self, symtab: int) -> int:
        """Neither the dynamic section nor the program headers give the number of symbols: the hash tables do."""
        if (at := self._table_offset(dyn.DT_HASH, "DT_HASH")) is not None:
            return count_from_sysv_hash(self.source, at, hash_entry_size(self.source, self.header.machine))
        gnu = self._table_offset(dyn.DT_GNU_HASH, "DT_GNU_HASH")
        count = count_from_gnu_hash(self.source, gnu) if gnu is not None else None
        if count is None and self.header.machine == EM_MIPS:
            count = self.dynamic.values.get(dyn.DT_MIPS_SYMTABNO)
        if count is not None:
            return count
        # Nothing is exported. In every known linker's output the strings follow the symbols; else relocations tell.
        strings = self._table_offset(dyn.DT_STRTAB, "DT_STRTAB")
        if strings is not None and strings > symtab:
            return (strings - symtab) // symbol_size(self.source)
        return max(self.relocations.column("symbol"), default=-1) + 1

    @cached_property
    def hash_tables(self) -> tuple[HashTable, ...]:
        """The symbol hash tables with their statistics: DT_GNU_HASH, then DT_HASH, where they are."""
        found = []
        layout = self.symbol_layout
        if layout and (at := self._table_offset(dyn.DT_GNU_HASH, "DT_GNU_HASH")) is not None:
            found.append(read_gnu_hash(self.source, at, layout.length))
        if (at := self._table_offset(dyn.DT_HASH, "DT_HASH")) is not None:
            found.append(read_sysv_hash(self.source, at, hash_entry_size(self.source, self.header.machine)))
        return tuple(found)

    @cached_property
    def version_definitions(self) -> tuple[VersionDefinition, ...]:
        """DT_VERDEF: the versions that this file defines."""
        at = self._table_offset(dyn.DT_VERDEF, "DT_VERDEF")
        if at is None or self.dynamic.strings is None:
            return ()
        return read_definitions(self.source, at, self.dynamic.values.get(dyn.DT_VERDEFNUM, 0), self.dynamic.strings)

    @cached_property
    def version_needs(self) -> tuple[VersionNeed, ...]:
        """DT_VERNEED: the versions that this file needs, one entry a version."""
        at = self._table_offset(dyn.DT_VERNEED, "DT_VERNEED")
        if at is None or self.dynamic.strings is None:
            return ()
        return read_needs(self.source, at, self.dynamic.values.get(dyn.DT_VERNEEDNUM, 0), self.dynamic.strings)

    @cached_property
    def version_names(self) -> dict[int, str]:
        """Version index → name, definitions (without the base) and needs together."""
        names = {d.index: d.name for d in self.version_definitions if not d.base}
        names.update((n.index, n.name) for n in self.version_needs)
        return names

    @cached_property
    def symbols(self) -> Table[Symbol]:
        """The dynamic symbols, symbol 0 included, so that an index in a relocation is an index here."""
        layout = self.symbol_layout
        if layout is None:
            return joined(Symbol, ())
        versym = self._table_offset(dyn.DT_VERSYM, "DT_VERSYM")
        defined = frozenset(d.index for d in self.version_definitions if not d.base)
        return read_symbols(self.source, layout, versym, self.version_names, defined)

    @cached_property
    def static_symbols(self) -> Table[Symbol]:
        """The symbols of .symtab, which a stripped file does not have."""
        table = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        return joined(Symbol, ()) if table is None else self.section_symbols(table)

    def section_symbols(self, table: Section) -> Table[Symbol]:
        """The symbols of the section `table`, a SHT_SYMTAB or SHT_DYNSYM, without versions."""
        known = self._section_symbols.get(table.index)
        if known is None:
            known = self._section_symbols[table.index] = self._read_section_symbols(table)
        return known

    @cached_property
    def _section_symbols(self) -> dict[int, Table[Symbol]]:
        return {}

    def _read_section_symbols(self, table: Section) -> Table[Symbol]:
        if table.type not in {SHT_SYMTAB, SHT_DYNSYM}:
            raise self.source.malformed(f"section {table.index} ({table.type_name}) is no symbol table", table.offset)
        if table.link >= len(self.sections):
            raise self.source.malformed(
                f"sh_link {table.link} of {table.name} is beyond the {len(self.sections)} sections"
            )
        link = self.sections[table.link]
        self.source.spend("string tables", link.size, link.offset)
        indexes = (s for s in self.sections if s.type == SHT_SYMTAB_SHNDX and s.link == table.index)
        extended = next((s.offset for s in indexes), None)
        strings = StringTable(self.source, link.offset, link.size)
        layout = SymbolLayout(table.offset, table.size // symbol_size(self.source), strings, extended)
        return read_symbols(self.source, layout)

    @cached_property
    def functions(self) -> dict[int, str]:
        """Address → name of every function that the file defines; .symtab's names where there are any."""
        from latebind.elf.init_array import function_names

        return function_names(self.header.machine, (self.symbols, self.static_symbols))

    @cached_property
    def relocation_tables(self) -> tuple[RelocationTable, ...]:
        """The dynamic relocation tables, in the order in which they are applied, without packed ones."""
        return relocation_tables(self.dynamic, self.addresses)

    @cached_property
    def packed_relocation_tables(self) -> tuple[RelocationTable, ...]:
        """The dynamic relocation tables of Android (APS2) and CREL."""
        return packed_relocation_tables(self.dynamic, self.addresses)

    def _entries(self, tables: tuple[RelocationTable, ...]) -> Table[Relocation]:
        machine = self.header.machine
        relative = RELATIVE_TYPES.get(machine, 0)
        return joined(Relocation, [read_relocations(self.source, table, machine, relative) for table in tables])

    @cached_property
    def packed_relocations(self) -> Table[Relocation]:
        """The relocations of the packed tables."""
        return self._entries(self.packed_relocation_tables)

    @cached_property
    def relocations(self) -> Table[Relocation]:
        """All dynamic relocations, RELR's and packed ones unpacked."""
        return self.packed_relocations + self._entries(self.relocation_tables)

    @cached_property
    def section_relocations(self) -> tuple[SectionRelocations, ...]:
        """The relocation sections with their entries: all there is in a relocatable file, and what `ld -q` keeps."""
        from latebind.elf.section_relocation import read_section_relocations

        return read_section_relocations(self)

    @cached_property
    def init_functions(self) -> tuple[InitFunction, ...]:
        """What runs at the start and at the end, in the order of the tables; see `InitFunction`."""
        from latebind.elf.init_array import read_init_functions

        return read_init_functions(
            self.source, self.dynamic.values, self.addresses, self.relocations, self.symbols, self.functions
        )

    @cached_property
    def got(self) -> tuple[GotSlot, ...]:
        """The global offset table: each slot and the symbol that it belongs to."""
        from latebind.elf.got import read_got

        return read_got(
            self.source, self.header.machine, self.dynamic.values, self.sections, self.relocations, self.symbols
        )

    @cached_property
    def plt(self) -> tuple[PltEntry, ...]:
        """The procedure linkage table: each stub and the symbol that it calls."""
        from latebind.elf.plt import read_plt

        return read_plt(self.source, self.header.machine, self.dynamic.values, self.sections, self.segments, self.got)

    def section_contents(self, section: Section, limit: int | None = None) -> bytes:
        """The section's bytes, decompressed where they are compressed; `limit` bounds the result (default 1 GiB).

        Raises `Unsupported` for a longer one or an unknown compression, `MalformedElf` for broken data.
        """
        from latebind.elf.compressed import DEFAULT_LIMIT, section_contents

        return section_contents(self.source, section, DEFAULT_LIMIT if limit is None else limit)
