"""A contract's method in C as something Python can call, and a Python service as something C can call.

Both directions pass through `marshal.py`. A mistake in an argument is the caller's and raises TypeError, ValueError
or OverflowError before the call; whatever is wrong with an answer is the plugin's and raises `PluginError`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from latebind.contracts.marshal import Span, argument_type, check_argument, decode, encode, received_type
from latebind.contracts.types import Kind, ListOf, Nothing, Scalar, Text
from latebind.errors import NotProvided, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.calls import Call, CallPool
    from latebind.contracts.model import Contract, Method

LB_OK: Final = 0
LB_FAILED: Final = 1
LB_NOT_PROVIDED: Final = 2


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose code is called: plugin id and version, for errors."""

    plugin: str
    version: str

    def error(self, method: str, message: str) -> PluginError:
        """A `PluginError` about one of its methods."""
        return PluginError(self.plugin, self.version, method, message)


class NativeMethod:
    """One exported function of a plugin, called with Python values."""

    def __init__(self, owner: Owner, contract: Contract, method: Method, address: int) -> None:
        self._owner, self._method = owner, method
        self._name = f"{contract.id}.{method.name}"
        types = [argument_type(p.kind) for p in method.parameters]
        self._received: type[Any] | None = None
        if not isinstance(method.result, Nothing):
            self._received = received_type(method.result)
            types.append(ctypes.POINTER(self._received))
        # PYFUNCTYPE keeps the interpreter lock during the call, CFUNCTYPE lets it go.
        prototype = ctypes.PYFUNCTYPE if method.quick else ctypes.CFUNCTYPE
        self._function = prototype(ctypes.c_int32, ctypes.c_void_p, *types)(address)

    def __call__(self, call: Call, arguments: Sequence[object]) -> object:
        """Call with one argument a parameter, in their order, within `call`."""
        encoded = encode_arguments(self._name, self._method, arguments)
        if self._received is None:
            status = self._function(call.context.address, *encoded)
            check_status(self._owner, self._name, call, status)
            return None
        received = self._received()
        status = self._function(call.context.address, *encoded, ctypes.byref(received))
        check_status(self._owner, self._name, call, status)
        value = received if isinstance(received, Span) else received.value
        try:
            return decode(self._method.result, value, call.context.copy)
        except ValueError as e:
            raise self._owner.error(self._name, f"its result breaks the contract: {e}") from e


def encode_arguments(name: str, method: Method, arguments: Sequence[object]) -> list[Any]:
    """The arguments for C; TypeError, ValueError or OverflowError with method and parameter."""
    encoded = []
    for parameter, value in zip(method.parameters, arguments, strict=True):
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
    raise owner.error(name, f"it returned the unknown status {status}" + (f": {said}" if said else ""))


@dataclass(frozen=True, slots=True)
class Callback:
    """A Python function at an address. The address is good as long as this object lives."""

    address: int
    keep: object


def service_callbacks(contract: Contract, implementation: object, calls: CallPool) -> dict[str, Callback]:
    """The C functions by which a plugin reaches a service, by symbol name.

    `implementation` has the contract's methods; `calls` are those of the plugin that will call.
    """
    functions = {m: getattr(implementation, m.name) for m in contract.methods}
    return {contract.symbol(m): _callback(contract, m, function, calls) for m, function in functions.items()}


def missing_service(symbol: str, calls: CallPool) -> Callback:
    """A C function in place of one of an optional service that is not there: it answers LB_NOT_PROVIDED.

    Its parameters are unknown and left alone, which the C calling conventions of all supported machines allow: the
    caller clears the arguments away.
    """

    def refuse(address: int | None) -> int:
        call = calls.find(address)
        if call is not None:
            call.context.note(f"{symbol} belongs to an optional service that this host does not have")
        return LB_NOT_PROVIDED

    return _as_callback(refuse, [])


def _callback(contract: Contract, method: Method, function: Callable[..., object], calls: CallPool) -> Callback:
    name = f"{contract.id}.{method.name}"
    result = method.result

    def serve(address: int | None, *received: Any) -> int:
        call = calls.find(address)
        if call is None:
            return LB_FAILED  # no context of ours: there is nowhere to leave a message
        try:
            positional, named = method.spread(_received_arguments(method, received, call))
            answer = function(*positional, **named)
            if isinstance(result, Nothing):
                check_argument(result, answer)
            else:
                _store(result, answer, received[-1], call)
        except BaseException as e:  # noqa: BLE001 - nothing may pass through C; check_status raises it again behind it
            call.cause = e
            call.context.note(f"{name}: {type(e).__name__}: {e}")
            return LB_NOT_PROVIDED if isinstance(e, NotProvided) else LB_FAILED
        return LB_OK

    types = [received_type(p.kind) for p in method.parameters]
    return _as_callback(serve, types if isinstance(result, Nothing) else [*types, ctypes.c_void_p])


def _as_callback(function: Callable[..., int], types: list[type[Any]]) -> Callback:
    callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *types)(function)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    return Callback(address, callback)


def _received_arguments(method: Method, received: Sequence[Any], call: Call) -> list[object]:
    arguments: list[object] = []
    for parameter, value in zip(method.parameters, received, strict=False):  # the result's place follows
        try:
            arguments.append(decode(parameter.kind, value, call.context.copy))
        except ValueError as e:
            raise ValueError(f"parameter {parameter.name}: {e}") from None
    return arguments


def _store(kind: Kind, answer: object, place: int | None, call: Call) -> None:
    """Write a service's answer where the plugin wants it; what it points to lives in the call's arena."""
    if not place:
        raise ValueError("the plugin gave a null pointer for the result")
    encoded = encode(kind, answer)
    if isinstance(kind, Scalar):
        stored = argument_type(kind)(encoded)
    elif isinstance(kind, ListOf) and isinstance(kind.element, Text):
        items = ctypes.cast(ctypes.pointer(encoded), ctypes.POINTER(Span))[0]
        stored = _copied_texts(items, call)
    else:
        element = kind.element.size if isinstance(kind, ListOf) and isinstance(kind.element, Scalar) else 1
        stored = _copied(ctypes.cast(ctypes.pointer(encoded), ctypes.POINTER(Span))[0], element, call)
    ctypes.memmove(place, ctypes.byref(stored), ctypes.sizeof(stored))


def _copied(span: Span, element: int, call: Call) -> Span:
    address = call.context.alloc(span.size * element + 1)
    ctypes.memmove(address, span.data or 0, span.size * element)
    ctypes.memset(address + span.size * element, 0, 1)  # text ends with a zero byte, as arguments do
    return Span(address, span.size)


def _copied_texts(span: Span, call: Call) -> Span:
    table = (Span * span.size).from_address(span.data or 0)
    texts = (Span * span.size)(*(_copied(text, 1, call) for text in table))
    address = call.context.alloc(ctypes.sizeof(texts))
    ctypes.memmove(address, texts, ctypes.sizeof(texts))
    return Span(address, span.size)
