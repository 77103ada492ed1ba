"""LEB128, the variable-length numbers of packed relocations (DWARF 5, section 7.6), read within bounds.

A number is at most ten bytes long: longer encodings carry no more than 64 bits, and a run of padding bytes must not
become one huge Python integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

_LONGEST: Final = 10


class LebReader:
    """Reads numbers one after the other from `size` bytes at `offset`; `what` names the table in errors."""

    __slots__ = ("_at", "_bytes", "_offset", "_source", "_what")

    def __init__(self, source: ByteSource, offset: int, size: int, what: str) -> None:
        self._source = source
        self._offset = offset
        self._what = what
        self._bytes = source.take(offset, size, what)
        self._at = 0

    def octet(self) -> int:
        """The next byte."""
        at = self._at
        if at >= len(self._bytes):
            raise self._source.malformed(f"{self._what} is cut off", self._offset + at)
        self._at = at + 1
        return self._bytes[at]

    def unsigned(self) -> int:
        """The next ULEB128 number."""
        return self._number()[0]

    def signed(self) -> int:
        """The next SLEB128 number."""
        value, bits, negative = self._number()
        return value - (1 << bits) if negative else value

    def _number(self) -> tuple[int, int, bool]:
        """The bits read, how many, and whether the highest of them is set."""
        value = 0
        for length in range(_LONGEST):
            byte = self.octet()
            value |= (byte & 0x7F) << (7 * length)
            if byte < 0x80:
                return value, 7 * length + 7, bool(byte & 0x40)
        raise self._source.malformed(f"{self._what} holds a number of more than 64 bits", self._offset + self._at)
