"""ELF files made by hand, of either class and byte order, so that tests need no cross compiler and no binaries.

Addresses are file offsets: the one PT_LOAD maps the whole file at 0. Parts are added in any order and know their
address at once; `build` adds the tables that were described, and the headers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

HEADERS = 0x400  # room for the ELF header and up to a dozen program headers


@dataclass
class Image:
    """A file of 32 or 64 `bits`, `little`-endian or not, for `machine` (e_machine), of type `kind` (e_type)."""

    bits: int = 64
    little: bool = True
    machine: int = 62
    kind: int = 3
    sysv_hash: bool = True
    body: bytearray = field(default_factory=lambda: bytearray(HEADERS))
    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    symbols: list[tuple[int, int, int, int, int]] = field(default_factory=lambda: [(0, 0, 0, 0, 0)])
    tags: list[tuple[int, int]] = field(default_factory=list)
    segments: list[tuple[int, int, int, int]] = field(default_factory=list)
    sections: list[tuple[str, int, int, int, int, int, int, int]] = field(default_factory=list)

    def pack(self, layout: str, *values: int) -> bytes:
        """`values` in the file's byte order."""
        return struct.pack(("<" if self.little else ">") + layout, *values)

    def words(self, *values: int) -> bytes:
        """`values` as addresses of the file's class."""
        return self.pack(f"{len(values)}{'Q' if self.bits == 64 else 'I'}", *values)

    def add(self, data: bytes, align: int = 16) -> int:
        """Append `data`; its address."""
        self.body += bytes(-len(self.body) % align)
        at = len(self.body)
        self.body += data
        return at

    def string(self, text: str | bytes) -> int:
        """Append a string to the dynamic strings; its offset there."""
        at = len(self.strings)
        self.strings += (text.encode() if isinstance(text, str) else text) + b"\0"
        return at

    def symbol(self, name: str, value: int = 0, *, info: int = 0x12, section: int = 1, size: int = 0) -> int:
        """Add a dynamic symbol (by default a global function that is defined); its index."""
        self.symbols.append((self.string(name), value, size, info, section))
        return len(self.symbols) - 1

    def section(
        self, name: str, kind: int, data: bytes | tuple[int, int], *, flags: int = 0, link: int = 0, info: int = 0,
        entsize: int = 0,
    ) -> int:  # fmt: skip
        """Add a section over `data`, or over (address, size) of what is there; its index."""
        at, size = (self.add(data), len(data)) if isinstance(data, bytes) else data
        self.sections.append((name, kind, flags, at, size, link, info, entsize))
        return len(self.sections)

    def relocations(self, entries: list[tuple[int, int, int, int]], *, addends: bool = True) -> bytes:
        """A REL or RELA table of (place, type, symbol, addend)."""
        shift = 32 if self.bits == 64 else 8
        signed = "q" if self.bits == 64 else "i"
        rows = [
            self.words(place, symbol << shift | kind) + (self.pack(signed, addend) if addends else b"")
            for place, kind, symbol, addend in entries
        ]
        return b"".join(rows)

    def note(self, owner: bytes, kind: int, desc: bytes, align: int = 4) -> bytes:
        """One note, padded to `align`."""
        name = owner + b"\0"
        head = self.pack("III", len(name), len(desc), kind) + name
        head += bytes(-len(head) % align)
        return head + desc + bytes(-len(desc) % align)

    def build(self, *, dynamic: bool = True, headers: bool = False) -> bytes:
        """The file. `dynamic`: with symbols, strings and the dynamic section; `headers`: with section headers."""
        if dynamic:
            self._add_dynamic()
        names = self._section_names() if headers else []
        shoff = self.add(b"", 8) if headers else 0
        for row in names:
            self.body += row
        loads = [(1, 0, len(self.body), len(self.body)), *self.segments]
        size = 64 if self.bits == 64 else 52
        rows = b"".join(self._program_header(*s) for s in loads)
        assert size + len(rows) <= HEADERS, "more program headers than there is room for"
        ident = b"\x7fELF" + bytes([self.bits // 32, 1 if self.little else 2, 1]) + bytes(9)
        header = ident + self.pack("HHI", self.kind, self.machine, 1) + self.words(0, size, shoff)
        header += self.pack(
            "IHHHHHH", 0, size, 56 if self.bits == 64 else 32, len(loads), 64 if self.bits == 64 else 40,
            len(names), len(names) - 1 if names else 0,
        )  # fmt: skip
        self.body[:HEADERS] = (header + rows).ljust(HEADERS, b"\0")
        return bytes(self.body)

    def _program_header(self, kind: int, offset: int, filesz: int, memsz: int) -> bytes:
        if self.bits == 64:
            return self.pack("IIQQQQQQ", kind, 7, offset, offset, offset, filesz, memsz, 4 if kind == 4 else 8)
        return self.pack("IIIIIIII", kind, offset, offset, offset, filesz, memsz, 7, 4)

    def _section_names(self) -> list[bytes]:
        """The rows of the section header table, the last one naming the names."""
        texts, offsets = bytearray(b"\0"), []
        for name in [*(s[0] for s in self.sections), ".shstrtab"]:
            offsets.append(len(texts))
            texts += name.encode() + b"\0"
        rows = [*self.sections, ("", 3, 0, self.add(bytes(texts)), len(texts), 0, 0, 0)]
        word = "Q" if self.bits == 64 else "I"
        layout = f"II{word}{word}{word}{word}II{word}{word}"
        packed = [
            self.pack(layout, offset, kind, flags, at if self.kind != 1 else 0, at, size, link, info, 1, entsize)
            for offset, (_, kind, flags, at, size, link, info, entsize) in zip(offsets, rows, strict=True)
        ]
        return [bytes(64 if self.bits == 64 else 40), *packed]

    def symbol_table(self) -> bytes:
        """The symbols as a table."""
        if self.bits == 64:
            return b"".join(self.pack("IBBHQQ", n, i, 0, sec, v, s) for n, v, s, i, sec in self.symbols)
        return b"".join(self.pack("IIIBBH", n, v, s, i, 0, sec) for n, v, s, i, sec in self.symbols)

    def _add_dynamic(self) -> None:
        symtab = self.add(self.symbol_table())
        tags = [*self.tags, (5, self.add(bytes(self.strings), 1)), (10, len(self.strings)), (6, symtab)]
        if self.sysv_hash:  # one bucket: every symbol in one chain
            count = len(self.symbols)
            chain = [0, *range(2, count), 0][:count] if count > 1 else [0]
            wide = self.bits == 64 and self.machine in {22, 0x9026}  # s390x and Alpha
            tags.append(
                (4, self.add(self.pack(f"{3 + count}{'Q' if wide else 'I'}", 1, count, int(count > 1), *chain)))
            )
        at = self.add(b"".join(self.words(tag, value) for tag, value in [*tags, (0, 0)]))
        self.segments.append((2, at, len(self.body) - at, len(self.body) - at))
