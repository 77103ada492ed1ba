"""A contract's function in C as something Python can call.

A mistake in an argument is the caller's and raises TypeError, ValueError or OverflowError before the call; whatever
is wrong with an answer is the plugin's and raises `PluginError`.

`c_function` is where an address becomes callable; everything above it deals in checked values, so that a faster call
path can take its place.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from latebind.contracts.marshal import Span, argument_type, decode, encode, result_type
from latebind.contracts.types import Nothing, OptionalOf, Record, handle_in
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


def c_function(address: int, types: Sequence[type[Any]], *, quick: bool = False) -> Callable[..., int]:
    """The function at `address`, which takes a context and arguments of these ctypes types and answers a status.

    The interpreter lock is let go during the call unless it is quick.
    """
    # PYFUNCTYPE keeps the interpreter lock during the call, CFUNCTYPE lets it go.
    prototype = ctypes.PYFUNCTYPE if quick else ctypes.CFUNCTYPE
    return prototype(ctypes.c_int32, ctypes.c_void_p, *types)(address)


class NativeFunction:
    """One exported function of a plugin, called with Python values."""

    def __init__(self, owner: Owner, function: Function, address: int) -> None:
        self._owner, self._parameters, self._kind = owner, function.parameters, function.result
        self._end = function.end
        self._name = function_name(function)
        types = [argument_type(p.kind) for p in function.parameters]
        if function.owner is not None:
            types.insert(0, ctypes.c_void_p)
        self._image = isinstance(function.result, Record | OptionalOf) and handle_in(function.result) is None
        self._result: type[Any] | None = None
        if not isinstance(function.result, Nothing):
            self._result = result_type(function.result)
            types.append(ctypes.c_void_p)
        self._function = c_function(address, types, quick=function.quick)

    def __call__(self, call: Call, arguments: Sequence[object], *handle: int) -> object:
        """Call with one argument a parameter, in their order, within `call`, on a handle if it is a handle's function.

        A handle or an iterator is answered as the number that its pointer is. Raises `Ended` for LB_END.
        """
        encoded = encode_arguments(self._name, self._parameters, arguments)
        if self._result is None:
            status = self._function(call.context.address, *handle, *encoded)
            check_status(self._owner, self._name, call, status)
            return None
        received = self._result()
        status = self._function(call.context.address, *handle, *encoded, ctypes.byref(received))
        if status == LB_END and self._end and not call.context.failed:
            raise Ended
        check_status(self._owner, self._name, call, status)
        value = received if isinstance(received, Span) else received.raw if self._image else received.value
        try:
            return decode(self._kind, value, call.context.copy)
        except ValueError as e:
            raise self._owner.error(self._name, f"its result breaks the contract: {e}") from e


class NativeMethod(NativeFunction):
    """The exported function of a contract's method."""

    def __init__(self, owner: Owner, contract: Contract, method: Method, address: int) -> None:
        super().__init__(owner, contract.function(method), address)


def function_name(function: Function) -> str:
    """What errors call a function: `acme.tokenizer.count`."""
    return f"{function.contract.id}.{function.name}"


def encode_arguments(name: str, parameters: Sequence[Parameter], arguments: Sequence[object]) -> list[Any]:
    """The arguments for C; TypeError, ValueError or OverflowError with method and parameter."""
    encoded = []
    for parameter, value in zip(parameters, arguments, strict=True):
        try:
            encoded.append(encode(parameter.kind, value))
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"{name}(), parameter {parameter.name}: {e}") from None
    return encoded


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
