"""Bounded reading of one ELF file's bytes.

Every number that comes out of a file is untrusted. All other modules of this package read through `ByteSource`,
which knows the file's class and byte order and answers each read beyond the end with a `MalformedElf` that names the
file and the offset.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NewType

from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator

FileOffset = NewType("FileOffset", int)
"""A position in the file, in bytes from its start."""
VirtualAddress = NewType("VirtualAddress", int)
"""An address as the file states it, before the object is mapped anywhere."""
RuntimeAddress = NewType("RuntimeAddress", int)
"""An address in the running process."""

type_of_bytes = bytes | memoryview

    1 << 20
)  # C++ names reach 100 KiB; no tool writes a longer one, and a bound keeps us from copying a whole file


@lru_cache(maxsize=256)
def compiled(prefix: str, layout: str) -> struct.Struct:
    """The `struct.Struct` for `layout` in the byte order `prefix` (``"<"`` or ``">"``)."""
    return struct.Struct(prefix + layout)


class ByteSource:
    """The bytes of one file, with its class and byte order.

    `is64` and `prefix` come from `e_ident`; `data` is anything that slices to bytes (a `memoryview` of a mapped file, `bytes`).
    """

    __slots__ = ("data", "is64", "name", "prefix", "size")

    def __init__(self, name: str, data: type_of_bytes, *, is64: bool, little: bool) -> None:
        self.name = name
        self.data = data
        self.size = len(data)
        self.is64 = is64
        self.prefix = "<" if little else ">"

    @property
    def little(self) -> bool:
        """Whether the file is little-endian (ELFDATA2LSB)."""
        return self.prefix == "<"

    def malformed(self, what: str, offset: int | None = None) -> MalformedElf:
        """The error for this file: what is wrong, and at which offset."""
        return MalformedElf(self.name, offset, what)

    def take(self, offset: int, size: int, what: str) -> bytes:
        """`size` bytes at `offset`; raises `MalformedElf` where they are not all in the file."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise self.malformed(f"{what} ({size} bytes) lies beyond the end of the file ({self.size} bytes)", offset)
        return bytes(self.data[offset : offset + size])

    def unpack(self, layout: str, offset: int, what: str) -> tuple[int, ...]:
        """One record with the `struct` layout `layout` at `offset`."""
        form = compiled(self.prefix, layout)
        if offset < 0 or offset + form.size > self.size:
            raise self.malformed(f"{what} lies beyond the end of the file ({self.size} bytes)", offset)
        return form.unpack_from(self.data, offset)

    def records(self, layout: str, offset: int, count: int, what: str) -> Iterator[tuple[int, ...]]:
        """`count` consecutive records; the whole table is checked against the file before the first is read."""
        form = compiled(self.prefix, layout)
        return form.iter_unpack(self.take(offset, count * form.size, what))


class StringTable:
    """A string table (gABI, "String Table"): read once, looked up by offset."""

    __slots__ = ("_bytes", "_offset", "_source")

    def __init__(self, source: ByteSource, offset: int, size: int) -> None:
        self._source = source
        self._offset = offset
        self._bytes = source.take(offset, size, "string table")

    def __getitem__(self, index: int) -> str:
        table = self._bytes
        end = table.find(b"\0", index)
        if end < 0 or index >= len(table):
            raise self._source.malformed(
                f"string index {index} lies outside its string table of {len(table)} bytes", self._offset
            )
        return table[index:end].decode("utf-8", "surrogateescape")

    def __len__(self) -> int:
        return len(self._bytes)
