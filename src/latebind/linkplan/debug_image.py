"""The debug information of a relocatable file as a file of its own, relocated, and nothing in it compressed.

Readers of DWARF expect that of a linked file. In a relocatable one every reference between the debug sections is a
relocation; the simple ones of elf/raw/relocated.py are what occurs there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from latebind.elf.header import ET_DYN
from latebind.elf.raw.relocated import relocated
from latebind.elf.section import SHF_ALLOC, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_STRTAB

if TYPE_CHECKING:
    from latebind.elf import Elf, Section

_HEADER = {True: ("HHIQQQIHHHHHH", 64, 64), False: ("HHIIIIIHHHHHH", 52, 40)}


def debug_image(elf: Elf) -> tuple[bytes, dict[int, int]]:
    """An ELF file with the debug sections of `elf` alone, and the address that it gives each section in memory.

    In a relocatable file every section starts at 0; here each has a place of its own, so that an address says which one
    it is in. Raises `MalformedElf` and `Unsupported` as reading the sections does.
    """
    bases: dict[int, int] = {}
    end = 0
    for section in elf.sections:
        if section.flags & SHF_ALLOC:
            align = max(section.addralign, 1)
            bases[section.index] = end = (end + align - 1) // align * align
            end += section.size + 1  # an empty section has its own address, too
    return _image(elf, bases), bases


def _image(elf: Elf, bases: dict[int, int]) -> bytes:
    sections = [(s.name, _contents(elf, s, bases)) for s in elf.sections if s.name.startswith((".debug_", ".zdebug_"))]
    names = bytearray(b"\0")
    order = "<" if elf.source.little else ">"
    layout, header_size, entry_size = _HEADER[elf.source.is64]
    row = f"{order}II{'QQQQ' if elf.source.is64 else 'IIII'}II{'QQ' if elf.source.is64 else 'II'}"
    rows, body = [struct.pack(row, *[0] * 10)], bytearray(header_size)
    for name, data in [*sections, (".shstrtab", b"")]:
        at, offset = len(names), len(body)
        names += name.replace(".zdebug_", ".debug_").encode("utf-8", "surrogateescape") + b"\0"
        body += data or (bytes(names) if name == ".shstrtab" else b"")
        kind = SHT_STRTAB if name == ".shstrtab" else SHT_PROGBITS
        rows.append(struct.pack(row, at, kind, 0, 0, offset, len(body) - offset, 0, 0, 1, 0))
    fields = (
        ET_DYN, elf.header.machine, 1, 0, 0, len(body), 0, header_size, 0, 0, entry_size, len(rows), len(rows) - 1,
    )  # fmt: skip
    body[:16] = bytes(elf.data[:16])
    body[16:header_size] = struct.pack(order + layout, *fields)
    return bytes(body) + b"".join(rows)


def _contents(elf: Elf, section: Section, bases: dict[int, int]) -> bytes:
    """A section's bytes, decompressed, with the relocations for it applied."""
    contents = elf.section_contents(section)
    for table in elf.sections:
        if table.type in {SHT_REL, SHT_RELA} and table.info == section.index and table.link < len(elf.sections):
            has_addend = table.type == SHT_RELA
            word = 8 if elf.source.is64 else 4
            layout = ("QQq" if elf.source.is64 else "IIi")[: 3 if has_addend else 2]
            count = table.size // (word * len(layout))
            found = elf.source.records(layout, table.offset, count, "relocation table")
            rows = [(r[0], r[1], r[2] if has_addend else 0) for r in found]
            symbols = [
                (0, s.info, s.other, s.section, s.value + bases.get(s.section, 0), s.size)
                for s in elf.section_symbols(elf.sections[table.link])
            ]
            # fields of latebind.elf.raw.symbol.Row: name, info, other, section, value, size
            contents = relocated(
                contents, rows, symbols, machine=elf.header.machine, source=elf.source, has_addend=has_addend
            )
    return contents
