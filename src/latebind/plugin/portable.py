"""Contracts for another process, which does not have the modules that define their classes.

Everything that a contract *is* goes over: ids, versions, methods, types. Enums and dataclasses of the host's own arrive
as classes of the same names and fields; default bodies as functions that refuse to run.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle
from types import FunctionType
from typing import TYPE_CHECKING, Any

from latebind.contracts.model import ATTRIBUTE, Contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def pack(contracts: Iterable[Contract]) -> bytes:
    """Contracts as bytes, which `unpack` of the same version of latebind reads."""
    out = io.BytesIO()
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(tuple(contracts))
    return out.getvalue()


def unpack(data: bytes) -> tuple[Contract, ...]:
    """The contracts that `pack` packed. Only for bytes from one's own host: reading a pickle can run anything."""
    found = pickle.loads(data)  # noqa: S301 - what our own parent process wrote
    assert isinstance(found, tuple)
    return found


def as_class(contract: Contract) -> type:
    """A class that `contract_of` takes for the contract's."""
    return type(contract.name or "Contract", (), {ATTRIBUTE: contract})


class _Pickler(pickle.Pickler):
    """Writes the host's own classes and functions by what they are, since their names mean nothing elsewhere."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, FunctionType) and not _ours(thing):
            return _refusing, (thing.__name__,)
        if isinstance(thing, type) and not _ours(thing):
            if issubclass(thing, enum.Enum):
                return _enum, (thing.__name__, tuple((m.name, _plain(m.value, n)) for n, m in enumerate(thing)))
            if dataclasses.is_dataclass(thing):
                return _dataclass, (thing.__name__, tuple(f.name for f in dataclasses.fields(thing)))
        return NotImplemented


def _ours(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in {"latebind", "builtins", "copyreg"}


def _plain(value: object, number: int) -> object:
    return value if isinstance(value, int | str | float) else number


def _enum(name: str, members: tuple[tuple[str, object], ...]) -> object:
    return enum.Enum(name, list(members))  # a class, which mypy does not know


def _dataclass(name: str, fields: tuple[str, ...]) -> type:
    return dataclasses.make_dataclass(name, [(f, object, dataclasses.field(default=None)) for f in fields])


def _refusing(name: str) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise NotImplementedError(f"{name} is a default body of another process")

    return refuse
