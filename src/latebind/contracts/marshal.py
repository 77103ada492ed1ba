"""Values of Python as arguments of C functions, and results of C functions as values of Python.

Scalars, enumerations, text, bytes and lists are passed by value; records and optional values as a pointer to their
image in memory (`image.py`), which is never null. Results are written where the caller says; handles and iterators
are pointers, which `opened.py` wraps.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from latebind.contracts.clayout import size_of
from latebind.contracts.image import Copy, Keeper, pack, pack_items, scalar, span, unpack
from latebind.contracts.types import (
    BOOL,
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
from latebind.contracts.values import (
    address_of,
    checked_buffer,
    checked_numbers,
    checked_scalar,
    checked_utf8,
    type_of,
)


class Span(ctypes.Structure):
    """lb_str, lb_bytes and the lists: an address and a size, as they come from C."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))
    data: int | None
    size: int


class View(ctypes.Structure):
    """The same as `Span`, made in Python: assigning bytes to `data` keeps them alive as long as the view.

    `keep` holds whatever else the memory belongs to.
    """

    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))
    keep: object


class Pointed:
    """A pointer to the image of a record or an optional value; it keeps alive what the image points to."""

    __slots__ = ("_as_parameter_", "keep")

    def __init__(self, image: bytes, keep: Keeper) -> None:
        self._as_parameter_ = ctypes.c_void_p(keep(image))
        self.keep = keep


_SCALARS: Final[dict[str, type[Any]]] = {
    "?": ctypes.c_bool,
    "b": ctypes.c_int8,
    "B": ctypes.c_uint8,
    "h": ctypes.c_int16,
    "H": ctypes.c_uint16,
    "i": ctypes.c_int32,
    "I": ctypes.c_uint32,
    "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


def argument_type(kind: DataKind) -> type[Any]:
    """The ctypes type of an argument that Python hands to C."""
    if isinstance(kind, Record | OptionalOf):
        return ctypes.c_void_p
    if isinstance(kind, Enumeration):
        return ctypes.c_int32
    return _SCALARS[kind.code] if isinstance(kind, Scalar) else View


def received_type(kind: DataKind) -> type[Any]:
    """The ctypes type of an argument that C hands to Python."""
    if isinstance(kind, Record | OptionalOf):
        return ctypes.c_void_p
    return result_type(kind)


def result_type(kind: ResultKind) -> type[Any]:
    """The ctypes type that a C function writes its result to. A bool comes as a byte: C may write any byte."""
    if isinstance(kind, Scalar):
        return ctypes.c_uint8 if kind is BOOL else _SCALARS[kind.code]
    if isinstance(kind, Enumeration):
        return ctypes.c_int32
    if isinstance(kind, HandleTo | IteratorOf) or handle_in(kind) is not None:
        return ctypes.c_void_p
    if isinstance(kind, Record | OptionalOf):
        return ctypes.c_char * size_of(kind)
    return Span


def check_argument(kind: ResultKind, value: object) -> None:
    """Raise TypeError, ValueError or OverflowError if `value` is none of the kind; handles and iterators pass."""
    if isinstance(kind, HandleTo | IteratorOf) or handle_in(kind) is not None:
        return
    if isinstance(kind, Nothing):
        if value is not None:
            raise TypeError(f"expected None, not {type_of(value)}")
        return
    encode(kind, value)


def encode(kind: DataKind, value: object) -> Any:  # noqa: PLR0911 - one case a kind
    """What a C function of `argument_type(kind)` takes for `value`; it keeps the memory alive that it points to."""
    if isinstance(kind, Scalar):
        return checked_scalar(kind, value)
    if isinstance(kind, Text):
        data = checked_utf8(value)
        return View(data, len(data))
    if isinstance(kind, Bytes):
        return View(value, len(value)) if isinstance(value, bytes) else _view_of_buffer(checked_buffer(value), 1)
    if isinstance(kind, Enumeration):
        return kind.number(value)
    keep = Keeper()
    if isinstance(kind, ListOf):
        if isinstance(kind.element, Scalar | Enumeration):
            return _view_of_buffer(checked_numbers(kind, value), size_of(kind.element))
        data, count = pack_items(kind, value, keep)
        view = View(data, count)
        view.keep = keep
        return view
    return Pointed(pack(kind, value, keep), keep)


def decode(kind: ResultKind, received: Any, copy: Copy) -> object:
    """The Python value of what C handed over; ValueError says what is wrong with it.

    `received` is a number, a `Span`, or for records and optional values the bytes of their image; a handle or an
    iterator stays the number that its pointer is.
    """
    if isinstance(kind, Scalar):
        return scalar(kind, received)
    if isinstance(kind, Text | Bytes | ListOf):
        return span(kind, received.data, received.size, copy)
    if isinstance(kind, Enumeration):
        return kind.member(received)
    if isinstance(kind, IteratorOf | HandleTo) or handle_in(kind) is not None:
        if not received and not isinstance(kind, OptionalOf):
            what = "iterator" if isinstance(kind, IteratorOf) else "handle"
            raise ValueError(f"the {what} is a null pointer")
        return received
    if isinstance(kind, Record | OptionalOf):
        return unpack(kind, received, 0, copy)
    return None


def decode_argument(kind: DataKind, received: Any, copy: Copy) -> object:
    """The same for an argument in a `received_type(kind)`."""
    if isinstance(kind, Record | OptionalOf):
        if not received:
            raise ValueError("a null pointer")
        received = copy(received, size_of(kind))
    return decode(kind, received, copy)


def _view_of_buffer(buffer: memoryview, size: int) -> View:
    """A view of a buffer's own memory; nothing is copied."""
    if not buffer.nbytes:
        return View(b"", 0)  # of which the address is not null
    view = View.from_buffer(Span(address_of(buffer), buffer.nbytes // size))
    view.keep = buffer
    return view
