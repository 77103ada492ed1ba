"""Values of Python as arguments of C functions, and what C hands over as values of Python.

Scalars and enumerations are one argument; text, bytes and lists are two, address and size: C sees a structure by value,
and `latebind.ffi` passes its members one by one. Records and optional values are a pointer to their image in memory
(`image.py`), which is never null. Handles and iterators are pointers, which `opened.py` wraps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.contracts.clayout import size_of
from latebind.contracts.image import Copy, Keeper, pack, pack_items, scalar, span, unpack
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
    handle_in,
)
from latebind.contracts.values import checked_buffer, checked_numbers, checked_scalar, checked_utf8, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[[Any, Keeper], tuple[Any, ...]]
    """(value, keeper) → the arguments of the core for it; the keeper holds what else must live during the call."""


def check_argument(kind: ResultKind, value: object) -> None:
    """Raise TypeError, ValueError or OverflowError if `value` is none of the kind; handles and iterators pass."""
    if isinstance(kind, HandleTo | IteratorOf) or handle_in(kind) is not None:
        return
    if isinstance(kind, Nothing):
        if value is not None:
            raise TypeError(f"expected None, not {type_of(value)}")
        return
    encoder(kind)(value, Keeper())


def encoder(kind: DataKind) -> Encode:  # noqa: PLR0911 - one case a kind
    """What makes arguments of values of a kind. It raises TypeError, ValueError or OverflowError about the value."""
    if isinstance(kind, Scalar):
        return lambda value, _: (checked_scalar(kind, value),)
    if isinstance(kind, Text):
        return _text
    if isinstance(kind, Bytes):
        return _bytes
    if isinstance(kind, Enumeration):
        return lambda value, _: (kind.number(value),)
    if isinstance(kind, ListOf):
        if not isinstance(kind.element, Scalar | Enumeration):
            return lambda value, keep: pack_items(kind, value, keep)
        size = size_of(kind.element)
        return lambda value, _: _buffer(checked_numbers(kind, value), size)
    return lambda value, keep: (pack(kind, value, keep),)


def passed(kind: ResultKind) -> bool:
    """Whether C gives a result of this kind as one number; else it writes an image."""
    if isinstance(kind, Scalar | Enumeration | HandleTo | IteratorOf):
        return True
    return handle_in(kind) is not None


def decode(kind: ResultKind, received: Any, copy: Copy) -> object:
    """The Python value of a result that C wrote; ValueError says what is wrong with it.

    `received` is a number where `passed(kind)`, else an image. A handle or an iterator stays the number that its
    pointer is.
    """
    if isinstance(kind, Scalar):
        return scalar(kind, received)
    if isinstance(kind, Enumeration):
        return kind.member(received)
    if isinstance(kind, IteratorOf | HandleTo) or handle_in(kind) is not None:
        if not received and not isinstance(kind, OptionalOf):
            what = "iterator" if isinstance(kind, IteratorOf) else "handle"
            raise ValueError(f"the {what} is a null pointer")
        return received
    assert not isinstance(kind, Nothing)
    return unpack(kind, received, 0, copy)


def decode_argument(kind: DataKind, received: Any, copy: Copy) -> object:
    """The same for an argument that C passes: a number, the address of an image, or (address, size)."""
    if isinstance(kind, Text | Bytes | ListOf):
        address, count = received
        return span(kind, address, count, copy)
    if isinstance(kind, Record | OptionalOf):
        if not received:
            raise ValueError("a null pointer")
        received = copy(received, size_of(kind))
    return decode(kind, received, copy)


def _text(value: object, _keep: Keeper) -> tuple[bytes, int]:
    data = checked_utf8(value)
    return data, len(data)


def _bytes(value: object, _keep: Keeper) -> tuple[bytes | memoryview, int]:
    return (value, len(value)) if isinstance(value, bytes) else _buffer(checked_buffer(value), 1)


def _buffer(buffer: memoryview, size: int) -> tuple[bytes | memoryview, int]:
    """A buffer's own memory, nothing is copied: the core holds the buffer during the call."""
    if not buffer.nbytes:
        return b"", 0  # of which the address is not null
    return buffer, buffer.nbytes // size
