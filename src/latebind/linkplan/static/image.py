"""Writing the result: an ET_DYN file with program headers, the dynamic linker's tables, and section headers for people.

The tables come last, in a segment of their own, because their sizes are known only when everything else is done.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf import dynamic as dyn
from latebind.elf.segment import (
    PF_R,
    PF_W,
    PF_X,
    PT_DYNAMIC,
    PT_GNU_EH_FRAME,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_LOAD,
    PT_TLS,
)
from latebind.elf.symbol import SHN_ABS, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_SECTION, STT_TLS
from latebind.linkplan.static.layout import CODE, DATA, READ, RELRO, Layout, OutputSection
from latebind.linkplan.static.relocatable import SHF_ALLOC, SHF_TLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from latebind.linkplan.static.apply import DynamicRelocation
    from latebind.linkplan.static.layout import Chunk
    from latebind.linkplan.static.machine import Target
    from latebind.linkplan.static.symbols import LinkSymbol

HEADER, PROGRAM_HEADER, SECTION_HEADER = 64, 56, 64
MOST_SEGMENTS: Final = 9
HEADERS: Final = HEADER + MOST_SEGMENTS * PROGRAM_HEADER
"""Room for the ELF header and the program headers."""

SHT_STRTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC, SHT_DYNSYM, SHT_SYMTAB = 3, 4, 5, 6, 11, 2
SHT_GNU_VERNEED, SHT_GNU_VERSYM = 0x6FFFFFFE, 0x6FFFFFFF
_DYNAMIC_ENTRIES: Final = 24  # besides DT_NEEDED


def dynamic_size(needed: Sequence[str]) -> int:
    """How many bytes the dynamic section takes."""
    return 16 * (_DYNAMIC_ENTRIES + len(needed))


class Strings:
    """A string table being built; each text once."""

    def __init__(self) -> None:
        self.data = bytearray(1)
        self._known: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """The offset of `text`."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = len(self.data)
            self.data += text.encode("utf-8", "surrogateescape") + b"\0"
        return known


@dataclass(slots=True)
class Table:
    """A table behind the program's own sections. `tag` is the dynamic entry with its address."""

    name: str
    type: int
    contents: bytes
    tag: int | None
    entry: int = 0
    link: str = ""
    info: int = 0
    loaded: bool = True
    address: int = 0
    offset: int = 0


class Segment(NamedTuple):
    """A program header."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


def system_v_hash(name: str) -> int:
    """The gABI's hash of a symbol's or a version's name."""
    value = 0
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value << 4) + byte
        value = (value ^ (value & 0xF0000000) >> 24) & 0x0FFFFFFF
    return value


