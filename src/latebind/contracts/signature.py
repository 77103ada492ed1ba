"""The C functions of contracts as `latebind.ffi` calls them: prototypes, and both directions of a call.

A span (text, bytes, a list) is a structure of an address and a size by value; here it is two parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from latebind import _core
from latebind.contracts.marshal import passed
from latebind.contracts.types import (
    BOOL,
    Bytes,
    DataKind,
    Enumeration,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
)
from latebind.ffi.ctype import ARITHMETIC, TYPEDEFS, CType, Field, Kind, Parameter, Prototype
from latebind.ffi.ctype import Record as Structure
from latebind.ffi.program import compile_by_member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.model import Function

POINTER: Final = CType(Kind.POINTER, 8, "void *")
TO_CONST: Final = CType(Kind.POINTER, 8, "const void *", const=True)
SIZE: Final = TYPEDEFS["size_t"]
STATUS: Final = TYPEDEFS["int32_t"]
UINT32: Final = TYPEDEFS["uint32_t"]
SPAN: Final = CType(
    Kind.RECORD,
    16,
    "lb_span",
    record=Structure("lb_span", size=16, align=8, fields=(Field("data", TO_CONST, 0), Field("size", SIZE, 8))),
)
"""lb_str, lb_bytes and the lists."""

_RESULT: Final = "result"
_REALS: Final = {4: ARITHMETIC[("float",)], 8: ARITHMETIC[("double",)]}
_CONTEXT: Final = Parameter(POINTER, "ctx")


def prototype(name: str, *types: CType) -> Prototype:
    """A function that takes a context and these, and answers a status."""
    return Prototype(name, STATUS, (_CONTEXT, *(Parameter(type_, f"a{n}") for n, type_ in enumerate(types, 1))))


def caller(function: Function, address: int, library: str) -> _core.Function:
    """The function at `address` for Python to call, without the interpreter lock unless it is quick.

    It takes the context, a handle if it is a handle's function, and what encoders make; then, if the result is an
    image, a buffer for it. It gives the status; together with the result where that is a number.
    """
    number = passed(function.result)
    parameters = _parameters(function, bool_as_byte=False)
    if not isinstance(function.result, Nothing):
        parameters.append(Parameter(_pointer_to(function.result) if number else POINTER, _RESULT))
    whole = Prototype(function.symbol, STATUS, tuple(parameters))
    return bind(whole, address, library, quick=function.quick, out=[_RESULT] if number else [])


def bind(
    whole: Prototype, address: int, library: str, *, quick: bool = False, out: Sequence[str] = ()
) -> _core.Function:
    """The function at `address`, called with the members of structures instead of those."""
    spread, program = compile_by_member(whole, out=out)
    return _core.Function(
        spread, address, library, program.result, program.parameters, program.used,
        variadic=False, lifetime=None, convert=None, releases_lock=not quick,
    )  # fmt: skip


def words_of(function: Function) -> tuple[list[int], tuple[int, int, int]]:
    """The words in which a function's parameters travel, and how many registers and stack words are in use.

    First the context's, last that of the result's place where there is a result; a span has two.
    """
    parameters = _parameters(function, bool_as_byte=True)
    if not isinstance(function.result, Nothing):
        parameters.append(Parameter(POINTER, _RESULT))
    _, program = compile_by_member(Prototype(function.symbol, STATUS, tuple(parameters)))
    return [pieces[0][0] for _, _, _, pieces, *_ in program.parameters], program.used


def callback(function: Function, answer: Callable[..., int]) -> _core.Callback:
    """`answer` for C to call as this function: with context, handle if any, the arguments, and the result's address."""
    parameters = _parameters(function, bool_as_byte=True)
    if not isinstance(function.result, Nothing):
        parameters.append(Parameter(POINTER, _RESULT))
    return make_callback(Prototype(function.symbol, STATUS, tuple(parameters)), answer)


def make_callback(whole: Prototype, answer: Callable[..., int]) -> _core.Callback:
    """`answer` for C to call; it gets the members of structures instead of those, and must not raise."""
    spread, program = compile_by_member(whole)
    return _core.Callback(spread, answer, program.result, program.parameters, program.used, raises_at_call=False)


def is_span(kind: DataKind) -> bool:
    """Whether values of a kind are an address and a size."""
    return isinstance(kind, Text | Bytes | ListOf)


def _parameters(function: Function, *, bool_as_byte: bool) -> list[Parameter]:
    parameters = [_CONTEXT]
    if function.owner is not None:
        parameters.append(Parameter(POINTER, "self"))
    parameters += [Parameter(_type(p.kind, bool_as_byte=bool_as_byte), p.name) for p in function.parameters]
    return parameters


def _type(kind: DataKind, *, bool_as_byte: bool) -> CType:
    """The C type of a parameter; with `bool_as_byte` a bool is a byte: C may hand over any."""
    if isinstance(kind, Scalar):
        if kind is BOOL:
            return TYPEDEFS["uint8_t" if bool_as_byte else "bool"]
        return _REALS[kind.size] if kind.family == "float" else TYPEDEFS[kind.c]
    if isinstance(kind, Enumeration):
        return STATUS
    return TO_CONST if isinstance(kind, Record | OptionalOf) else SPAN


def _pointer_to(kind: ResultKind) -> CType:
    """A pointer to a result that is a number."""
    target: Any = _type(kind, bool_as_byte=True) if isinstance(kind, Scalar | Enumeration) else POINTER
    return CType(Kind.POINTER, 8, f"{target} *", target=target)
