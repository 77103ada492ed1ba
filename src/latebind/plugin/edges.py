"""Arguments at the edges of what a contract allows: the empty, the smallest and largest, the long, the unusual.

A plugin may refuse any of them; what it may not do is crash, hang, or answer what its contract does not allow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from latebind.contracts.types import Bytes, DataKind, Enumeration, HandleTo, ListOf, OptionalOf, Record, Scalar, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts import Method

_TEXTS: Final = ("late binding", "", " ", "a\0b", "größe → 🙂", "%s%n", "x" * 70_000)
_BYTES: Final = (b"late binding", b"", b"\0", b"\xff\xfe\x80", bytes(range(256)) * 300)
_FLOATS: Final = (1.5, 0.0, -1.0, 1e300, math.inf, -math.inf, math.nan)
_SINGLES: Final = (1.5, 0.0, -1.0, math.inf, -math.inf, math.nan)
_INTEGERS: Final = (1, 0, 2, -1, 1000)
_MANY: Final = 1000
"""Elements of a long list."""


def edge_arguments(method: Method) -> Iterator[list[object]]:
    """Lists of arguments, one a parameter: first the usual, then each parameter's edges in turn, then all empty.

    Raises ValueError for a dataclass that takes none of the values.
    """
    values = [edge_values(p.kind) for p in method.parameters]
    usual = [one[0] for one in values]
    yield usual
    for place, candidates in enumerate(values):
        for value in candidates[1:]:
            yield [*usual[:place], value, *usual[place + 1 :]]
    if len(values) > 1:
        yield [one[1 % len(one)] for one in values]


def edge_values(kind: DataKind) -> list[object]:  # noqa: PLR0911 - one case a kind
    """Values of a kind; the first is a usual one, the second, where there is one, the emptiest. ValueError as above."""
    if isinstance(kind, Scalar):
        return list(_numbers(kind))
    if isinstance(kind, Text):
        return list(_TEXTS)
    if isinstance(kind, Bytes):
        return list(_BYTES)
    if isinstance(kind, Enumeration):
        return [kind.cls[name] for name, _ in kind.members]
    if isinstance(kind, ListOf):
        elements = edge_values(kind.element)
        return [elements[:2], [], *([one] for one in elements[1:]), elements[:1] * _MANY]
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo), "such a kind is a result only"
        usual, *edges = edge_values(kind.element)
        return [usual, None, *edges]
    return _records(kind)


def _numbers(kind: Scalar) -> Iterator[object]:
    if kind.family == "bool":
        yield from (True, False)
    elif kind.family == "float":
        yield from _SINGLES if kind.size == 4 else _FLOATS
    else:
        low, high = kind.range
        yield from (n for n in dict.fromkeys((*_INTEGERS, low, high)) if low <= n <= high)


def _records(kind: Record) -> list[object]:
    """Records whose class takes the fields: it may refuse some in its `__post_init__`."""
    values = [edge_values(field.kind) for field in kind.fields]
    usual = [one[0] for one in values]
    every = [usual]
    for place, candidates in enumerate(values):
        every += [[*usual[:place], value, *usual[place + 1 :]] for value in candidates[1:]]
    made, refusals = [], []
    for fields in every:
        try:
            made.append(kind.make(fields))
        except ValueError as e:
            refusals.append(e)
    if not made:
        raise refusals[0]
    return made