@dataclass
class Image:
    """What goes into the file."""

    target: Target
    layout: Layout
    dynamic: Chunk
    needed: Sequence[str]
    symbols: Sequence[LinkSymbol]
    """The dynamic symbols without the null one: what is imported, then what is exported."""
    all_symbols: Iterable[LinkSymbol]
    relocations: Sequence[DynamicRelocation]
    end: int
    flags: int
    eh_frame_header: Chunk | None
    executable_stack: bool = False
    soname: str | None = None
    tables: list[Table] = field(default_factory=list)
    strings: Strings = field(default_factory=Strings)

    def build(self) -> bytes:
        """The file."""
        sections = list(self.layout)
        numbers = {id(c): n for n, s in enumerate(sections, 1) for c in s.chunks}
        self._make_tables(numbers)
        body = bytearray(max((s.offset + s.size for s in sections if not s.is_nobits), default=HEADERS))
        self._place_tables(len(body))
        self._fill_dynamic()
        for section in sections:
            if section.name in {".init", ".fini"}:  # gaps between pieces are run through
                body[section.offset : section.offset + section.size] = (self.target.no_operation * section.size)[
                    : section.size
                ]
            for chunk in section.chunks if not section.is_nobits else ():
                body[chunk.address : chunk.address + len(chunk.contents)] = chunk.contents
        for table in self.tables:
            body += bytes(table.offset - len(body)) + table.contents
        headers, start = self._section_headers(sections, body)
        segments = self._segments()
        start_of_file = _elf_header(self.target.number, len(segments), start, len(headers) // SECTION_HEADER)
        for s in segments:
            start_of_file += struct.pack("<IIQQQQQQ", s.type, s.flags, s.offset, s.address, s.address, *s[4:])
        body[: len(start_of_file)] = start_of_file
        return bytes(body) + headers

    # the tables ---------------------------------------------------------------------------------------------------

    def _make_tables(self, numbers: dict[int, int]) -> None:
        for index, symbol in enumerate(self.symbols, 1):
            symbol.index = index
        tls = self._tls_start()
        symbols = bytes(24) + b"".join(_symbol(s, self.strings, numbers, tls) for s in self.symbols)
        needed = [self.strings.add(name) for name in self.needed]
        versions, needs, count = self._versions()
        if self.soname is not None:
            self.strings.add(self.soname)
        types = self.target.dynamic
        relocations = b"".join(
            struct.pack("<QQq", r.address, (r.symbol.index if r.symbol is not None else 0) << 32 | r.type, r.addend)
            for r in sorted(
                self.relocations, key=lambda r: (r.type != types.relative, r.type == types.irelative, r.address)
            )
        )
        first_global = 1 + sum(s.binding == STB_LOCAL for s in self.symbols)
        self.tables += [
            Table(".dynsym", SHT_DYNSYM, symbols, dyn.DT_SYMTAB, 24, ".dynstr", first_global),
            Table(".dynstr", SHT_STRTAB, bytes(self.strings.data), dyn.DT_STRTAB),
            Table(".hash", SHT_HASH, self._hash(), dyn.DT_HASH, 4, ".dynsym"),
        ]
        if count:
            self.tables += [
                Table(".gnu.version", SHT_GNU_VERSYM, versions, dyn.DT_VERSYM, 2, ".dynsym"),
                Table(".gnu.version_r", SHT_GNU_VERNEED, needs, dyn.DT_VERNEED, 0, ".dynstr", count),
            ]
        if relocations:
            self.tables.append(Table(".rela.dyn", SHT_RELA, relocations, dyn.DT_RELA, 24, ".dynsym"))
        self._needed_offsets = needed
        self._add_symtab(numbers, tls)

    def _add_symtab(self, numbers: dict[int, int], tls: int) -> None:
        """Every named symbol, for people and debuggers; not loaded."""
        strings = Strings()
        named = [s for s in self.all_symbols if s.defined and s.name and s.type != STT_SECTION and not s.discarded]
        named = [s for s in named if not s.name.startswith(".")]
        named = [s for s in named if s.absolute or s.chunk is not None]
        named.sort(key=lambda s: s.binding != STB_LOCAL)
        first_global = 1 + sum(s.binding == STB_LOCAL for s in named)
        data = bytes(24) + b"".join(_symbol(s, strings, numbers, tls) for s in named)
        self.tables += [
            Table(".symtab", SHT_SYMTAB, data, None, 24, ".strtab", first_global, loaded=False),
            Table(".strtab", SHT_STRTAB, bytes(strings.data), None, loaded=False),
        ]

    def _versions(self) -> tuple[bytes, bytes, int]:
        """The Versym array, the Verneed records, and the number of files in them (LSB core, "Symbol Versioning")."""
        indexes: dict[tuple[str, str], int] = {}
        for s in self.symbols:
            if s.version is not None and s.library is not None:
                indexes.setdefault((s.library, s.version), len(indexes) + 2)
        versym = struct.pack("<H", 0) + b"".join(
            struct.pack("<H", indexes.get((s.library or "", s.version or ""), 1)) for s in self.symbols
        )
        files = list(dict.fromkeys(library for library, _ in indexes))
        out = b""
        for number, file in enumerate(files):
            mine = [(version, index) for (library, version), index in indexes.items() if library == file]
            following = 0 if number == len(files) - 1 else 16 * (1 + len(mine))
            out += struct.pack("<HHIII", 1, len(mine), self.strings.add(file), 16, following)
            for position, (version, index) in enumerate(mine, 1):
                after = 16 if position < len(mine) else 0
                out += struct.pack("<IHHII", system_v_hash(version), 0, index, self.strings.add(version), after)
        return versym, out, len(files)

    def _hash(self) -> bytes:
        """DT_HASH (gABI, "Hash Table"): a bucket for about every second symbol."""
        count = len(self.symbols) + 1
        buckets = [0] * max(1, count // 2)
        chain = [0] * count
        for symbol in self.symbols:
            bucket = system_v_hash(symbol.name) % len(buckets)
            chain[symbol.index], buckets[bucket] = buckets[bucket], symbol.index
        return struct.pack(f"<II{len(buckets)}I{count}I", len(buckets), count, *buckets, *chain)

    def _place_tables(self, offset: int) -> None:
        align = self.layout.align
        address, offset = _up(self.end, align), _up(offset, align)
        for table in self.tables:
            address, offset = _up(address, 8), _up(offset, 8)
            table.address, table.offset = address if table.loaded else 0, offset
            address, offset = address + len(table.contents), offset + len(table.contents)

    def _fill_dynamic(self) -> None:
        by_name = {t.name: t for t in self.tables}
        entries = [(dyn.DT_NEEDED, at) for at in self._needed_offsets]
        if self.soname is not None:
            entries.append((dyn.DT_SONAME, self.strings.add(self.soname)))
        entries += [(t.tag, t.address) for t in self.tables if t.tag is not None]
        entries += [(dyn.DT_STRSZ, len(by_name[".dynstr"].contents)), (dyn.DT_SYMENT, 24)]
        if ".rela.dyn" in by_name:
            entries += [(dyn.DT_RELASZ, len(by_name[".rela.dyn"].contents)), (dyn.DT_RELAENT, 24)]
        if ".gnu.version_r" in by_name:
            entries.append((dyn.DT_VERNEEDNUM, by_name[".gnu.version_r"].info))
        for name, tag in ((".init", dyn.DT_INIT), (".fini", dyn.DT_FINI)):
            if (CODE, name) in self.layout.sections:
                entries.append((tag, self.layout.sections[CODE, name].address))
        for name, place, size in (
            (".init_array", dyn.DT_INIT_ARRAY, dyn.DT_INIT_ARRAYSZ),
            (".fini_array", dyn.DT_FINI_ARRAY, dyn.DT_FINI_ARRAYSZ),
        ):
            section = self.layout.sections.get((RELRO, name))
            if section is not None and section.size:
                entries += [(place, section.address), (size, section.size)]
        if self.flags & dyn.DF_TEXTREL:
            entries.append((dyn.DT_TEXTREL, 0))
        entries += [(dyn.DT_FLAGS, self.flags), (dyn.DT_FLAGS_1, dyn.DF_1_NOW)]
        data = b"".join(struct.pack("<QQ", *entry) for entry in entries)
        self.dynamic.contents[: len(data)] = data

    # headers ------------------------------------------------------------------------------------------------------

    def _tls_start(self) -> int:
        return min((s.address for s in self.layout if s.flags & SHF_TLS), default=0)

    def _segments(self) -> list[Segment]:
        align = self.layout.align
        found = [_load(self.layout.part(READ), PF_R, align, start=0)]
        for parts, flags in (((CODE,), PF_R | PF_X), ((RELRO, DATA), PF_R | PF_W)):
            sections = [s for part in parts for s in self.layout.part(part)]
            if any(s.size for s in sections):
                found.append(_load(sections, flags, align))
        loaded = [t for t in self.tables if t.loaded]
        size = loaded[-1].address + len(loaded[-1].contents) - loaded[0].address
        found.append(Segment(PT_LOAD, PF_R, loaded[0].offset, loaded[0].address, size, size, align))
        found.append(_whole(PT_DYNAMIC, PF_R | PF_W, self.dynamic, 8))
        tls = [s for s in self.layout if s.flags & SHF_TLS]
        if tls:
            start = self._tls_start()
            file_end = max((s.address + s.size for s in tls if not s.is_nobits), default=start)
            end = max(s.address + s.size for s in tls)
            found.append(Segment(PT_TLS, PF_R, start, start, file_end - start, end - start, self.layout.tls_align))
        if self.eh_frame_header is not None:
            found.append(_whole(PT_GNU_EH_FRAME, PF_R, self.eh_frame_header, 4))
        found.append(self._relro())
        stack = PF_R | PF_W | (PF_X if self.executable_stack else 0)
        return [*found, Segment(PT_GNU_STACK, stack, 0, 0, 0, 0, 16)]

    def _relro(self) -> Segment:
        sections = [s for s in self.layout.part(RELRO) if not s.is_nobits]
        start = sections[0].address
        size = _up(sections[-1].address + sections[-1].size, self.layout.page) - start
        return Segment(PT_GNU_RELRO, PF_R, start, start, size, size, 1)

    def _section_headers(self, sections: list[OutputSection], body: bytearray) -> tuple[bytes, int]:
        """The section header table, and where it starts; their names are appended to `body`."""
        names = Strings()
        order = [s.name for s in sections] + [t.name for t in self.tables]
        index = {name: n for n, name in enumerate(order, 1)}
        out = bytes(SECTION_HEADER)
        for s in sections:
            link = index[".dynstr"] if s.name == ".dynamic" else 0
            entry = 16 if s.name == ".dynamic" else 0
            out += struct.pack("<IIQQQQIIQQ", names.add(s.name), s.type, s.flags, s.address, s.offset, s.size, link, 0,
                               s.align, entry)  # fmt: skip
        for t in self.tables:
            flags = SHF_ALLOC if t.loaded else 0
            out += struct.pack("<IIQQQQIIQQ", names.add(t.name), t.type, flags, t.address, t.offset, len(t.contents),
                               index.get(t.link, 0), t.info, 8, t.entry)  # fmt: skip
        name = names.add(".shstrtab")
        at, size = len(body), len(names.data)
        out += struct.pack("<IIQQQQIIQQ", name, SHT_STRTAB, 0, 0, at, size, 0, 0, 1, 0)
        body += names.data + bytes(-(at + size) % 8)
        return out, len(body)


def _elf_header(machine: int, segments: int, sections_at: int, sections: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64-bit, little-endian, version 1, System V
    return ident + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, HEADER, sections_at, 0, HEADER, PROGRAM_HEADER, segments, SECTION_HEADER,
        sections, sections - 1,
    )  # fmt: skip


def _symbol(s: LinkSymbol, strings: Strings, numbers: dict[int, int], tls: int) -> bytes:
    value, section = s.address, 0
    if not s.defined:
        value, binding = 0, STB_GLOBAL if s.wanted else STB_WEAK
    else:
        binding = s.binding
        section = SHN_ABS if s.absolute or s.chunk is None else numbers.get(id(s.chunk), SHN_ABS)
        if s.type == STT_TLS:
            value -= tls
    size = s.size if s.defined else 0
    info = binding << 4 | s.type & 0xF
    return struct.pack("<IBBHQQ", strings.add(s.name), info, s.visibility, section, value % (1 << 64), size)


def _load(sections: list[OutputSection], flags: int, align: int, start: int | None = None) -> Segment:
    """A segment for consecutive sections; zeroed ones are at the end. `start` 0 takes the headers in."""
    taking_room = [s for s in sections if not s.flags & SHF_TLS or not s.is_nobits]
    first = start if start is not None else min(s.address for s in taking_room)
    file_end = max((s.address + s.size for s in taking_room if not s.is_nobits), default=first)
    end = max((s.address + s.size for s in taking_room), default=first)
    if start is not None:
        file_end, end = max(file_end, HEADERS), max(end, HEADERS)
    return Segment(PT_LOAD, flags, first, first, file_end - first, end - first, align)


def _whole(kind: int, flags: int, chunk: Chunk, align: int) -> Segment:
    size = len(chunk.contents)
    return Segment(kind, flags, chunk.address, chunk.address, size, size, align)


def _up(at: int, align: int) -> int:
    return -(-at // align) * align
