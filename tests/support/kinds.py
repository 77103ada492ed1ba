"""Every type that a contract can use, with values of it for hypothesis, and a C plugin that echoes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from latebind.contracts import Contract, Float32, Int8, Int16, Method, Parameter, UInt64, Version
from latebind.contracts.annotation import kind_of
from latebind.contracts.cdecl import by_pointer, c_type
from latebind.contracts.types import (
    BOOL,
    FLOAT32,
    SCALARS,
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


class Mode(enum.Enum):
    """An enum of texts: numbered from 0."""

    FAST = "fast"
    EXACT = "exact"
    BOTH = "both"


class Level(enum.IntEnum):
    """An enum of numbers: they are kept."""

    LOW = -5
    HIGH = 1 << 30


@dataclass(frozen=True)
class Place:
    """A small record with holes between its fields."""

    flag: bool
    number: Int16
    at: UInt64
    tiny: Int8


@dataclass(frozen=True)
class Everything:
    """A record of everything."""

    a: Int8
    text: str
    place: Place
    data: bytes
    numbers: list[Int16]
    words: list[str]
    places: list[Place]
    modes: list[Mode]
    mode: Mode = Mode.FAST
    level: Level = Level.LOW
    score: Float32 | None = None
    word: str | None = None
    inner: Place | None = None
    many: list[Place] | None = None
    last: bool = False


PLAIN: tuple[DataKind, ...] = (
    *SCALARS, Text(), Bytes(), kind_of(Mode), kind_of(Level), kind_of(Place), kind_of(Everything),
)  # fmt: skip
LISTS: tuple[DataKind, ...] = tuple(
    ListOf(kind) for kind in PLAIN if isinstance(kind, Scalar | Text | Enumeration | Record)
)
OPTIONALS: tuple[DataKind, ...] = tuple(
    OptionalOf(kind) for kind in (*PLAIN, *LISTS) if not isinstance(kind, OptionalOf)
)
KINDS: tuple[DataKind, ...] = (*PLAIN, *LISTS, *OPTIONALS)


def label(kind: DataKind) -> str:
    """A short name of a kind for a test's id."""
    if isinstance(kind, ListOf | OptionalOf):
        element = kind.element
        assert not isinstance(element, HandleTo)
        return f"{'list' if isinstance(kind, ListOf) else 'optional'}[{label(element)}]"
    return kind.title if isinstance(kind, Record | Enumeration) else kind.name


METHODS = {label(kind): Method(f"m{i}", (Parameter("value", kind),), kind) for i, kind in enumerate(KINDS)}
ECHO = Contract("test.echo", Version(1, 0, 0), tuple(METHODS.values()))


def values(kind: DataKind) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one case a kind
    """Python values of a kind."""
    if isinstance(kind, ListOf):
        return st.lists(values(kind.element), max_size=8)
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return st.none() | values(kind.element)
    if isinstance(kind, Enumeration):
        return st.sampled_from(list(kind.cls))
    if isinstance(kind, Record):
        return st.builds(kind.cls, **{f.name: values(f.kind) for f in kind.fields})
    if isinstance(kind, Text):
        return st.text(st.characters(codec="utf-8"), max_size=20)
    if isinstance(kind, Bytes):
        return st.binary(max_size=20)
    if kind.family == "float":
        return st.floats(width=32 if kind is FLOAT32 else 64, allow_nan=False)
    return st.booleans() if kind is BOOL else st.integers(*kind.range)


def echo_body(kind: DataKind, prefix: str) -> str:
    """C statements that answer `value`: what has a length is copied to the arena, element by element."""
    if by_pointer(kind):
        return "*result = *value; return LB_OK;"
    if not isinstance(kind, Text | Bytes | ListOf):
        return "*result = value; return LB_OK;"
    if isinstance(kind, ListOf):
        element = c_type(kind.element, prefix)
    else:
        element = "char" if isinstance(kind, Text) else "uint8_t"
    return (
        f"{element} *copy = ({element} *)lb_alloc_array(ctx, value.size, sizeof *copy); "
        'if (!copy || !value.data) return lb_fail(ctx, "no memory"); '
        "for (size_t i = 0; i < value.size; i++) copy[i] = value.data[i]; "
        "result->data = copy; result->size = value.size; return LB_OK;"
    )
