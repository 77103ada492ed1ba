"""`Prototype` → what the core executes: for each value its operation and the words that it travels in.

Made once for a prototype, from the rules of the machine (`sysv.py`, `aapcs64.py`). `_core.Function` and
`_core.Callback` take it, and a trace reads the arguments of others' calls by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from latebind import _core
from latebind.errors import Unsupported
from latebind.ffi import aapcs64, sysv
from latebind.ffi.ctype import CType, Kind, Parameter, Prototype

if TYPE_CHECKING:
    from collections.abc import Collection

CONST, NONNULL, OUT, MEMORY, REFERENCE = 1, 2, 4, 8, 16
"""enum lb_slot_flag (src/core/py_value.h)."""

_MACHINE: Final = aapcs64 if _core.CALL_MACHINE == "aarch64" else sysv
OP: Final = {name: number for number, name in enumerate(_core.OPS)}
_OTHERS: Final = {
    (Kind.VOID, 0): "VOID",
    (Kind.BOOL, 1): "BOOL",
    (Kind.FLOATING, 4): "FLOAT",
    (Kind.FLOATING, 8): "DOUBLE",
    (Kind.FLOATING, 16): "LONG_DOUBLE",
    (Kind.COMPLEX, 8): "COMPLEX_FLOAT",
    (Kind.COMPLEX, 16): "COMPLEX_DOUBLE",
    (Kind.COMPLEX, 32): "COMPLEX_LONG_DOUBLE",
    (Kind.TEXT, 8): "TEXT",
    (Kind.POINTER, 8): "POINTER",
}

Slot = tuple[int, int, int, tuple[sysv.Piece, ...], int, CType, Any]
"""(op, flags, bytes, pieces, op of a pointer's target, type, class): struct lb_slot."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to make a call, or take one. `used` counts integer registers, vector registers and stack words."""

    result: Slot
    parameters: tuple[Slot, ...]
    used: tuple[int, int, int]


def op_of(type_: CType) -> int:
    """The number of the core's operation for a value of this type. Raises Unsupported."""
    if type_.kind in {Kind.RECORD, Kind.VECTOR}:
        return OP["RECORD"]
    if type_.kind is Kind.INTEGER:
        return OP[f"{'' if type_.signed else 'U'}INT{8 * type_.size}"]
    name = _OTHERS.get((type_.kind, type_.size))
    if name is None:
        raise Unsupported(type_.spelling, "cannot be passed by value")
    return OP[name]


def compile_prototype(prototype: Prototype, *, out: Collection[str] = (), text_class: type | None = None) -> Program:
    """How values of `prototype` travel. `text_class` is what a callback's `char *` arguments are made.

    Raises Unsupported for a record that nobody has described, and ValueError where `out` names what is no parameter
    that a function could store through.
    """
    registers = _MACHINE.Registers()
    result = _result(prototype.result, registers)
    parameters = []
    left = set(out)
    for parameter in prototype.parameters:
        is_out = parameter.name in left
        left.discard(parameter.name or "")
        slot = _slot(parameter.type, registers.place(_complete(parameter.type)), text_class)
        if parameter.type.kind is Kind.RECORD and _MACHINE is aapcs64 and aapcs64.passed_by_reference(parameter.type):
            slot = (slot[0], slot[1] | REFERENCE, *slot[2:])
        parameters.append(_as_out(slot, prototype) if is_out else slot)
    if left:
        raise ValueError(f"{prototype} has no parameter {min(left)}")
    used = (registers.integers, registers.vectors, registers.stack_words)
    return Program(result, tuple(parameters), used)


def compile_by_member(prototype: Prototype, *, out: Collection[str] = ()) -> tuple[Prototype, Program]:
    """The same for a caller who has the members of structures, not the structures, and what the call looks like to him.

    Each parameter that is a structure by value becomes one parameter a member; C sees no difference. `out` are those
    that the function stores through. Raises Unsupported for a structure whose members do not travel in words of their
    own.
    """
    program = compile_prototype(prototype, out=out)
    parameters: list[Parameter] = []
    slots: list[Slot] = []
    for parameter, slot in zip(prototype.parameters, program.parameters, strict=True):
        if parameter.type.kind is not Kind.RECORD:
            parameters.append(parameter)
            slots.append(slot)
            continue
        assert parameter.type.record is not None
        for field in parameter.type.record.fields or ():
            word = None if slot[1] & REFERENCE else _word_of(slot[3], field.offset)
            if word is None or field.width or field.type.kind not in {Kind.INTEGER, Kind.POINTER, Kind.TEXT}:
                raise Unsupported(str(parameter), "has members that cannot be passed one by one")
            parameters.append(Parameter(field.type, f"{parameter.name}.{field.name}"))
            slots.append(_slot(field.type, ((word, 0, field.type.bytes),), None))
    spread = replace(prototype, parameters=tuple(parameters))
    return spread, replace(program, parameters=tuple(slots))


def _word_of(pieces: tuple[sysv.Piece, ...], offset: int) -> int | None:
    """The word that begins with a value's byte at `offset`; a piece on the stack is several words."""
    for word, start, size in pieces:
        if start <= offset < start + size and not (offset - start) % 8:
            return word + (offset - start) // 8
    return None


def _complete(type_: CType) -> CType:
    """`type_`, if values of it can be passed."""
    if type_.kind is Kind.RECORD and (type_.record is None or type_.record.fields is None):
        raise Unsupported(type_.spelling, "is not described here, so it cannot be passed by value")
    if type_.record is not None and type_.record.by_reference:
        raise Unsupported(type_.spelling, "is a class of C++ that only its own code can copy or destroy")
    return type_


def _result(type_: CType, registers: sysv.Registers | aapcs64.Registers) -> Slot:
    pieces = _MACHINE.place_result(_complete(type_))
    if pieces is not None:
        return _slot(type_, pieces, None)
    op, flags, size, _, element, _, class_ = _slot(type_, (), None)
    return op, flags | MEMORY, size, registers.hide_result(), element, type_, class_


def _slot(type_: CType, pieces: tuple[sysv.Piece, ...], text_class: type | None) -> Slot:
    flags = (CONST if type_.const else 0) | (NONNULL if type_.nonnull else 0)
    element, class_ = OP["VOID"], None
    if type_.kind in {Kind.RECORD, Kind.VECTOR}:
        class_ = _class_of(type_)
    elif type_.kind is Kind.TEXT:
        class_ = text_class
    elif type_.kind is Kind.POINTER and type_.target is not None:
        target = type_.target
        if target.kind is Kind.RECORD and target.record is not None and target.record.fields is not None:
            class_ = _class_of(target)
        elif target.kind not in {Kind.RECORD, Kind.VECTOR, Kind.ARRAY, Kind.FUNCTION, Kind.VOID}:
            element = op_of(target)
    return op_of(type_), flags, type_.bytes, pieces, element, type_, class_


def _class_of(type_: CType) -> Any:
    from latebind.ffi.values import class_of

    return class_of(type_)


def _as_out(slot: Slot, prototype: Prototype) -> Slot:
    op, flags, size, pieces, element, type_, class_ = slot
    if type_.kind is Kind.TEXT and not type_.const:  # one char
        element = OP["INT8" if type_.target is None or type_.target.signed else "UINT8"]
        return OP["POINTER"], flags | OUT, size, pieces, element, type_, None
    if type_.kind is not Kind.POINTER or type_.const or (element == OP["VOID"] and class_ is None):
        raise ValueError(f"{prototype} cannot store through {type_}: it must point to a known type that is not const")
    return op, flags | OUT, size, pieces, element, type_, class_
