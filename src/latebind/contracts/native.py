"""A contract's function in C as something Python can call.

A mistake in an argument is the caller's and raises TypeError, ValueError or OverflowError before the call; whatever
is wrong with an answer is the plugin's and raises `PluginError`.

The call itself is `latebind.ffi`'s (`signature.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from latebind import _core
from latebind.contracts.clayout import size_of
from latebind.contracts.compiled import compile_kind
from latebind.contracts.deadline import thread_deadline
from latebind.contracts.image import Keeper
from latebind.contracts.marshal import decode, encoder, passed
from latebind.contracts.signature import caller, is_span
from latebind.contracts.types import Bytes, ListOf, Nothing, Scalar, Text
from latebind.errors import NotProvided, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.calls import Call, CallPool
    from latebind.contracts.model import Contract, Function, Method, Parameter
    from latebind.contracts.types import DataKind, ResultKind

LB_OK: Final = 0
LB_FAILED: Final = 1
LB_NOT_PROVIDED: Final = 2
LB_END: Final = 3

_PARAMETERS: Final = {name: number for number, name in enumerate(_core.PARAMETERS)}
_ANSWERS: Final = {name: number for number, name in enumerate(_core.ANSWERS)}


class Ended(Exception):
    """LB_END: an iterator has no more items."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose code is called: plugin id and version, for errors. `tell` is told of each error before it is raised."""

    plugin: str
    version: str
    tell: Callable[[PluginError], object] | None = field(default=None, compare=False, repr=False)

    def error(self, method: str, message: str) -> PluginError:
        """A `PluginError` about one of its methods, to be raised."""
        return self._told(PluginError(self.plugin, self.version, method, message))

    def broken(self, method: str, message: str) -> PluginError:
        """The same about an answer that breaks the contract."""
        error = PluginError(self.plugin, self.version, method, message)
        error.breaks_contract = True
        return self._told(error)

    def _told(self, error: PluginError) -> PluginError:
        if self.tell is not None:
            self.tell(error)
        return error


class NativeFunction:
    """One exported function of a plugin, called with Python values within a call that has begun."""

    def __init__(self, owner: Owner, function: Function, address: int) -> None:
        self._method = native_method(owner, function, address)

    def __call__(self, call: Call, arguments: Sequence[object], *handle: int) -> object:
        """Call with one argument a parameter, in their order, within `call`, on a handle if it is a handle's function.

        A handle or an iterator is answered as the number that its pointer is. Raises `Ended` for LB_END.
        """
        return self._method.within(call, arguments, *handle)


class NativeMethod(NativeFunction):
    """The exported function of a contract's method."""

    def __init__(self, owner: Owner, contract: Contract, method: Method, address: int) -> None:
        super().__init__(owner, contract.function(method), address)


def native_method(
    owner: Owner,
    function: Function,
    address: int,
    *,
    pool: CallPool | None = None,
    wrap: Callable[[object], object] | None = None,
    tidy: Callable[[], object] | None = None,
) -> _core.Method:
    """The function at `address` for Python to call, with everything decided that can be before a call.

    Each call takes the lock and a context of `pool`, after `tidy` closed what waits for it; `wrap` makes of the
    answer what the caller gets. Without a pool it is called within contexts only.
    """
    name, kind = function_name(function), function.result

    def read(received: Any, call: Call) -> object:
        try:
            return decode(kind, received, call.copy)
        except ValueError as e:
            raise owner.broken(name, f"its result breaks the contract: {e}") from e

    return _core.Method(
        caller(function, address, owner.plugin),
        tuple(_passing(p.kind, argument_encoder(name, p)) for p in function.parameters),
        _answering(kind),
        read,
        _settler(owner, name, ends=function.end),
        handle=function.owner is not None,
        pool=pool,
        wrap=wrap,
        tidy=tidy,
    )


