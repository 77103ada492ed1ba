"""A stand-in for a service where the real one is not: it has every method and answers the plainest value of its type.

It remembers what it was asked, since an answer that was invented proves nothing about a plugin that fails over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.contracts.types import (
    BOOL,
    Bytes,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    Record,
    ResultKind,
    Scalar,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts import Contract, Method


class Substitute:
    """Has the methods of a contract. `asked` is told the name of each method that had to invent an answer."""

    def __init__(self, contract: Contract, asked: Callable[[str], object]) -> None:
        for method in contract.methods:
            setattr(self, method.name, _method(contract, method, asked))

    def close(self) -> None:
        """A handle can be closed."""


def _method(contract: Contract, method: Method, asked: Callable[[str], object]) -> Callable[..., object]:
    def answer(*_: object, **__: object) -> object:
        if not isinstance(method.result, Nothing):
            asked(f"{contract.id}.{method.name}")
        return invent(method.result, asked)

    return answer


def invent(kind: ResultKind, asked: Callable[[str], object]) -> object:
    """The plainest value of a kind: zero, empty, absent, the first."""
    match kind:
        case Scalar():
            return False if kind is BOOL else 0.0 if kind.family == "float" else 0
        case Enumeration():
            return next(iter(kind.cls))
        case Record():
            return kind.make([invent(f.kind, asked) for f in kind.fields])
        case HandleTo():
            return Substitute(kind.contract, asked)
        case IteratorOf():
            return iter(())
    return _EMPTY.get(type(kind), lambda: None)()  # nothing, and what may be absent: None


_EMPTY: Final[dict[type, Callable[[], object]]] = {Text: str, Bytes: bytes, ListOf: list}
