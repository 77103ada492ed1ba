"""Values of Python as values of C, and back: what each kind of `types.py` looks like to ctypes.

`encode` checks a Python value and makes what a C function takes; `decode` reads what one answered. Both raise plain
TypeError, ValueError or OverflowError about the value alone: the callers know the method and the parameter, and
whether a wrong value is the caller's mistake or the plugin's.
"""

from __future__ import annotations

import ctypes
import math
import operator
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from latebind.contracts.types import BOOL, FLOAT32, Bytes, Kind, ListOf, ResultKind, Scalar, Text

Copy: TypeAlias = Callable[[int, int], bytes]
"""(address, size) → bytes; ValueError where that memory is not there. `Context.copy` is one."""


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
_SIGNED: Final = frozenset("bhilqn")
_UNSIGNED: Final = frozenset("BHILQN")


def argument_type(kind: Kind) -> type[Any]:
    """The ctypes type of an argument that Python hands to C."""
    return _SCALARS[kind.code] if isinstance(kind, Scalar) else View


def received_type(kind: Kind) -> type[Any]:
    """The ctypes type of a value that C hands to Python. A bool comes as a byte, since C may hand over any byte."""
    if isinstance(kind, Scalar):
        return ctypes.c_uint8 if kind is BOOL else _SCALARS[kind.code]
    return Span


def check_argument(kind: ResultKind, value: object) -> None:
    """Raise TypeError, ValueError or OverflowError if `value` is none of the kind."""
    if isinstance(kind, Scalar | Text | Bytes | ListOf):
        encode(kind, value)
    elif value is not None:
        raise TypeError(f"expected None, not {_type(value)}")


def encode(kind: Kind, value: object) -> Any:
    """What a C function of `argument_type(kind)` takes for `value`; it keeps the memory alive that it points to."""
    if isinstance(kind, Scalar):
        return encode_scalar(kind, value)
    if isinstance(kind, Text):
        data = _utf8(value)
        return View(data, len(data))
    if isinstance(kind, Bytes):
        return _encode_bytes(value)
    if isinstance(kind.element, Text):
        views = [encode(kind.element, item) for item in _items(kind, value)]
        return _view_of((View * len(views))(*views), len(views), views)
    return _encode_numbers(kind.element, kind, value)


def encode_scalar(kind: Scalar, value: object) -> bool | int | float:
    """The value as exactly a bool, an int in range or a float."""
    if kind.family == "bool":
        if not isinstance(value, bool):
            raise TypeError(f"expected bool, not {_type(value)}")
        return value
    if kind.family == "int":
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"expected int, not {_type(value)}") from None
        low, high = kind.range
        if not low <= number <= high:
            raise OverflowError(f"{_shorten(number)} is outside of {kind.name} ({low} to {high})")
        return number
    if isinstance(value, str | bytes | bytearray) or not hasattr(type(value), "__float__"):
        raise TypeError(f"expected float, not {_type(value)}")
    try:
        real = float(value)  # type: ignore[arg-type]
        if kind is FLOAT32:
            struct.pack("<f", real)  # raises for what would become infinite; without "<" it does not
    except OverflowError:
        raise OverflowError(f"{_shorten(value)} is outside of {kind.name}") from None
    return real


def decode(kind: ResultKind, received: Any, copy: Copy) -> object:
    """The Python value of what C handed over in a `received_type(kind)`; ValueError says what is wrong with it."""
    if isinstance(kind, Scalar):
        if kind is BOOL and received not in {0, 1}:
            raise ValueError(f"the byte {received} is neither false (0) nor true (1)")
        return bool(received) if kind is BOOL else received
    if isinstance(kind, Text):
        return _text(_fetch(received.data, received.size, 1, copy))
    if isinstance(kind, Bytes):
        return _fetch(received.data, received.size, 1, copy)
    if isinstance(kind, ListOf):
        if isinstance(kind.element, Text):
            table = _fetch(received.data, received.size, ctypes.sizeof(Span), copy)
            return [_text(_fetch(data, size, 1, copy)) for data, size in struct.iter_unpack("NN", table)]
        return _numbers(kind.element, _fetch(received.data, received.size, kind.element.size, copy))
    return None


def _encode_bytes(value: object) -> View:
    if isinstance(value, bytes):
        return View(value, len(value))
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"expected bytes or a buffer, not {_type(value)}") from None
    if not view.c_contiguous:
        raise ValueError("the buffer is not contiguous")
    return _view_of_buffer(view, view.nbytes)


def _encode_numbers(element: Scalar, kind: ListOf, value: object) -> View:
    """Numbers one after the other: a fitting buffer as it lies, any other sequence as a copy."""
    if not isinstance(value, list | tuple):
        try:
            view = memoryview(value)  # type: ignore[arg-type]
        except TypeError:
            view = None
        if view is not None:
            if not _fits(element, view):
                raise TypeError(f"a buffer of format {view.format!r} with {view.ndim} dimensions is no {kind.name}")
            return _view_of_buffer(view, view.nbytes // element.size)
    items = _items(kind, value)
    numbers: list[Any] = []
    for index, item in enumerate(items):
        try:
            numbers.append(encode_scalar(element, item))
        except (TypeError, OverflowError) as e:
            raise type(e)(f"element {index}: {e}") from None
    data = array("B" if element is BOOL else element.code, numbers)
    return View(data.tobytes(), len(data))


def _fits(element: Scalar, view: memoryview) -> bool:
    code = view.format.lstrip("@=<")
    if view.ndim != 1 or not view.c_contiguous or view.itemsize != element.size:
        return False
    if element.family == "int":
        return code in (_UNSIGNED if element.code.isupper() else _SIGNED)
    return code == element.code


def _view_of_buffer(view: memoryview, count: int) -> View:
    """A view of a buffer's own memory if ctypes can reach it (it must be writable), else of a copy."""
    if view.readonly or not view.nbytes:
        return View(view.tobytes(), count)
    return _view_of((ctypes.c_char * view.nbytes).from_buffer(view), count, view)


def _view_of(memory: ctypes.Array[Any], count: int, keep: object) -> View:
    # An empty ctypes array has memory of its own too, so the address is never null.
    view = View.from_buffer(Span(ctypes.addressof(memory), count))
    view.keep = (memory, keep)
    return view


def _items(kind: ListOf, value: object) -> Sequence[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"expected {kind.name}, not {_type(value)}")
    return value


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


def _utf8(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"expected str, not {_type(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError as e:
        raise ValueError(f"the character {value[e.start]!a} at index {e.start} has no UTF-8 form") from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise ValueError(f"the text is not UTF-8: {e.reason} at byte {e.start}") from None


def _type(value: object) -> str:
    return type(value).__name__


def _shorten(value: object) -> str:
    # Not every int may be turned into digits (sys.set_int_max_str_digits), and no message wants thousands of them.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of about {math.ceil(value.bit_length() / math.log2(10))} digits"
    return str(value)
