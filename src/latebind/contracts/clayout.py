"""How each kind lies in memory: size, alignment and the places of fields, by the rules of the C ABI.

The numbers are those of the System V ABIs for x86-64 and AArch64 (and of every other 64-bit one that matters): each
scalar is aligned to its size, a struct to its most aligned member, and its size is a multiple of that.
"""

from __future__ import annotations

import struct
from typing import Final

from latebind.contracts.types import (
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
)

POINTER: Final = struct.calcsize("P")


def size_of(kind: ResultKind) -> int:
    """Bytes of one value in memory, without what it points to."""
    return _size_and_alignment(kind)[0]


def alignment_of(kind: ResultKind) -> int:
    """Its address is a multiple of this."""
    return _size_and_alignment(kind)[1]


def field_places(record: Record) -> tuple[int, ...]:
    """The offset of each field, in bytes."""
    return _record(record)[0]


def optional_place(kind: OptionalOf) -> int:
    """The offset of the value behind its flag."""
    return alignment_of(kind.element)


def _size_and_alignment(kind: ResultKind) -> tuple[int, int]:  # noqa: PLR0911 - one case a kind
    if isinstance(kind, Scalar):
        return kind.size, kind.size
    if isinstance(kind, Enumeration):
        return 4, 4
    if isinstance(kind, Text | Bytes | ListOf):
        return 2 * POINTER, POINTER
    if isinstance(kind, HandleTo | IteratorOf) or (isinstance(kind, OptionalOf) and isinstance(kind.element, HandleTo)):
        return POINTER, POINTER
    if isinstance(kind, Record):
        return _record(kind)[1:]
    if isinstance(kind, OptionalOf):
        size, alignment = _size_and_alignment(kind.element)
        return alignment + size, alignment
    assert isinstance(kind, Nothing)
    return 0, 1


def _record(record: Record) -> tuple[tuple[int, ...], int, int]:
    if not record.memo:
        record.memo.append(_places([f.kind for f in record.fields]))
    return record.memo[0]


def _places(kinds: list[DataKind]) -> tuple[tuple[int, ...], int, int]:
    """The offsets of members one after the other, then size and alignment of the whole."""
    places, end, most = [], 0, 1
    for kind in kinds:
        size, alignment = _size_and_alignment(kind)
        start = _round_up(end, alignment)
        places.append(start)
        end, most = start + size, max(most, alignment)
    return tuple(places), _round_up(end, most), most


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
