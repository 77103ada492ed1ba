"""One ELF file, read lazily: each table is parsed when it is first asked for, over a memory-mapped file."""

from __future__ import annotations

import os
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from latebind._core import FileMapping
from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import FileOffset, StringTable, type_of_bytes
from latebind.elf.dynamic import Dynamic, read_dynamic
from latebind.elf.header import Header, read_header
from latebind.elf.note import NT_GNU_BUILD_ID, Note, read_notes
from latebind.elf.relocation import RELATIVE_TYPES, Relocation, RelocationTable, read_relocations, relocation_tables
from latebind.elf.section import SHT_SYMTAB, Section, read_sections
from latebind.elf.segment import PT_INTERP, PT_TLS, AddressMap, Segment, read_segments
from latebind.elf.symbol import Symbol, SymbolLayout, read_symbols
from latebind.elf.symbolhash import count_from_gnu_hash, count_from_sysv_hash
from latebind.elf.version import VersionDefinition, VersionNeed, read_definitions, read_needs
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried


class FileIdentity(NamedTuple):
    """Which file this was: device and inode, size in bytes, modification time in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Elf:
    """What one ELF file says. Made by `read`; immutable; every property raises `MalformedElf` on broken tables."""

    def __init__(self, path: str, data: type_of_bytes, identity: FileIdentity | None) -> None:
        self.path = path
        """Where it was read from; ``"<memory>"`` for bytes."""
        self.data = data
        self.identity = identity
        """The file's identity when it was opened; None for bytes."""
        self.header: Header
        self.header, self.source = read_header(path, data)

    def __repr__(self) -> str:
        h = self.header
        return f"<Elf {self.path}: {h.type_name} {h.machine_name} {h.bits}-bit>"

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
        return read_dynamic(self.source, self.segments, self.addresses)

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
        """All notes."""
        return read_notes(self.source, self.segments, () if self.segments else self.sections)

    @cached_property
    def build_id(self) -> str | None:
        """The GNU build-id in hexadecimal digits."""
        return next((n.desc.hex() for n in self.notes if n.owner == "GNU" and n.type == NT_GNU_BUILD_ID), None)

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
        return SymbolLayout(offset, self._symbol_count(offset), strings)

    def _symbol_count(self, symtab: int) -> int:
        """Neither the dynamic section nor the program headers give the number of symbols: the hash tables do."""
        if (at := self._table_offset(dyn.DT_HASH, "DT_HASH")) is not None:
            return count_from_sysv_hash(self.source, at)
        gnu = self._table_offset(dyn.DT_GNU_HASH, "DT_GNU_HASH")
        count = count_from_gnu_hash(self.source, gnu) if gnu is not None else None
        if count is not None:
            return count
        # Nothing is exported. In every known linker's output the strings follow the symbols; else relocations tell.
        strings = self._table_offset(dyn.DT_STRTAB, "DT_STRTAB")
        if strings is not None and strings > symtab:
            return (strings - symtab) // (24 if self.source.is64 else 16)
        return self._highest_referenced_symbol() + 1

    def _highest_referenced_symbol(self) -> int:
        return max((r.symbol for t in self.relocation_tables if t.tag != "RELR" for r in self._entries(t)), default=-1)

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
    def symbols(self) -> tuple[Symbol, ...]:
        """The dynamic symbols, symbol 0 included, so that an index in a relocation is an index here."""
        layout = self.symbol_layout
        if layout is None:
            return ()
        versym = self._table_offset(dyn.DT_VERSYM, "DT_VERSYM")
        defined = frozenset(d.index for d in self.version_definitions if not d.base)
        return read_symbols(self.source, layout, versym, self.version_names, defined)

    @cached_property
    def static_symbols(self) -> tuple[Symbol, ...]:
        """The symbols of .symtab, which a stripped file does not have."""
        table = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        if table is None:
            return ()
        if table.link >= len(self.sections):
            raise self.source.malformed(f"sh_link {table.link} of .symtab is beyond the {len(self.sections)} sections")
        link = self.sections[table.link]
        layout = SymbolLayout(
            table.offset,
            table.size // (24 if self.source.is64 else 16),
            StringTable(self.source, link.offset, link.size),
        )
        return read_symbols(self.source, layout)

    @cached_property
    def relocation_tables(self) -> tuple[RelocationTable, ...]:
        """The dynamic relocation tables, in the order in which they are applied."""
        return relocation_tables(self.dynamic, self.addresses)

    def _entries(self, table: RelocationTable) -> tuple[Relocation, ...]:
        relative = RELATIVE_TYPES.get(self.header.machine, 0)
        return tuple(read_relocations(self.source, table, self.header.machine, relative))

    @cached_property
    def relocations(self) -> tuple[Relocation, ...]:
        """All dynamic relocations, RELR's unpacked."""
        return tuple(chain.from_iterable(self._entries(t) for t in self.relocation_tables))


def read(file: str | os.PathLike[str] | bytes | memoryview, *, name: str | None = None) -> Elf:
    """Read an ELF file lazily.

    `file` is a path, or the file's bytes; `name` is what errors call it (default: the path).
    Raises `NotFound` where there is no such file, `MalformedElf` where it is not ELF, `SystemFailure` where the
    system refuses to read it.
    """
    if isinstance(file, (bytes, memoryview)):
        return Elf(name or "<memory>", file, None)
    path = os.fspath(file)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise NotFound(path, None, (Tried(path, "no such file"),)) from e
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, path) from e
    try:
        status = os.fstat(fd)
        identity = FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if not status.st_size:
            raise MalformedElf(path, 0, "not an ELF file: it is empty")
        data = memoryview(FileMapping(fd))
    except OSError as e:
        raise SystemFailure("mmap", e.errno or 0, path) from e
    finally:
        os.close(fd)
    return Elf(name or path, data, identity)
