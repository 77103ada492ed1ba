"""A contract's function in C as something Python can call.

A mistake in an argument is the caller's and raises TypeError, ValueError or OverflowError before the call; whatever
is wrong with an answer is the plugin's and raises `PluginError`.

The call itself is `latebind.ffi`'s (`signature.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from latebind.contracts.clayout import size_of
from latebind.contracts.image import Keeper
from latebind.contracts.marshal import decode, encoder, passed
from latebind.contracts.signature import caller
from latebind.contracts.types import BOOL, Bytes, Enumeration, Nothing, Scalar, Text
from latebind.errors import NotProvided, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.calls import Call
    from latebind.contracts.model import Contract, Function, Method, Parameter
    from latebind.contracts.types import ResultKind

LB_OK: Final = 0
LB_FAILED: Final = 1
LB_NOT_PROVIDED: Final = 2
LB_END: Final = 3

_NOTHING_KEPT: Final = Keeper()
"""For arguments that put nothing in a keeper."""


class Ended(Exception):
    """LB_END: an iterator has no more items."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose code is called: plugin id and version, for errors."""

    plugin: str
    version: str

    def error(self, method: str, message: str) -> PluginError:
        """A `PluginError` about one of its methods."""
        return PluginError(self.plugin, self.version, method, message)


class NativeFunction:
    """One exported function of a plugin, called with Python values."""

    def __init__(self, owner: Owner, function: Function, address: int) -> None:
        self.run: Callable[..., object] = _runner(owner, function, address)
        """What a call does. A closure: nothing is looked up in an object on the way."""

    def __call__(self, call: Call, arguments: Sequence[object], *handle: int) -> object:
        """Call with one argument a parameter, in their order, within `call`, on a handle if it is a handle's function.

        A handle or an iterator is answered as the number that its pointer is. Raises `Ended` for LB_END.
        """
        return self.run(call, arguments, *handle)


class NativeMethod(NativeFunction):
    """The exported function of a contract's method."""

    def __init__(self, owner: Owner, contract: Contract, method: Method, address: int) -> None:
        super().__init__(owner, contract.function(method), address)


def _runner(owner: Owner, function: Function, address: int) -> Callable[..., object]:
    """`NativeFunction.__call__` for one function, with everything decided that can be before a call."""
    name, kind = function_name(function), function.result
    native = caller(function, address, owner.plugin)
    encode = arguments_encoder(name, function.parameters)
    number, size, settle = passed(kind), size_of(kind), _settler(owner, name, ends=function.end)
    as_it_is = isinstance(kind, Nothing) or _is_number(kind)
    keeps = not all(isinstance(p.kind, Scalar | Enumeration | Text | Bytes) for p in function.parameters)

    def run(call: Call, arguments: Sequence[object], *handle: int) -> object:
        keep = Keeper() if keeps else _NOTHING_KEPT
        encoded = encode(arguments, keep)  # both live until the result is read: it may lie in an argument
        received: Any = None
        if number:
            status, received = native(call.address, *handle, *encoded)
        elif size:
            received = bytearray(size)
            status = native(call.address, *handle, *encoded, received)
        else:
            status = native(call.address, *handle, *encoded)
        if status or call.cause is not None or call.context.failed:
            settle(call, status)
        if as_it_is:
            return received
        try:
            return decode(kind, received, call.context.copy)
        except ValueError as e:
            raise owner.error(name, f"its result breaks the contract: {e}") from e

    numbers_only = _is_number(kind) and all(_is_number(p.kind) for p in function.parameters)
    return _numbers_runner(native, settle, run) if numbers_only else run


def _is_number(kind: ResultKind) -> bool:
    """Whether the core's number is the contract's."""
    return isinstance(kind, Scalar) and kind is not BOOL


def _numbers_runner(
    native: Callable[..., Any], settle: Callable[[Call, int], None], run: Callable[..., object]
) -> Callable[..., object]:
    """The same for a function of nothing but numbers, whose arguments the core itself checks."""

    def run_numbers(call: Call, arguments: Sequence[object], *handle: int) -> object:
        try:
            status, received = native(call.address, *handle, *arguments)
        except (TypeError, ValueError, OverflowError):
            # Nothing was called: the core does not take these. What the contract takes is more, or has other words.
            return run(call, arguments, *handle)
        if status or call.cause is not None or call.context.failed:
            settle(call, status)
        return received

    return run_numbers


def _settler(owner: Owner, name: str, *, ends: bool) -> Callable[[Call, int], None]:
    """What raises when a call did not go well; `ends` for a function that may answer LB_END."""

    def settle(call: Call, status: int) -> None:
        if status == LB_END and ends and not call.context.failed:
            raise Ended
        check_status(owner, name, call, status)

    return settle


def function_name(function: Function) -> str:
    """What errors call a function: `acme.tokenizer.count`."""
    return f"{function.contract.id}.{function.name}"


def arguments_encoder(
    name: str, parameters: Sequence[Parameter]
) -> Callable[[Sequence[object], Keeper], Sequence[object]]:
    """What makes C arguments of Python ones; it raises TypeError, ValueError or OverflowError with the parameter."""
    encoders = [(p.name, encoder(p.kind)) for p in parameters]

    def encode(arguments: Sequence[object], keep: Keeper) -> Sequence[object]:
        encoded: list[object] = []
        for (parameter, one), value in zip(encoders, arguments, strict=True):
            try:
                encoded += one(value, keep)
            except (TypeError, ValueError, OverflowError) as e:
                raise type(e)(f"{name}(), parameter {parameter}: {e}") from None
        return encoded

    return encode


def check_status(owner: Owner, name: str, call: Call, status: int) -> None:
    """Raise what a call's status and context tell; return if the call went well."""
    if call.cause is not None and not isinstance(call.cause, Exception):
        raise call.cause  # KeyboardInterrupt or SystemExit in a service: not for a plugin to swallow
    if status == LB_OK and not call.context.failed:
        return
    _raise_failure(owner, name, call, status)


def _raise_failure(owner: Owner, name: str, call: Call, status: int) -> NoReturn:
    said = call.context.message
    if status == LB_OK:
        raise owner.error(name, f"it answered LB_OK after lb_fail: {said}") from call.cause
    if status == LB_FAILED:
        raise owner.error(name, said or "it failed without saying why") from call.cause
    if status == LB_NOT_PROVIDED:
        text = said or "it is not provided"
        raise NotProvided(owner.plugin, owner.version, name, text) from call.cause
    what = "LB_END, and it is not the next of an iterator" if status == LB_END else f"the unknown status {status}"
    raise owner.error(name, f"it returned {what}" + (f": {said}" if said else ""))
