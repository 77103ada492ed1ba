"""Bounded reading of one ELF file's bytes.

Every number that comes out of a file is untrusted. All other modules of this package read through `ByteSource`,
which knows the file's class and byte order and answers each read beyond the end with a `MalformedElf` that names the
file and the offset.

Bounds alone do not keep a hostile file cheap: tables may overlap, so that a few kilobytes describe gigabytes. What
could grow that way is paid for with `spend`, which allows each kind of table a fixed multiple of the file's size.
"""

from __future__ import annotations

import struct
import sys
from array import array
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NewType

from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FileOffset = NewType("FileOffset", int)
"""A position in the file, in bytes from its start."""
VirtualAddress = NewType("VirtualAddress", int)
"""An address as the file states it, before the object is mapped anywhere."""
RuntimeAddress = NewType("RuntimeAddress", int)
"""An address in the running process."""

type_of_bytes = bytes | memoryview

_HOST_IS_LITTLE: Final = sys.byteorder == "little"
_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LEAST_BUDGET: Final = 1 << 16  # so that small files need not be frugal
_USUAL_STRING: Final = 128  # bytes; the symbols of C++ are longer now and then
_BUDGET_FACTOR: Final = 4  # tables of one kind that together are larger than this many files overlap


@lru_cache(maxsize=256)
def compiled(prefix: str, layout: str) -> struct.Struct:
    """The `struct.Struct` for `layout` in the byte order `prefix` (``"<"`` or ``">"``)."""
    return struct.Struct(prefix + layout)


class ByteSource:
    """The bytes of one file, with its class and byte order.

    `is64` and `prefix` come from `e_ident`; `data` is the whole file.
    """

    __slots__ = ("_spent", "_view", "data", "is64", "name", "prefix", "size")

    def __init__(self, name: str, data: type_of_bytes, *, is64: bool, little: bool) -> None:
        self.name = name
        self.data = data
        self.size = len(data)
        self.is64 = is64
        self.prefix = "<" if little else ">"
        self._view = memoryview(data)
        self._spent: dict[str, int] = {}

    @property
    def little(self) -> bool:
        """Whether the file is little-endian (ELFDATA2LSB)."""
        return self.prefix == "<"

    @property
    def word(self) -> int:
        """The size of an address in bytes: 8 or 4."""
        return 8 if self.is64 else 4

    def malformed(self, what: str, offset: int | None = None) -> MalformedElf:
        """The error for this file: what is wrong, and at which offset."""
        return MalformedElf(self.name, offset, what)

    def spend(self, kind: str, amount: int, offset: int | None = None) -> None:
        """Account `amount` bytes to the tables of `kind`; raises `MalformedElf` where they can only overlap."""
        spent = self._spent[kind] = self._spent.get(kind, 0) + amount
        if spent > _BUDGET_FACTOR * self.size + _LEAST_BUDGET:
            raise self.malformed(
                f"its {kind} overlap: together they hold more than {_BUDGET_FACTOR} times the file", offset
            )

    def view(self, offset: int, size: int, what: str) -> memoryview:
        """`size` bytes at `offset` without copying; raises `MalformedElf` where they are not all in the file."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise self.malformed(f"{what} ({size} bytes) lies beyond the end of the file ({self.size} bytes)", offset)
        return self._view[offset : offset + size]

    def take(self, offset: int, size: int, what: str) -> bytes:
        """`size` bytes at `offset`; raises `MalformedElf` where they are not all in the file."""
        return bytes(self.view(offset, size, what))

    def unpack(self, layout: str, offset: int, what: str) -> tuple[int, ...]:
        """One record with the `struct` layout `layout` at `offset`."""
        form = compiled(self.prefix, layout)
        if offset < 0 or offset + form.size > self.size:
            raise self.malformed(f"{what} lies beyond the end of the file ({self.size} bytes)", offset)
        return form.unpack_from(self.data, offset)

    def records(self, layout: str, offset: int, count: int, what: str) -> Iterator[tuple[int, ...]]:
        """`count` consecutive records; the whole table is checked against the file before the first is read."""
        form = compiled(self.prefix, layout)
        return form.iter_unpack(self.view(offset, count * form.size, what))

    def numbers(self, offset: int, count: int, width: int, what: str) -> array[int]:
        """`count` consecutive unsigned numbers of `width` bytes each, in this machine's byte order."""
        found = array(_CODES[width])
        found.frombytes(self.view(offset, count * width, what))
        if self.little != _HOST_IS_LITTLE:
            found.byteswap()
        return found


class StringTable:
    """A string table (gABI, "String Table"): read once, looked up by offset.

    Strings may share their ends, and in a hostile table every offset is the start of another long string: what is
    decoded in all is bounded by a multiple of the table's size.
    """

    __slots__ = ("_known", "_offset", "_source", "_spent", "_table")

    def __init__(self, source: ByteSource, offset: int, size: int) -> None:
        self._source = source
        self._offset = offset
        self._table = source.view(offset, size, "string table")
        self._known: dict[int, str] = {}
        self._spent = 0

    def __getitem__(self, index: int) -> str:
        known = self._known.get(index)
        return self._decode(index) if known is None else known

    def __len__(self) -> int:
        return len(self._table)

    def _decode(self, index: int) -> str:
        found = self._bytes_at(index)
        if found is None:
            raise self._source.malformed(
                f"string index {index} lies outside its string table of {len(self._table)} bytes", self._offset
            )
        self._spent += len(found)
        if self._spent > 16 * len(self._table) + _LEAST_BUDGET:
            raise self._source.malformed("the strings of a string table overlap again and again", self._offset)
        text = self._known[index] = found.decode("utf-8", "surrogateescape")
        return text

    def _bytes_at(self, index: int) -> bytes | None:
        """The string at `index`, or None where its end is not in the table. Copies little of a table of megabytes."""
        size = _USUAL_STRING
        while index < len(self._table):
            part = bytes(self._table[index : index + size])
            end = part.find(b"\0")
            if end >= 0:
                return part[:end]
            if index + size >= len(self._table):
                return None
            size *= 16
        return None

    def many(self, indexes: Sequence[int]) -> list[str]:
        """The strings at `indexes`, all at once: for whole symbol tables, several times faster than one by one."""
        table = bytes(self._table)
        if table.count(b"\0") > 4 * len(indexes) + 64:  # most of the table belongs to others
            return [self[index] for index in indexes]
        known = _whole(table)
        found = list(map(known.get, indexes))
        # What is left are offsets into the middle of a string, which linkers use to share suffixes, and bad ones.
        return [self[index] if text is None else text for text, index in zip(found, indexes, strict=True)]


def _whole(table: bytes) -> dict[int, str]:
    """Offset → string for every string of the table, each from its beginning."""
    if table.isascii():
        texts = table.decode("ascii").split("\0")
        texts.pop()  # what follows the last terminator is no string
        starts = accumulate(map(len, texts), lambda at, length: at + length + 1, initial=0)
        return dict(zip(starts, texts, strict=False))
    parts = table.split(b"\0")
    parts.pop()
    starts = accumulate(map(len, parts), lambda at, length: at + length + 1, initial=0)
    return dict(zip(starts, (part.decode("utf-8", "surrogateescape") for part in parts), strict=False))
