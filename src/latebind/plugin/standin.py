"""An object in the place of a service that is not there: it has every method of a contract and answers next to nothing.

For `latebind plugin run` and `check`, where a plugin is tried without the host that it is made for.
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


class StandIn:
    """Answers each call with `neutral` of its result. `told` is called with a line about each, before it is answered.

    One that stands for a handle has `close`, too.
    """

    def __init__(self, contract: Contract, told: Callable[[str], object] = lambda _line: None) -> None:
        for method in contract.methods:
            setattr(self, method.name, self._method(contract, method, told))

    def close(self) -> None:
        """End nothing."""

    @staticmethod
    def _method(contract: Contract, method: Method, told: Callable[[str], object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            shown = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in named.items())]
            line = f"[{contract.id}] {method.name}({', '.join(shown)})"
            if isinstance(method.result, Nothing):
                told(line)
                return None
            handle = handle_in(method.result)
            answer = neutral(method.result) if handle is None else StandIn(handle.contract, told)
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
