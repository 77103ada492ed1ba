"""A Python service as C functions that a plugin calls: dependency injection is symbol binding.

Everything that an exception would say is left in the plugin's context, and the plugin is told a status; what it makes
of that is its business. Handles and iterators that a service answers are lent to the plugin as numbers.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from latebind.contracts.clayout import POINTER
from latebind.contracts.image import pack, write
from latebind.contracts.marshal import check_argument, decode_argument
from latebind.contracts.model import CLOSE, Function, iterator_functions
from latebind.contracts.native import LB_END, LB_FAILED, LB_NOT_PROVIDED, LB_OK, Ended, function_name
from latebind.contracts.signature import callback, is_span, make_callback, prototype
from latebind.contracts.types import IteratorOf, Nothing, OptionalOf, ResultKind, handle_in
from latebind.contracts.values import type_of
from latebind.errors import NotProvided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latebind._core import Callback
    from latebind.contracts.calls import Call, CallPool
    from latebind.contracts.model import Contract, Method


def service_callbacks(contract: Contract, implementation: object, calls: CallPool) -> dict[str, Callback]:
    """The C functions by which a plugin reaches a service, by symbol name.

    `implementation` has the contract's methods; `calls` are those of the plugin that will call.
    """
    functions: dict[str, Callback] = {}
    for method in contract.methods:
        function = contract.function(method)
        functions |= _method(function, method, calls, partial(_plain, method.on(implementation)))
    for handle in contract.handles():
        functions |= _handle(handle, calls)
    return functions


def missing_service(symbol: str, calls: CallPool) -> Callback:
    """A C function in place of one of an optional service that is not there: it answers LB_NOT_PROVIDED.

    Its parameters are unknown and left alone, which the C calling conventions of all supported machines allow: the
    caller clears the arguments away.
    """

    def refuse(address: int | None) -> int:
        call = calls.find(address)
        if call is not None:
            call.note(f"{symbol} belongs to an optional service that this host does not have")
        return LB_NOT_PROVIDED

    return make_callback(prototype(symbol), refuse)


def _handle(handle: Contract, calls: CallPool) -> dict[str, Callback]:
    """The functions of a handle's contract: each takes the handle and calls the object that it stands for."""
    functions: dict[str, Callback] = {}
    for method in handle.methods:
        if method.name != CLOSE:
            function = handle.function(method, handle=True)
            functions |= _method(function, method, calls, method.on)
    *_, closing = handle.own_functions(handle=True)
    functions[closing.symbol] = _closing(closing, calls)
    return functions


def _method(
    function: Function, method: Method, calls: CallPool, bound: Callable[[object], Callable[..., object] | None]
) -> dict[str, Callback]:
    """A method's function, and those of the iterator that it answers; `bound` finds the Python method on a handle."""

    def serve(call: Call, thing: object, received: Sequence[Any]) -> object:
        positional, named = method.spread(_received_arguments(function, received, call))
        python = bound(thing)
        assert python is not None, "services and handles are looked at before they are lent"
        return python(*positional, **named)

    functions = {function.symbol: _callback(function, calls, serve)}
    if isinstance(function.result, IteratorOf):
        following, closing = iterator_functions(function)
        functions[following.symbol] = _callback(following, calls, _pull)
        functions[closing.symbol] = _closing(closing, calls)
    return functions


def _plain(function: Callable[..., object] | None, _no_handle: object) -> Callable[..., object] | None:
    return function


def _pull(_call: Call, iterator: Any, _received: Sequence[Any]) -> object:
    try:
        return next(iterator)
    except StopIteration:
        raise Ended from None


def _closing(function: Function, calls: CallPool) -> Callback:
    def close(_call: Call, thing: Any, _received: Sequence[Any]) -> object:
        # A list's iterator, or a handle whose class does not care, has no close.
        return thing.close() if hasattr(thing, CLOSE) else None

    return _callback(function, calls, close, last=True)


def _callback(
    function: Function,
    calls: CallPool,
    serve: Callable[[Call, Any, Sequence[Any]], object],
    *,
    last: bool = False,
) -> Callback:
    """A C function that lets `serve` answer; with `last` the handle ends with it."""
    name, owner = function_name(function), function.owner
    find = calls.take_back if last else calls.lent

    def answer(address: int | None, *received: Any) -> int:
        call = calls.find(address)
        if call is None:
            return LB_FAILED  # no context of ours: there is nowhere to leave a message
        try:
            thing = None if owner is None else find(owner, received[0])
            value = serve(call, thing, received if owner is None else received[1:])
            if isinstance(function.result, Nothing):
                check_argument(function.result, value)
            else:
                _store(function, value, received[-1], calls, call)
        except Ended:
            return LB_END
        except BaseException as e:  # noqa: BLE001 - nothing may pass through C; check_status raises it again behind it
            call.cause = e
            call.note(f"{name}: {type(e).__name__}: {e}")
            return LB_NOT_PROVIDED if isinstance(e, NotProvided) else LB_FAILED
        return LB_OK

    return callback(function, answer)


def _received_arguments(function: Function, received: Sequence[Any], call: Call) -> list[object]:
    arguments: list[object] = []
    values = iter(received)  # the result's place follows
    for parameter in function.parameters:
        value = (next(values), next(values)) if is_span(parameter.kind) else next(values)
        try:
            arguments.append(decode_argument(parameter.kind, value, call.copy))
        except ValueError as e:
            raise ValueError(f"parameter {parameter.name}: {e}") from None
    return arguments


def _store(function: Function, answer: object, place: int | None, calls: CallPool, call: Call) -> None:
    """Write a service's answer where the plugin wants it; what it points to lives in the call's arena."""
    if not place:
        raise ValueError("the plugin gave a null pointer for the result")

    def keep(data: bytes) -> int:
        address = call.alloc(len(data) + 1)
        write(address, data + b"\0")  # text ends with a zero byte, as arguments do
        return address

    image = _lent(function, answer, calls)
    if image is None:
        kind = function.result
        assert not isinstance(kind, Nothing | IteratorOf)
        assert handle_in(kind) is None
        image = pack(kind, answer, keep)  # type: ignore[arg-type]  # what handle_in excludes, mypy cannot know
    write(place, image)


def _lent(function: Function, answer: object, calls: CallPool) -> bytes | None:
    """A handle or an iterator as the number that the plugin gets for it; None for any other kind."""
    kind: ResultKind = function.result
    handle = handle_in(kind)
    if isinstance(kind, IteratorOf):
        if not hasattr(type(answer), "__iter__"):
            raise TypeError(f"expected an iterator, not {type_of(answer)}")
        iterator: Iterator[object] = iter(answer)  # type: ignore[call-overload]
        number = calls.lend(f"{function.symbol}_iterator", iterator)
    elif handle is None:
        return None
    elif answer is None and isinstance(kind, OptionalOf):
        number = 0
    else:
        lacking = [m.name for m in handle.contract.methods if m.on(answer) is None and m.name != CLOSE]
        if lacking:
            raise TypeError(f"expected a {handle.contract.id}, not {type_of(answer)}: it has no {', '.join(lacking)}")
        number = calls.lend(handle.contract.prefix, answer)
    return number.to_bytes(POINTER, sys.byteorder)
