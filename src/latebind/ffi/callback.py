"""Python functions that C code can call: the other direction of `call`.

A callback sees what the caller passed: integers, floating point, structures, and pointers as addresses (None for NULL).
A `char *` arrives as `Text`, an address that can be read: the address itself can still be handed on, which a copy of
the text could not replace (a function may return a pointer into its argument).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind import _core
from latebind.errors import Unsupported
from latebind.ffi.program import OP, compile_prototype

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.ffi.ctype import Prototype


class Text(int):
    """The address of a C string. ``bytes(text)`` reads it, up to the NUL; valid as long as C says it is."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        word = int(self).to_bytes(8, "little")
        held = _core.memory_view(_Word, word, 0, 8)
        read: bytes = _core.memory_load(held, OP["TEXT"], 0, None)
        return read

    def __repr__(self) -> str:
        return f"<Text at {int(self):#x}>"


class _Word(_core.Memory):
    """A pointer."""

    __slots__ = ()
    _size_ = 8


def make_callback(prototype: Prototype, function: Callable[..., Any], *, raises: bool) -> _core.Callback:
    """`function` as a C function of the type `prototype`; see `Prototype.callback`.

    The address is good as long as the result lives. Any thread may call it; the interpreter lock is taken for the
    call. errno is the caller's again afterwards, unless `set_errno` or a call made by `function` changed it. Where
    `function` raises, or gives what the result cannot hold, the caller gets 0, and with `raises` the function is not
    entered again before the call from Python that led to it has returned.
    """
    if prototype.variadic:
        raise Unsupported(str(prototype), "a Python function cannot tell what variable arguments it got")
    program = compile_prototype(prototype, text_class=Text)
    return _core.Callback(prototype, function, program.result, program.parameters, program.used, raises)
