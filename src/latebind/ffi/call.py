"""Calls: a bound `Prototype`. Every argument is checked and converted before the call, never during it.

The core does the call (src/core/py_call.c): an integer that does not fit is not cut off, a string is not taken for a
number, and a read-only buffer is not handed to a function that may write to it. Each error names the library, the
function and the parameter.

Results: integers as int, floating point as float, complex as complex, bool as bool, void as None, `char *` as bytes
(None for NULL), a structure as a value of its class, any other pointer as an address (None for NULL).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind import _core
from latebind.ffi import convert
from latebind.ffi.program import compile_prototype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.ffi.ctype import Prototype


def bind(
    prototype: Prototype,
    address: int,
    library: str,
    *,
    lifetime: _core.Lifetime | None = None,
    quick: bool = False,
    out: Sequence[str] = (),
) -> _core.Function:
    """The function at `address`; see `Prototype.bind`."""
    if not address:
        raise ValueError(f"{library}: {prototype.name} cannot be called: its address is 0")
    program = compile_prototype(prototype, out=out)
    return _core.Function(
        prototype,
        address,
        library,
        program.result,
        program.parameters,
        program.used,
        prototype.variadic,
        lifetime,
        convert.pointer,
        not quick,
    )


def errno() -> int:
    """The errno that the last call in this thread left (errno(3)). Python's own doing in between does not change it."""
    return _core.get_errno()


def set_errno(value: int) -> int:
    """The errno that the next call in this thread finds, or in a callback, that its caller finds; gives the old one."""
    return _core.set_errno(value)