def _passing(kind: DataKind, encode: Callable[[object], tuple[object, ...]]) -> _core.Passing:
    """How the core passes a parameter: (how, code, size of a list's number, words, what else can, kind)."""
    if isinstance(kind, Scalar):
        how = {"int": "INTEGER", "float": "REAL", "bool": "BOOL"}[kind.family]
        return _PARAMETERS[how], kind.code, 0, 1, encode, None
    if isinstance(kind, Text | Bytes):
        return _PARAMETERS["TEXT" if isinstance(kind, Text) else "BYTES"], " ", 0, 2, encode, None
    if isinstance(kind, ListOf) and isinstance(kind.element, Scalar):
        return _PARAMETERS["LIST"], kind.element.code, kind.element.size, 2, encode, None
    return _PARAMETERS["OTHER"], " ", 0, 2 if is_span(kind) else 1, encode, compile_kind(kind)


def _answering(kind: ResultKind) -> _core.Answering:
    """How the core reads an answer: (how, code, size, kind)."""
    if isinstance(kind, Nothing):
        return _ANSWERS["NOTHING"], " ", 0, None
    if isinstance(kind, Scalar):
        return _ANSWERS["NUMBER"], kind.code, 0, None
    if isinstance(kind, Text | Bytes):
        return _ANSWERS["TEXT" if isinstance(kind, Text) else "BYTES"], " ", 0, None
    if isinstance(kind, ListOf) and isinstance(kind.element, Scalar):
        return _ANSWERS["LIST"], kind.element.code, kind.element.size, None
    if passed(kind):
        return _ANSWERS["OTHER"], " ", 0, compile_kind(kind)
    return _ANSWERS["IMAGE"], " ", size_of(kind), compile_kind(kind)


def _settler(owner: Owner, name: str, *, ends: bool) -> Callable[[Call, int], None]:
    """What raises when a call did not go well; `ends` for a function that may answer LB_END."""

    def settle(call: Call, status: int) -> None:
        if status == LB_END and ends and not call.failed:
            raise Ended
        check_status(owner, name, call, status)

    return settle


def function_name(function: Function) -> str:
    """What errors call a function: `acme.tokenizer.count`."""
    return f"{function.contract.id}.{function.name}"


def argument_encoder(name: str, parameter: Parameter) -> Callable[[object], tuple[object, ...]]:
    """What makes C arguments of a parameter's value: (keeper, word …); the keeper must live as long as they are used.

    It raises TypeError, ValueError or OverflowError with the parameter.
    """
    one = encoder(parameter.kind)

    def encode(value: object) -> tuple[object, ...]:
        keep = Keeper()
        try:
            return keep, *one(value, keep)
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"{name}(), parameter {parameter.name}: {e}") from None

    return encode


def check_status(owner: Owner, name: str, call: Call, status: int) -> None:
    """Raise what a call's status and context tell; return if the call went well."""
    if call.cause is not None and not isinstance(call.cause, Exception):
        raise call.cause  # KeyboardInterrupt or SystemExit in a service: not for a plugin to swallow
    if status == LB_OK and not call.failed:
        return
    _raise_failure(owner, name, call, status)


def _raise_failure(owner: Owner, name: str, call: Call, status: int) -> NoReturn:
    said = call.message
    if call.cut_short and (deadline := thread_deadline()) is not None:
        raise deadline.error(owner.plugin, name) from call.cause
    if status == LB_OK:
        raise owner.broken(name, f"it answered LB_OK after lb_fail: {said}") from call.cause
    if status == LB_FAILED:
        raise owner.error(name, said or "it failed without saying why") from call.cause
    if status == LB_NOT_PROVIDED:
        text = said or "it is not provided"
        raise NotProvided(owner.plugin, owner.version, name, text) from call.cause
    what = "LB_END, and it is not the next of an iterator" if status == LB_END else f"the unknown status {status}"
    raise owner.broken(name, f"it returned {what}" + (f": {said}" if said else ""))
