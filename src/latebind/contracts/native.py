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
from latebind.errors import NotProvided, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.calls import Call
    from latebind.contracts.model import Contract, Function, Method, Parameter

LB_OK: Final = 0
LB_FAILED: Final = 1
LB_NOT_PROVIDED: Final = 2
LB_END: Final = 3


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
        self._owner, self._kind, self._end = owner, function.result, function.end
        self._parameters = function.parameters
        self._name = function_name(function)
        self._encode = arguments_encoder(self._name, function.parameters)
        self._number = passed(function.result)
        self._size = 0 if self._number else size_of(function.result)
        self._function = caller(function, address, owner.plugin)

    def __call__(self, call: Call, arguments: Sequence[object], *handle: int) -> object:
        """Call with one argument a parameter, in their order, within `call`, on a handle if it is a handle's function.

        A handle or an iterator is answered as the number that its pointer is. Raises `Ended` for LB_END.
        """
        keep = Keeper()
        context = call.context
        encoded = self._encode(arguments, keep)
        received: Any
        if self._number:
            status, received = self._function(call.address, *handle, *encoded)
        elif self._size:
            received = bytearray(self._size)
            status = self._function(call.address, *handle, *encoded, received)
        else:
            received = None
            status = self._function(call.address, *handle, *encoded)
        if status == LB_END and self._end and not context.failed:
            raise Ended
        if status or context.failed or call.cause is not None:
            check_status(self._owner, self._name, call, status)
        if received is None and not self._number:
            return None
        try:
            return decode(self._kind, received, context.copy)
        except ValueError as e:
            raise self._owner.error(self._name, f"its result breaks the contract: {e}") from e


class NativeMethod(NativeFunction):
    """The exported function of a contract's method."""

    def __init__(self, owner: Owner, contract: Contract, method: Method, address: int) -> None:
        super().__init__(owner, contract.function(method), address)


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
