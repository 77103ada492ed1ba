"""Symbol files: what a debugger is given for one of our objects, so that it knows functions and lines.

A small ELF file in memory whose sections have the names of the object's and their addresses in this process. It has no
symbols itself: its `.gnu_debuglink` (GDB manual, "Separate Debug Files") leads to the object's own file, which the
debugger then reads where it needs to, moved by the difference of the sections' addresses. The build id leads to
separate debug information that is installed. What was loaded from bytes gets a file without a name (memfd_create(2)).
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf.section import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_NOTE, SHT_PROGBITS, SHT_STRTAB
from latebind.elf.segment import PF_W, PF_X, PT_LOAD

if TYPE_CHECKING:
    from latebind.elf import Elf

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")  # gABI, "ELF Header"
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
# What the debugger must have here even where the file that it is led to is stripped of it.
_WITH_CONTENTS: Final = frozenset({".eh_frame", ".note.gnu.build-id"})


class _Section(NamedTuple):
    name: str
    type: int
    flags: int
    address: int
    size: int
    align: int
    contents: bytes = b""


def symbol_file(elf: Elf, base: int, path: str) -> bytes:
    """The symbol file for `elf`, which stands at load bias `base` and can be read as `path`."""
    link = os.fsencode(path) + b"\0"
    link += bytes(-len(link) % 4) + struct.pack("<I", zlib.crc32(elf.data))
    sections = [*(_moved(elf, base)), _Section(".gnu_debuglink", SHT_PROGBITS, 0, 0, len(link), 4, link)]
    names = b"\0" + b"".join(s.name.encode() + b"\0" for s in sections) + b".shstrtab\0"
    sections.append(_Section(".shstrtab", SHT_STRTAB, 0, 0, len(names), 1, names))
    return _written(elf, sections, names)


def _moved(elf: Elf, base: int) -> list[_Section]:
    """The sections that are in memory, with their addresses in the process; segments where there are no sections."""
    found = [
        _Section(
            s.name, s.type, s.flags, base + s.addr, s.size, s.addralign, bytes(elf.data[s.offset : s.offset + s.size])
        )
        if s.name in _WITH_CONTENTS and s.type in (SHT_PROGBITS, SHT_NOTE)
        else _Section(s.name, SHT_NOBITS, s.flags, base + s.addr, s.size, s.addralign)
        for s in elf.sections
        if s.flags & SHF_ALLOC
    ]  # fmt: skip
    loads = [s for s in elf.segments if s.type == PT_LOAD]
    return found or [
        _Section(
            ".text" if s.flags & PF_X else f".load{i}", SHT_NOBITS,
            SHF_ALLOC | (SHF_EXECINSTR if s.flags & PF_X else 0) | (SHF_WRITE if s.flags & PF_W else 0),
            base + s.vaddr, s.memsz, 16,
        )
        for i, s in enumerate(loads)
    ]  # fmt: skip


def _written(elf: Elf, sections: list[_Section], names: bytes) -> bytes:
    body, rows, at = bytearray(), [bytes(_SECTION.size)], _HEADER.size
    for s in sections:
        name = names.index(b"\0" + s.name.encode() + b"\0") + 1
        body += bytes(-(at + len(body)) % 8)
        rows.append(
            _SECTION.pack(name, s.type, s.flags, s.address % 2**64, at + len(body), s.size, 0, 0, s.align or 1, 0)
        )
        body += s.contents
    body += bytes(-(at + len(body)) % 8)
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = _HEADER.pack(
        ident, elf.header.type, elf.header.machine, 1, 0, 0, at + len(body), 0, _HEADER.size, 56, 0, _SECTION.size,
        len(rows), len(rows) - 1,
    )  # fmt: skip
    return header + bytes(body) + b"".join(rows)
