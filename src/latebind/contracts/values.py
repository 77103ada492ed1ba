"""Python values checked against scalars, text, bytes and lists, one by one, before anything is made of them.

Everything here raises plain TypeError, ValueError or OverflowError about the value alone: the callers know the method
and the parameter, and whether a wrong value is the caller's mistake or the plugin's.
"""

from __future__ import annotations

import math
import operator
import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final

from latebind.contracts.types import BOOL, FLOAT32, Enumeration, ListOf, Scalar

_SIGNED: Final = frozenset("bhilqn")
_UNSIGNED: Final = frozenset("BHILQN")


def checked_scalar(kind: Scalar, value: object) -> bool | int | float:
    """The value as exactly a bool, an int in range or a float."""
    if kind.family == "bool":
        if not isinstance(value, bool):
            raise TypeError(f"expected bool, not {type_of(value)}")
        return value
    if kind.family == "int":
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"expected int, not {type_of(value)}") from None
        low, high = kind.range
        if not low <= number <= high:
            raise OverflowError(f"{_shorten(number)} is outside of {kind.name} ({low} to {high})")
        return number
    if isinstance(value, str | bytes | bytearray) or not hasattr(type(value), "__float__"):
        raise TypeError(f"expected float, not {type_of(value)}")
    try:
        real = float(value)  # type: ignore[arg-type]
        if kind is FLOAT32:
            struct.pack("<f", real)  # raises for what would become infinite; without "<" it does not
    except OverflowError:
        raise OverflowError(f"{_shorten(value)} is outside of {kind.name}") from None
    return real


def checked_utf8(value: object) -> bytes:
    """A str as UTF-8."""
    if not isinstance(value, str):
        raise TypeError(f"expected str, not {type_of(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError as e:
        raise ValueError(f"the character {value[e.start]!a} at index {e.start} has no UTF-8 form") from None


def checked_buffer(value: object) -> memoryview:
    """Bytes, or any contiguous buffer."""
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"expected bytes or a buffer, not {type_of(value)}") from None
    if not view.c_contiguous:
        raise ValueError("the buffer is not contiguous")
    return view


def checked_items(kind: ListOf, value: object) -> Sequence[object]:
    """A list or another sequence."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"expected {kind.name}, not {type_of(value)}")
    return value


def checked_numbers(kind: ListOf, value: object) -> memoryview:
    """Numbers one after the other as they lie in memory: a fitting buffer itself, any other sequence as a copy."""
    element = kind.element
    if isinstance(element, Enumeration):
        return memoryview(array("i", each(checked_items(kind, value), element.number)))
    assert isinstance(element, Scalar)
    if not isinstance(value, list | tuple):
        try:
            view = memoryview(value)  # type: ignore[arg-type]
        except TypeError:
            view = None
        if view is not None:
            if not _fits(element, view):
                raise TypeError(f"a buffer of format {view.format!r} with {view.ndim} dimensions is no {kind.name}")
            return view
    numbers = each(checked_items(kind, value), lambda item: checked_scalar(element, item))
    return memoryview(array("B" if element is BOOL else element.code, numbers))


def each(items: Sequence[object], check: Any) -> list[Any]:
    """`check` of each item; an error gets the item's index."""
    found = []
    for index, item in enumerate(items):
        try:
            found.append(check(item))
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"element {index}: {e}") from None
    return found


def type_of(value: object) -> str:
    """A value's type for a message."""
    return type(value).__name__


def _fits(element: Scalar, view: memoryview) -> bool:
    code = view.format.lstrip("@=<")
    if view.ndim != 1 or not view.c_contiguous or view.itemsize != element.size:
        return False
    if element.family == "int":
        return code in (_UNSIGNED if element.code.isupper() else _SIGNED)
    return code == element.code


def _shorten(value: object) -> str:
    # Not every int may be turned into digits (sys.set_int_max_str_digits), and no message wants thousands of them.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of about {math.ceil(value.bit_length() / math.log2(10))} digits"
    return str(value)
