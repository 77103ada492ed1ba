"""Section and program headers as rows. Unlike `elf.section` and `elf.segment` these accept a wrong entry size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf.bytesource import FileOffset, VirtualAddress
from latebind.elf.segment import Segment

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

SECTION_HEADER_SIZE: Final = {True: 64, False: 40}
PROGRAM_HEADER_SIZE: Final = {True: 56, False: 32}
"""Bytes of one entry, by whether the file is of the 64-bit class."""


class SectionHeader(NamedTuple):
    """One section header. `name` is an offset in the section name table; `size` and `offset` are bytes."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


def read_section_headers(source: ByteSource, offset: int, count: int) -> tuple[SectionHeader, ...]:
    """`count` section headers from `offset` on; raises `MalformedElf` where they are not all in the file."""
    layout = "IIQQQQIIQQ" if source.is64 else "IIIIIIIIII"
    return tuple(SectionHeader(*row) for row in source.records(layout, offset, count, "section headers"))


def read_program_headers(source: ByteSource, offset: int, count: int) -> tuple[Segment, ...]:
    """`count` program headers from `offset` on; raises `MalformedElf` where they are not all in the file."""
    rows = source.records("IIQQQQQQ" if source.is64 else "IIIIIIII", offset, count, "program headers")
    if source.is64:
        return tuple(
            Segment(kind, flags, FileOffset(at), VirtualAddress(vaddr), paddr, filesz, memsz, align)
            for kind, flags, at, vaddr, paddr, filesz, memsz, align in rows
        )
    return tuple(
        Segment(kind, flags, FileOffset(at), VirtualAddress(vaddr), paddr, filesz, memsz, align)
        for kind, at, vaddr, paddr, filesz, memsz, flags, align in rows
    )
