"""What else can be passed as a pointer: a Python function, a value whose class differs, an object with an address.

The core asks here about what it does not know (src/core/py_pointer.c).
"""

from __future__ import annotations

from typing import Any

from latebind import _core
from latebind.ffi.ctype import CType, Kind, Record

Converted = tuple[int, object]
"""An address, and what must be kept as long as it is used."""


def pointer(type_: CType | None, value: Any) -> Converted | None:
    """What `value` is as the pointer, or record by value, `type_`, for a call; None if nothing.

    Raises TypeError, or what goes wrong with a field, with a reason.
    """
    if type_ is not None and type_.kind is Kind.RECORD:
        return _by_value(type_, value)
    if type_ is not None and type_.kind is Kind.VECTOR:
        return _vector(type_, value)
    if isinstance(value, _core.Memory):
        return _memory(type_, value) if type_ is not None else (_core.memory_address(value), value)
    address = getattr(value, "address", None)
    if isinstance(address, int) and not isinstance(value, type):  # a Callback, or who behaves like one
        return address, value
    if callable(value):
        target = type_.target if type_ is not None else None
        if target is None or target.prototype is None:
            raise TypeError("a Python function has no C type; make a Callback of it with `Prototype.callback`")
        callback = target.prototype.callback(value, raises=True)
        return callback.address, callback
    return None


def _by_value(type_: CType, value: Any) -> Converted | None:
    """A record for a record: one of an equal description elsewhere, or its fields as a tuple or dict."""
    from latebind.ffi.values import new

    record = getattr(value, "_record_", None)
    if isinstance(value, tuple | dict):
        value = new(type_, value)
    elif record is None or type_.record is None or not compatible(record, type_.record):
        return None
    return _core.memory_address(value), value


def _vector(type_: CType, value: Any) -> Converted | None:
    """A sequence of as many numbers as the vector has."""
    from latebind.ffi.values import Array, new

    if not isinstance(value, tuple | list | Array):
        return None
    if len(value) != type_.length:
        raise ValueError(f"{type_} has {type_.length} elements, not {len(value)}")
    made = new(type_, value)
    return _core.memory_address(made), made


def compatible(one: Record, other: Record) -> bool:
    """Whether two descriptions say the same (C17 6.2.7): name, size, and the names, types and places of the members."""
    if one is other:
        return True
    if (one.spelling, one.is_union, one.size) != (other.spelling, other.is_union, other.size):
        return False
    return _members(one) == _members(other)


def _members(record: Record) -> list[object]:
    return [(f.name, f.type.kind, f.type.bytes, f.offset, f.shift, f.width) for f in record.fields or ()]


def _memory(type_: CType, value: Any) -> Converted:
    """A value of another class than the pointer's: an array of that class's, or any where the target has no fields."""
    target = type_.target
    element = getattr(value, "_element_", None)
    record = getattr(value, "_record_", None)
    if target is not None and target.kind is Kind.RECORD and target.record is not None:
        found = record or (element.record if element is not None else None)
        known = target.record.fields is not None
        same = found is not None and (
            compatible(found, target.record) if known else found.spelling == target.record.spelling
        )
        if not same:
            raise TypeError(f"expected a {target}, not a {_shown(value)}")
    return _core.memory_address(value), value


def _shown(value: Any) -> str:
    record, element, type_ = (getattr(value, name, None) for name in ("_record_", "_element_", "_type_"))
    if element is not None:
        return f"{element.spelling}[{len(value)}]"
    return str(record.spelling if record is not None else type_)


def stored(type_: CType, value: Any) -> Converted:
    """The address to store in a pointer of this type, and what must be kept as long as it is stored there."""
    if value is None:
        return 0, None
    if isinstance(value, int) and not isinstance(value, bool):
        return value, None
    if type_.kind is Kind.TEXT and isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a str with a NUL character would be cut off there; pass bytes if that is meant")
        from latebind.ffi.values import new

        copy = new("char[]", data)
        return _core.memory_address(copy), copy
    found = pointer(type_, value)
    if found is not None:
        return found
    try:
        memory = _core.memory_view(_Any, value, 0, memoryview(value).nbytes)
    except TypeError:
        expected = (
            "bytes, str, an address, None or a buffer" if type_.kind is Kind.TEXT else "an address, None or a buffer"
        )
        raise TypeError(f"expected {expected}, not {type(value).__name__}") from None
    if memoryview(memory).readonly and not type_.const:
        raise TypeError(f"{type_} may be written through; give a writable buffer such as bytearray")
    return _core.memory_address(memory), memory


class _Any(_core.Memory):
    """A buffer's memory, of whatever type."""

    __slots__ = ()
    _size_ = 0
