"""Where everything goes: chunks of the inputs gathered into output sections, and addresses for them.

Four segments, each on pages of its own: what is only read, what is executed, what is written (the part that is only
written by relocation first, so that it can be protected afterwards: RELRO), and the dynamic linker's tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from latebind.elf.section import SHT_NOBITS, SHT_NOTE
from latebind.errors import Unsupported
from latebind.linkplan.static.relocatable import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_TLS,
    SHF_WRITE,
    Reference,
    Relocatable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Section
    from latebind.linkplan.static.symbols import LinkSymbol

MOST_ALIGNMENT: Final = 1 << 21
"""A huge page; larger alignments are refused."""

SHT_PROGBITS, SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY = 1, 14, 15, 16
READ, CODE, RELRO, DATA = range(4)
"""The parts of the result, in order; the last two share a segment."""

# The usual output section for names such as .text.unlikely.f; longest prefix first.
_GATHERED: Final = (
    ".data.rel.ro", ".init_array", ".fini_array", ".gcc_except_table", ".eh_frame", ".text", ".rodata", ".tdata",
    ".tbss", ".ctors", ".dtors", ".data", ".bss",
)  # fmt: skip
_RENAMED: Final = {".ctors": ".init_array", ".dtors": ".fini_array"}
_FIRST: Final = {
    READ: (".eh_frame_hdr", ".eh_frame", ".gcc_except_table", ".rodata"),
    CODE: (".plt", ".text"),
    RELRO: (".tdata", ".tbss", ".init_array", ".fini_array", ".data.rel.ro", ".dynamic", ".got"),
    DATA: (".data",),
}


@dataclass(eq=False, slots=True)
class Chunk:
    """A piece of the result: a section of an input, or something that the linker makes. `address` comes with layout."""

    name: str
    file: Relocatable | None
    contents: bytearray
    size: int
    align: int
    references: list[tuple[Reference, LinkSymbol]] = field(default_factory=list)
    address: int = 0


@dataclass(eq=False, slots=True)
class OutputSection:
    """A section of the result. `offset` is its place in the file; NOBITS takes none."""

    name: str
    part: int
    type: int
    flags: int
    chunks: list[Chunk] = field(default_factory=list)
    address: int = 0
    offset: int = 0
    size: int = 0

    @property
    def align(self) -> int:
        """The largest alignment of its chunks."""
        return max((c.align for c in self.chunks), default=1)

    @property
    def is_nobits(self) -> bool:
        """Whether it is all zero and takes no room in the file."""
        return self.type == SHT_NOBITS


def output_name(name: str) -> str:
    """``".text.hot.f"`` → ``".text"``; names that mean nothing to the linker stay."""
    for prefix in _GATHERED:
        if name == prefix or name.startswith(prefix + "."):
            return prefix
    return name


def is_dropped(section: Section) -> bool:
    """What has no place in the result: what is not loaded, and notes that describe the input alone."""
    return not section.flags & SHF_ALLOC or (section.type == SHT_NOTE and section.name == ".note.gnu.property")


def priority(name: str) -> tuple[int, str]:
    """The order of constructors in the result: by number, the unnumbered ones last; .ctors count down from 65535."""
    found = re.fullmatch(r"\.(init_array|fini_array|ctors|dtors)(?:\.(\d+))?", name)
    if found is None or found[2] is None:
        return (1 << 16, "")
    number = int(found[2])
    return (65535 - number if found[1] in {"ctors", "dtors"} else number, "")


class Layout:
    """The output sections, and after `place` their addresses. `page` is the machine's largest, in bytes."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.sections: dict[tuple[int, str], OutputSection] = {}

    def section(self, name: str, part: int, kind: int, flags: int) -> OutputSection:
        """The output section of that name, made if new. Of several types the one with contents counts."""
        known = self.sections.get((part, name))
        if known is None:
            known = self.sections[part, name] = OutputSection(name, part, kind, flags | SHF_ALLOC)
        known.flags |= flags
        if known.is_nobits and kind != SHT_NOBITS:
            known.type = kind
        return known

    def add(self, section: Section, file: Relocatable) -> Chunk:
        """Make a section of an input part of the result."""
        if section.addralign > MOST_ALIGNMENT:
            raise Unsupported(file.name, f"section {section.name} is aligned to {section.addralign}")
        name = output_name(section.name)
        if name == ".preinit_array":
            raise Unsupported(file.name, "has .preinit_array, which only programs may have")
        chunk = Chunk(section.name, file, bytearray(file.contents(section)), section.size, max(section.addralign, 1))
        part, kind = _part(section, name, file), section.type
        name = _RENAMED.get(name, name)
        if name in {".init_array", ".fini_array"}:
            part, kind = RELRO, SHT_INIT_ARRAY if name == ".init_array" else SHT_FINI_ARRAY
        elif kind != SHT_NOBITS:
            kind = SHT_NOTE if kind == SHT_NOTE else SHT_PROGBITS
        flags = section.flags & (SHF_WRITE | SHF_EXECINSTR | SHF_TLS)
        if flags & SHF_TLS:
            name = ".tbss" if kind == SHT_NOBITS else ".tdata"
        elif kind == SHT_NOBITS:
            name = ".bss"
        self.section(name, part, kind, flags).chunks.append(chunk)
        return chunk

    def make(self, name: str, part: int, contents: bytes, *, align: int = 8, kind: int = SHT_PROGBITS) -> Chunk:
        """A chunk of the linker's own."""
        flags = {READ: 0, CODE: SHF_EXECINSTR}.get(part, SHF_WRITE)
        chunk = Chunk(name, None, bytearray(contents), len(contents), align)
        self.section(output_name(name), part, kind, flags).chunks.append(chunk)
        return chunk

    def reserve(self, name: str, size: int, align: int) -> Chunk:
        """Zeroed data, for a COMMON symbol."""
        chunk = Chunk(name, None, bytearray(), size, max(align, 1))
        self.section(".bss", DATA, SHT_NOBITS, SHF_WRITE).chunks.append(chunk)
        return chunk

    def part(self, part: int) -> list[OutputSection]:
        """The sections of one part in the order of their addresses: what takes no room in the file comes last."""
        known = {name: n for n, name in enumerate(_FIRST[part])}
        own = [s for s in self.sections.values() if s.part == part]
        return sorted(own, key=lambda s: (s.is_nobits and not s.flags & SHF_TLS, known.get(s.name, len(known))))

    def __iter__(self) -> Iterator[OutputSection]:
        for part in (READ, CODE, RELRO, DATA):
            yield from self.part(part)

    @property
    def align(self) -> int:
        """What segments must be aligned to: pages, or more where a section asks for it."""
        return max(self.page, *(s.align for s in self.sections.values())) if self.sections else self.page

    def place(self, headers: int) -> int:
        """Give everything its address, behind `headers` bytes of ELF and program headers; returns the end.

        Up to the zeroed data at the end, file offsets are addresses.
        """
        at = headers
        for part in (READ, CODE, RELRO, DATA):
            if part != READ:
                at = _up(at, self.align if part != DATA else self.page)
            for section in self.part(part):
                at = self._place(section, at)
        return at

    def _place(self, section: OutputSection, at: int) -> int:
        tls = section.flags & SHF_TLS
        start = _up(at, self.tls_align if tls and section.name == ".tdata" else section.align)
        section.address = section.offset = start
        end = start
        for chunk in section.chunks:
            chunk.address = _up(end, chunk.align)
            end = chunk.address + chunk.size
        section.size = end - start
        # Zeroed thread-local variables are in each thread's block, not in the image: they take no addresses.
        return at if tls and section.is_nobits else end

    @property
    def tls_align(self) -> int:
        """The alignment of the thread-local block."""
        return max((s.align for s in self.sections.values() if s.flags & SHF_TLS), default=1)

    def sort_constructors(self) -> None:
        """Order constructors and destructors by their priority."""
        for name in (".init_array", ".fini_array"):
            section = self.sections.get((RELRO, name))
            if section is not None:
                section.chunks.sort(key=lambda c: priority(c.name))


def _part(section: Section, name: str, file: Relocatable) -> int:
    if section.flags & SHF_WRITE and section.flags & SHF_EXECINSTR:
        raise Unsupported(file.name, f"section {section.name} is writable and executable")
    if section.flags & SHF_EXECINSTR:
        return CODE
    if section.flags & SHF_TLS or name in {".data.rel.ro", ".init_array", ".fini_array", ".ctors", ".dtors"}:
        return RELRO
    return DATA if section.flags & SHF_WRITE else READ


def _up(at: int, align: int) -> int:
    return -(-at // align) * align
