"""An object in the place of a service that is not there: it has every method of a contract and answers next to nothing.

For `latebind plugin run`, `check` and `watch`, and for probation: there a plugin is tried without its host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.contracts.types import (
    Bytes,
    Enumeration,
    IteratorOf,
    ListOf,
    Nothing,
    Record,
    ResultKind,
    Scalar,
    Text,
    handle_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts import Contract, Method


def _nobody(_line: str) -> None:
    """Nobody wants to know."""


class StandIn:
    """Answers each call with `neutral` of its result. `told` is called with a line about each, before it is answered.

    `asked` is called with the name of each method, ``"contract.method"``, that has to invent an answer: one proves
    nothing about a plugin that fails over it. A stand-in for a handle has `close`, too.
    """

    def __init__(
        self, contract: Contract, told: Callable[[str], object] = _nobody, asked: Callable[[str], object] = _nobody
    ) -> None:
        for method in contract.methods:
            setattr(self, method.name, self._method(contract, method, told, asked))

    def close(self) -> None:
        """End nothing."""

    @staticmethod
    def _method(
        contract: Contract, method: Method, told: Callable[[str], object], asked: Callable[[str], object]
    ) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            shown = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in named.items())]
            line = f"[{contract.id}] {method.name}({', '.join(shown)})"
            if isinstance(method.result, Nothing):
                told(line)
                return None
            asked(f"{contract.id}.{method.name}")
            handle = handle_in(method.result)
            answer = neutral(method.result) if handle is None else StandIn(handle.contract, told, asked)
            told(f"{line} → {'nothing' if isinstance(method.result, IteratorOf) else repr(answer)}")
            return answer

        return call


def neutral(kind: ResultKind) -> object:  # noqa: PLR0911 - one case a kind
    """The emptiest value of a kind: zero, no text, no elements, None, the first member of an enumeration.

    ValueError for a record whose class refuses such fields.
    """
    if isinstance(kind, Scalar):
        return {"bool": False, "int": 0, "float": 0.0}[kind.family]
    if isinstance(kind, Text):
        return ""
    if isinstance(kind, Bytes):
        return b""
    if isinstance(kind, Enumeration):
        return kind.cls[kind.members[0][0]]
    if isinstance(kind, ListOf):
        return []
    if isinstance(kind, Record):
        return kind.make([neutral(field.kind) for field in kind.fields])
    return iter(()) if isinstance(kind, IteratorOf) else None
