"""Values as they lie in C memory: `pack` makes such an image of a Python value, `unpack` reads one.

What a value points to (text, lists) is handed to a `Place`, which keeps it somewhere and tells where; what an image
points to is fetched through a `Copy`, which checks every address. `clayout.py` says what lies where.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from latebind import _core
from latebind.contracts.clayout import field_places, optional_place, size_of
from latebind.contracts.types import (
    BOOL,
    INT32,
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    ListOf,
    OptionalOf,
    Record,
    Scalar,
    Text,
)
from latebind.contracts.values import (
    checked_buffer,
    checked_items,
    checked_numbers,
    checked_scalar,
    checked_utf8,
    each,
    type_of,
)

Copy: TypeAlias = Callable[[int, int], bytes]
"""(address, size) → bytes; ValueError where that memory is not there. `Context.copy` is one."""

Place: TypeAlias = Callable[[bytes], int]
"""Keeps bytes somewhere, followed by a zero byte and aligned to 16, and answers their address."""

_SPAN: Final = struct.Struct("PN")  # lb_str, lb_bytes and the lists: address and size


class Memory(_core.Memory):
    """Some bytes in memory, of whatever type."""

    __slots__ = ()


class Keeper(list[object]):
    """A `Place` for the arguments of one call: the memory lives as long as the keeper."""

    def __call__(self, data: bytes) -> int:
        """Keep the object itself: CPython's bytes are followed by a zero byte, and never move."""
        held = _core.memory_view(Memory, data, 0, len(data))
        self.append(held)
        return _core.memory_address(held)


def write(address: int, data: bytes) -> None:
    """Copy bytes to where nobody checks that memory is."""
    memoryview(_core.memory_at(Memory, address, len(data), None))[:] = data


def pack(kind: DataKind, value: object, place: Place) -> bytes:  # noqa: PLR0911 - one case a kind
    """The image of a value; TypeError, ValueError or OverflowError if it is none of the kind."""
    if isinstance(kind, Scalar):
        return struct.pack(f"={kind.code}", checked_scalar(kind, value))
    if isinstance(kind, Text):
        data = checked_utf8(value)
        return _SPAN.pack(place(data), len(data))
    if isinstance(kind, Bytes):
        data = checked_buffer(value).tobytes()
        return _SPAN.pack(place(data), len(data))
    if isinstance(kind, Enumeration):
        return struct.pack("=i", kind.number(value))
    if isinstance(kind, ListOf):
        data, count = pack_items(kind, value, place)
        return _SPAN.pack(place(data), count)
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        if value is None:
            return bytes(size_of(kind))
        return b"\1".ljust(optional_place(kind), b"\0") + pack(kind.element, value, place)
    return _pack_record(kind, value, place)


def pack_items(kind: ListOf, value: object, place: Place) -> tuple[bytes, int]:
    """The elements of a list one after the other, and their number."""
    element = kind.element
    if isinstance(element, Text):
        # One block of text for all of them: placing each by itself would cost more than the rest together.
        texts = each(checked_items(kind, value), checked_utf8)
        table, at = array("L"), place(b"\0".join(texts))
        for text in texts:
            table.extend((at, len(text)))
            at += len(text) + 1
        return table.tobytes(), len(texts)
    if isinstance(element, Record):
        items = each(checked_items(kind, value), lambda item: _pack_record(element, item, place))
        return b"".join(items), len(items)
    view = checked_numbers(kind, value)
    return view.tobytes(), view.nbytes // view.itemsize


def _pack_record(kind: Record, value: object, place: Place) -> bytes:
    if not isinstance(value, kind.cls):
        raise TypeError(f"expected {kind.title}, not {type_of(value)}")
    image = bytearray(size_of(kind))
    for field, at in zip(kind.fields, field_places(kind), strict=True):
        try:
            part = pack(field.kind, getattr(value, field.name), place)
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"{kind.title}.{field.name}: {e}") from None
        image[at : at + len(part)] = part
    return bytes(image)


def unpack(kind: DataKind, image: bytes, at: int, copy: Copy) -> object:
    """The value whose image begins at `at`; ValueError says what is wrong with it."""
    if isinstance(kind, Scalar):
        return scalar(kind, struct.unpack_from("=B" if kind is BOOL else f"={kind.code}", image, at)[0])
    if isinstance(kind, Enumeration):
        return kind.member(struct.unpack_from("=i", image, at)[0])
    if isinstance(kind, Text | Bytes | ListOf):
        address, count = _SPAN.unpack_from(image, at)
        return span(kind, address, count, copy)
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        if not scalar(BOOL, image[at]):
            return None
        return unpack(kind.element, image, at + optional_place(kind), copy)
    values = []
    for field, offset in zip(kind.fields, field_places(kind), strict=True):
        try:
            values.append(unpack(field.kind, image, at + offset, copy))
        except ValueError as e:
            raise ValueError(f"{kind.title}.{field.name}: {e}") from e
    return kind.make(values)


def scalar(kind: Scalar, received: Any) -> Any:
    """A number as C handed it over. A bool comes as a byte, since C may hand over any byte."""
    if kind is not BOOL:
        return received
    if received not in {0, 1}:
        raise ValueError(f"the byte {received} is neither false (0) nor true (1)")
    return bool(received)


def span(kind: Text | Bytes | ListOf, address: int | None, count: int, copy: Copy) -> object:
    """Text, bytes or a list, of which C gave address and number of elements."""
    if isinstance(kind, Text):
        return _text(_fetch(address, count, 1, copy))
    if isinstance(kind, Bytes):
        return _fetch(address, count, 1, copy)
    element = kind.element
    size = size_of(element)
    data = _fetch(address, count, size, copy)
    if isinstance(element, Scalar):
        return _numbers(element, data)
    if isinstance(element, Text):
        return [_text(_fetch(where, length, 1, copy)) for where, length in _SPAN.iter_unpack(data)]
    if isinstance(element, Enumeration):
        return each(_numbers(INT32, data), element.member)
    return each(range(0, len(data), size), lambda at: unpack(element, data, at, copy))


def _numbers(element: Scalar, data: bytes) -> list[Any]:
    numbers = array("B" if element is BOOL else element.code, data).tolist()
    if element is BOOL:
        wrong = next((n for n in numbers if n > 1), None)
        if wrong is not None:
            raise ValueError(f"the byte {wrong} in the list is neither false (0) nor true (1)")
        return [n == 1 for n in numbers]
    return numbers


def _fetch(address: int | None, count: int, size: int, copy: Copy) -> bytes:
    """`count` elements of `size` bytes at `address`."""
    if not count:
        return b""
    if not address:
        raise ValueError(f"a null pointer with a length of {count}")
    if count * size > sys.maxsize:
        raise ValueError(f"a length of {count} is more than memory can hold")
    try:
        return copy(address, count * size)
    except MemoryError:
        raise ValueError(f"a length of {count} is more than memory can hold") from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise ValueError(f"the text is not UTF-8: {e.reason} at byte {e.start}") from None
