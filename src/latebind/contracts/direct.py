"""Calls from one native plugin to another without Python: what the core must know of a contract's function.

The core passes words on as they are, but for addresses (src/core/settle.h): a *shape* says where in a value's image
they lie. Handles and iterators are numbers of the host's, so functions that answer those are called by way of Python,
and so are those with a default body, which is Python itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from latebind import _core
from latebind.contracts.clayout import field_places, optional_place, size_of
from latebind.contracts.marshal import decode, passed
from latebind.contracts.native import LB_FAILED, LB_NOT_PROVIDED, LB_OK, check_status, function_name
from latebind.contracts.signature import is_span, words_of
from latebind.contracts.types import (
    Bytes,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
    handle_in,
)
from latebind.errors import NotProvided

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts.calls import Call, CallPool
    from latebind.contracts.model import Contract, Function, Method
    from latebind.contracts.native import Owner
    from latebind.contracts.types import DataKind

Shape: TypeAlias = tuple[tuple[int, int, int, int, "Shape"], ...]
"""(kind, offset, flag, size, shape), as struct lb_part has them."""

_SPAN, _TEXT, _INSIDE = range(3)
MOST_STACK_WORDS: Final = 64
"""A function with more words of arguments on the stack is called by way of Python."""


def is_direct(method: Method) -> bool:
    """Whether a method can be called from one native plugin to another without Python."""
    return method.body is None and not isinstance(method.result, IteratorOf) and handle_in(method.result) is None


def link(
    contract: Contract,
    method: Method,
    callers: CallPool,
    fallback: _core.Callback,
    way: tuple[_core.Gate, _core.Meter],
    owner: Callable[[], Owner],
) -> _core.Link | None:
    """The C function by which a plugin whose calls are `callers` reaches a method of another plugin.

    `fallback` is the function that does the same by way of Python; `way` what calls pass; `owner` tells whose code
    answers, for errors. None where the method cannot be called directly.
    """
    function = contract.function(method)
    words, used = words_of(function)
    if not is_direct(method) or used[2] > MOST_STACK_WORDS:
        return None
    arguments = []
    places = iter(words[1:])
    for parameter in function.parameters:
        kind, word = parameter.kind, next(places)
        if is_span(kind):
            arguments.append((word, next(places), 0, shape(kind)))
        elif isinstance(kind, Record | OptionalOf):
            arguments.append((word, 0, size_of(kind), shape(kind)))
    result: tuple[int, int, Shape] = (0, 0, ())
    if not isinstance(function.result, Nothing):
        data = () if passed(function.result) else shape(function.result)
        result = (next(places), size_of(function.result), data)
    return _core.Link(
        callers, *way, _teller(function, owner), fallback.address, fallback, used, words[0], result, tuple(arguments)
    )  # fmt: skip


def shape(kind: ResultKind, at: int = 0) -> Shape:
    """Where the addresses lie in an image of the kind that begins at `at`."""
    if isinstance(kind, Text | Bytes):
        return ((_TEXT if isinstance(kind, Text) else _SPAN, at, 0, 1, ()),)
    if isinstance(kind, ListOf):
        return ((_SPAN, at, 0, size_of(kind.element), shape(kind.element)),)
    if isinstance(kind, OptionalOf):
        inside = shape(kind.element)
        return ((_INSIDE, at + optional_place(kind), at, 0, inside),) if inside else ()
    if isinstance(kind, Record):
        places: list[tuple[DataKind, int]] = [
            (field.kind, at + place) for field, place in zip(kind.fields, field_places(kind), strict=True)
        ]
        return tuple(part for field, place in places for part in shape(field, place))
    assert isinstance(kind, Scalar | Enumeration | HandleTo | IteratorOf | Nothing)
    return ()


def _teller(function: Function, owner: Callable[[], Owner]) -> Callable[[Call, int, Call, bytes], int]:
    """What tells the caller of a call that failed, in the words that a call by way of Python would have."""
    name = function_name(function)

    def tell(call: Call, status: int, caller: Call, image: bytes) -> int:
        try:
            check_status(owner(), name, call, status)
            if image:
                _refuse(owner(), function, call, image)
        except BaseException as e:  # noqa: BLE001 - nothing may pass through C; check_status raises it again behind it
            caller.cause = e
            caller.note(f"{name}: {type(e).__name__}: {e}")
            return LB_NOT_PROVIDED if isinstance(e, NotProvided) else LB_FAILED
        return LB_OK

    return tell


def _refuse(owner: Owner, function: Function, call: Call, image: bytes) -> None:
    """Raise what is wrong with an answer that the core could not take over."""
    name = function_name(function)
    try:
        decode(function.result, image, call.copy)
    except ValueError as e:
        raise owner.error(name, f"its result breaks the contract: {e}") from e
    raise owner.error(name, "its result is more than memory can hold")
