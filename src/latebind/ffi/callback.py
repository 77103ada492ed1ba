"""Python functions that C code can call: the other direction of `call`.

A callback sees what the caller passed: integers, floating point, and pointers as addresses (None for NULL). A `char *`
arrives as `Text`, an address that can be read: the address itself can still be handed on, which a copy of the text
could not replace (a function may return a pointer into its argument).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from latebind._core import unraisable
from latebind.ffi.call import CONVERTERS, passed_as, returned_as
from latebind.ffi.ctype import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.ffi.ctype import Prototype


class Text(int):
    """The address of a C string. ``bytes(text)`` reads it, up to the NUL; valid as long as C says it is."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return ctypes.string_at(int(self))

    def __repr__(self) -> str:
        return f"<Text at {int(self):#x}>"


class Callback:
    """`function` as a C function of the type `prototype`; `address` is where C code calls it.

    The address is good as long as this object lives. Any thread may call it; the interpreter lock is taken for the
    call. errno is the caller's again afterwards, unless `ctypes.set_errno` (or a call that keeps errno) changed it. An
    exception, or a result that does not fit, cannot pass through C: it is reported by `sys.unraisablehook`, and the
    caller gets 0.
    """

    __slots__ = ("_thunk", "address", "function", "prototype")

    def __init__(self, prototype: Prototype, function: Callable[..., Any]) -> None:
        self.prototype = prototype
        self.function = function
        # What C passes as char * comes as a number: Text reads it only when asked to.
        result = ctypes.c_void_p if prototype.result.kind is Kind.TEXT else returned_as(prototype.result)
        passed = (passed_as(parameter.type) for parameter in prototype.parameters)
        self._thunk = ctypes.CFUNCTYPE(result, *passed, use_errno=True)(_adapted(prototype, function))
        address = ctypes.cast(self._thunk, ctypes.c_void_p).value
        if address is None:
            raise AssertionError("libffi made a callback at address 0")
        self.address = address

    def __repr__(self) -> str:
        return f"<Callback {self.prototype} → {self.function!r} at {self.address:#x}>"


def _adapted(prototype: Prototype, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` between the conversions that `prototype` asks for; it must not refer to the Callback (a cycle)."""
    texts = tuple(i for i, p in enumerate(prototype.parameters) if p.type.kind is Kind.TEXT)
    nothing = None if prototype.result.kind is Kind.VOID else 0

    def call(*arguments: Any) -> Any:
        if texts:
            given = list(arguments)
            for i in texts:
                given[i] = None if given[i] is None else Text(given[i])
            arguments = tuple(given)
        try:
            return _result(prototype, function(*arguments))
        except BaseException as e:  # noqa: BLE001 - there is no way for it through C; ctypes would leave the result open
            unraisable(e, function)
            return nothing

    return call


def _result(prototype: Prototype, value: Any) -> Any:
    """`value` as ctypes takes it for the result; raises where the prototype's type cannot hold it."""
    wanted = prototype.result
    if wanted.kind is Kind.VOID:
        return None
    if wanted.kind in {Kind.TEXT, Kind.POINTER} and not (value is None or isinstance(value, int)):
        # A buffer would be gone when the caller looks at it.
        raise TypeError(f"{prototype.name}: the result must be an address or None, not {type(value).__name__}")
    return CONVERTERS[wanted.kind](wanted, value)
