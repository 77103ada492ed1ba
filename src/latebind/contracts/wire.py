"""The wire layout: arguments and results as bytes, for a plugin that lives in another process or another machine.

`docs/contracts.md` specifies it ("The wire"). Everything is little-endian and unaligned: numbers in their size, a
bool as one byte, an enumeration as int32; text, bytes and lists begin with their length as an unsigned LEB128; an
optional value with a byte that is 0 or 1; records are their fields in order; a handle or an iterator is a uint64 that
whoever serves it gives out, 0 for a handle that may be missing and is. A message names neither method nor types: both
sides have the same contract, which the layout digest proves.

What is decoded comes from a plugin and is not trusted: whatever is cut off, too long or out of range is a ValueError.
"""

from __future__ import annotations

import struct
import sys
from array import array
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts.types import (
    BOOL,
    INT32,
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
    checked_buffer,
    checked_items,
    checked_numbers,
    checked_scalar,
    checked_utf8,
    each,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.contracts.model import Parameter

_LENGTH_BITS: Final = 63  # of a length; more cannot be meant
_REFERENCE: Final = struct.Struct("<Q")


class Status(IntEnum):
    """The first byte of an answer: the LB_… numbers of `latebind.h`."""

    OK = 0
    FAILED = 1
    NOT_PROVIDED = 2
    END = 3


def encode_arguments(parameters: Sequence[Parameter], arguments: Sequence[object]) -> bytes:
    """One argument a parameter, one after the other. Raises TypeError, ValueError or OverflowError with its name."""
    out = bytearray()
    for parameter, value in zip(parameters, arguments, strict=True):
        try:
            _write(out, parameter.kind, value)
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"parameter {parameter.name}: {e}") from None
    return bytes(out)


def decode_arguments(parameters: Sequence[Parameter], data: bytes) -> list[object]:
    """The arguments that `encode_arguments` wrote. ValueError for anything else."""
    reader = _Reader(data)
    arguments = []
    for parameter in parameters:
        try:
            arguments.append(reader.read(parameter.kind))
        except ValueError as e:
            raise ValueError(f"parameter {parameter.name}: {e}") from None
    reader.end()
    return arguments


def encode_result(kind: ResultKind, value: object) -> bytes:
    """An answer that went well. A handle or an iterator is given as its number, None for one that is missing."""
    out = bytearray([Status.OK])
    if isinstance(kind, IteratorOf | HandleTo) or handle_in(kind) is not None:
        out += _REFERENCE.pack(_reference(kind, value))
    elif isinstance(kind, Nothing):
        if value is not None:
            raise TypeError(f"expected None, not {type_of(value)}")
    else:
        _write(out, kind, value)
    return bytes(out)


def encode_failure(status: Status, message: str = "") -> bytes:
    """An answer that did not: its status, and why."""
    if status is Status.OK:
        raise ValueError("an answer that went well has a result and no message")
    return bytes([status]) + message.encode("utf-8", "backslashreplace")


def decode_answer(kind: ResultKind, data: bytes) -> tuple[Status, object]:
    """The status and the result, or the status and the message. ValueError for what is no answer."""
    if not data:
        raise ValueError("the answer is empty")
    try:
        status = Status(data[0])
    except ValueError:
        raise ValueError(f"the unknown status {data[0]}") from None
    if status is not Status.OK:
        return status, data[1:].decode("utf-8", "replace")
    reader = _Reader(data, 1)
    value = reader.read_result(kind)
    reader.end()
    return status, value


def _reference(kind: ResultKind, value: object) -> int:
    if value is None and isinstance(kind, OptionalOf):
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected the number of a {kind.name}, not {type_of(value)}")
    if not 0 < value < 1 << 64:
        raise OverflowError(f"{value} is no number of a {kind.name}")
    return value


def _write(out: bytearray, kind: DataKind, value: object) -> None:
    if isinstance(kind, Scalar):
        out += struct.pack(f"<{kind.code}", checked_scalar(kind, value))
    elif isinstance(kind, Enumeration):
        out += struct.pack("<i", kind.number(value))
    elif isinstance(kind, Text):
        _sized(out, checked_utf8(value))
    elif isinstance(kind, Bytes):
        _sized(out, checked_buffer(value).tobytes())
    elif isinstance(kind, ListOf):
        _write_list(out, kind, value)
    elif isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        out.append(value is not None)
        if value is not None:
            _write(out, kind.element, value)
    else:
        _write_record(out, kind, value)


