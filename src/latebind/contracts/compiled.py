"""Kinds of values as the core reads them: what lies where in a value's image (src/core/py_kind.h).

What the core makes of it is the same as `image.py` does, for values as they nearly always are; any other value, and
every mistake, is left to that.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from latebind import _core
from latebind.contracts.clayout import field_places, optional_place, size_of
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

Compiled: TypeAlias = tuple[int, str, int, int, str | None, Any, Any, Any, tuple["Compiled", ...]]
"""(how, code, size, place, name, class, numbers, members, parts): struct lb_kind."""

_HOW: Final = {name: number for number, name in enumerate(_core.KINDS)}


def compile_kind(kind: ResultKind) -> Compiled | None:
    """A kind for the core; None for those that are nothing, handles or iterators."""
    if isinstance(kind, Nothing | HandleTo | IteratorOf) or handle_in(kind) is not None:
        return None
    return _compiled(kind)


def _compiled(kind: DataKind, place: int = 0, name: str | None = None) -> Compiled:
    how, code, cls, numbers, members = "NUMBER", " ", None, None, None
    parts: tuple[Compiled, ...] = ()
    if isinstance(kind, Scalar):
        code = kind.code
    elif isinstance(kind, Text | Bytes):
        how = "TEXT" if isinstance(kind, Text) else "BYTES"
    elif isinstance(kind, ListOf):
        how, parts = "LIST", (_compiled(kind.element),)
    elif isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        how, parts = "OPTIONAL", (_compiled(kind.element, optional_place(kind)),)
    elif isinstance(kind, Enumeration):
        how, cls = "ENUMERATION", kind.cls
        numbers = {kind.cls[member]: number for member, number in kind.members}
        members = {number: kind.cls[member] for member, number in reversed(kind.members)}
    else:
        how, cls, parts = "RECORD", kind.cls, _fields(kind)
    return _HOW[how], code, size_of(kind), place, name, cls, numbers, members, parts


def _fields(record: Record) -> tuple[Compiled, ...]:
    places = field_places(record)
    return tuple(_compiled(f.kind, place, f.name) for f, place in zip(record.fields, places, strict=True))