def _write_list(out: bytearray, kind: ListOf, value: object) -> None:
    element = kind.element
    if isinstance(element, Scalar | Enumeration):
        view = checked_numbers(kind, value)
        _length(out, view.nbytes // view.itemsize)
        out += _swapped(array("b" if view.itemsize == 1 else _code(element), view.tobytes())).tobytes()
        return
    items = checked_items(kind, value)
    _length(out, len(items))

    def write(item: object) -> None:
        _write(out, element, item)

    each(items, write)


def _write_record(out: bytearray, kind: Record, value: object) -> None:
    if not isinstance(value, kind.cls):
        raise TypeError(f"expected {kind.title}, not {type_of(value)}")
    for field in kind.fields:
        try:
            _write(out, field.kind, getattr(value, field.name))
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"{kind.title}.{field.name}: {e}") from None


def _sized(out: bytearray, data: bytes) -> None:
    _length(out, len(data))
    out += data


def _length(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _code(element: Scalar | Enumeration) -> str:
    scalar = INT32 if isinstance(element, Enumeration) else element
    return "B" if scalar is BOOL else scalar.code


def _swapped(numbers: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class _Reader:
    """Reads values from the front of a message to its end, and never beyond."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def end(self) -> None:
        """The message must be read to its end."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes follow the end of the message")

    def read_result(self, kind: ResultKind) -> object:
        """A result of any kind; a handle or an iterator as its number."""
        if isinstance(kind, Nothing):
            return None
        if isinstance(kind, IteratorOf) or handle_in(kind) is not None:
            number = int(_REFERENCE.unpack(self._take(_REFERENCE.size))[0])
            if not number and not isinstance(kind, OptionalOf):
                raise ValueError(f"the number of a {kind.name} is 0")
            return number or None
        assert not isinstance(kind, HandleTo)
        return self.read(kind)

    def read(self, kind: DataKind) -> object:  # noqa: PLR0911 - one case a kind
        """A value."""
        if isinstance(kind, Scalar):
            return self._bool() if kind is BOOL else struct.unpack(f"<{kind.code}", self._take(kind.size))[0]
        if isinstance(kind, Enumeration):
            return kind.member(struct.unpack("<i", self._take(4))[0])
        if isinstance(kind, Text):
            return self._text()
        if isinstance(kind, Bytes):
            return self._take(self._length())
        if isinstance(kind, ListOf):
            return self._list(kind)
        if isinstance(kind, OptionalOf):
            assert not isinstance(kind.element, HandleTo)
            return self.read(kind.element) if self._bool() else None
        values = []
        for field in kind.fields:
            try:
                values.append(self.read(field.kind))
            except ValueError as e:
                raise ValueError(f"{kind.title}.{field.name}: {e}") from e
        return kind.make(values)

    def _list(self, kind: ListOf) -> list[Any]:
        count, element = self._length(), kind.element
        if isinstance(element, Scalar | Enumeration):
            size = 4 if isinstance(element, Enumeration) else element.size
            numbers = _swapped(array(_code(element), self._take(count * size))).tolist()
            if element is BOOL and any(n > 1 for n in numbers):
                raise ValueError("a byte in a list of bool is neither 0 nor 1")
            if isinstance(element, Enumeration):
                return each(numbers, element.member)
            return [bool(n) for n in numbers] if element is BOOL else numbers
        # Every element takes a byte at least, so a length that lies cannot make us read, or reserve, more than came.
        if count > len(self._data) - self._at:
            raise ValueError(f"a list of {count} elements is longer than the message")
        return each(range(count), lambda _: self.read(element))

    def _bool(self) -> bool:
        byte = self._take(1)[0]
        if byte > 1:
            raise ValueError(f"the byte {byte} is neither 0 nor 1")
        return byte == 1

    def _text(self) -> str:
        data = self._take(self._length())
        try:
            return data.decode()
        except UnicodeDecodeError as e:
            raise ValueError(f"the text is not UTF-8: {e.reason} at byte {e.start}") from None

    def _length(self) -> int:
        number = shift = 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= _LENGTH_BITS:
                raise ValueError("a length of more than 63 bits")
        return number

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"the message ends {end - len(self._data)} bytes early")
        data = self._data[self._at : end]
        self._at = end
        return data
