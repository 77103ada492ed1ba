"""Which argument goes into which register on x86-64 (System V psABI 3.2.3, "Parameter Passing").

A value is cut into eightbytes, and each gets a class; what has a class of registers and finds enough of them free goes
there, everything else to the stack. Words count the registers as src/core/call.h does: rdi rsi rdx rcx r8 r9, then xmm0
to xmm7 (two words each), then the stack; of a result rax rdx, then xmm0 xmm1, then st0 and st1 (two words each).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import CType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGERS: Final = 6
VECTORS: Final = 8
STACK: Final = INTEGERS + 2 * VECTORS
_RESULT_VECTORS: Final = 2
_RESULT_X87: Final = 6
_X87_BYTES: Final = 10  # what st0 holds of a long double's 16

Piece = tuple[int, int, int]
"""(word, offset in the value, bytes)."""


class Class(Enum):
    """The class of an eightbyte."""

    NONE = "no class"
    INTEGER = "integer"
    SSE = "sse"
    SSEUP = "sseup"
    X87 = "x87"
    X87UP = "x87up"
    MEMORY = "memory"


@dataclass(slots=True)
class Registers:
    """What is used up by the arguments so far."""

    integers: int = 0
    vectors: int = 0
    stack_words: int = 0

    def place(self, type_: CType) -> tuple[Piece, ...]:
        """Where the next argument, of this type, goes."""
        classes = classify(type_)
        wanted_integers, wanted_vectors = classes.count(Class.INTEGER), classes.count(Class.SSE)
        if (
            not {Class.MEMORY, Class.X87, Class.X87UP} & set(classes)
            and self.integers + wanted_integers <= INTEGERS
            and self.vectors + wanted_vectors <= VECTORS
        ):
            return tuple(self._registers(classes, type_.bytes))
        unit = (type_.record.align if type_.record is not None else type_.natural) // 8
        if unit > 1:
            self.stack_words = -(-self.stack_words // unit) * unit
        first = STACK + self.stack_words
        self.stack_words += -(-type_.bytes // 8)
        return ((first, 0, type_.bytes),)

    def _registers(self, classes: tuple[Class, ...], size: int) -> Iterator[Piece]:
        for number, class_ in enumerate(classes):
            if class_ is Class.INTEGER:
                word = self.integers
                self.integers += 1
            elif class_ is Class.SSE:
                word = INTEGERS + 2 * self.vectors
                self.vectors += 1
            else:  # padding only, or the upper half of a vector
                continue
            yield word, 8 * number, _sse_bytes(classes, number, size)

    def hide_result(self) -> tuple[Piece, ...]:
        """The address of a result in memory is a first argument that nobody wrote."""
        self.integers += 1
        return ((0, 0, 8),)


def _sse_bytes(classes: tuple[Class, ...], number: int, size: int) -> int:
    """How many of a value's bytes are in the register that holds eightbyte `number` of it."""
    return min(16 if classes[number + 1 :][:1] == (Class.SSEUP,) else 8, size - 8 * number)


def place_result(type_: CType) -> tuple[Piece, ...] | None:
    """Where a result of this type comes back; None: in memory."""
    if type_.kind is Kind.VOID:
        return ()
    if type_.kind is Kind.COMPLEX and type_.size == 32:  # class COMPLEX_X87
        return (_RESULT_X87, 0, _X87_BYTES), (_RESULT_X87 + 2, 16, _X87_BYTES)
    classes = classify(type_)
    if Class.MEMORY in classes:
        return None
    integers, vectors = iter((0, 1)), iter((_RESULT_VECTORS, _RESULT_VECTORS + 2))
    pieces = []
    for number, class_ in enumerate(classes):
        size = min(8, type_.bytes - 8 * number)
        if class_ is Class.INTEGER:
            pieces.append((next(integers), 8 * number, size))
        elif class_ is Class.SSE:
            pieces.append((next(vectors), 8 * number, _sse_bytes(classes, number, type_.bytes)))
        elif class_ is Class.X87:
            pieces.append((_RESULT_X87, 8 * number, _X87_BYTES))
    return tuple(pieces)


def classify(type_: CType) -> tuple[Class, ...]:
    """The classes of the eightbytes of a value of this type; MEMORY alone where the whole value goes there.

    Raises Unsupported where compilers do not agree: gcc lets an unnamed bit-field give its eightbyte a class, as if it
    had a name (in a union even one without width), and clang does not.
    """
    _refuse_vectors(type_)
    if type_.bytes > 16:
        return (Class.MEMORY,)
    count = -(-type_.bytes // 8)
    classes = _classify(type_, 0, count, with_unnamed=True)
    if classes != _classify(type_, 0, count, with_unnamed=False):
        raise Unsupported(str(type_), "has an unnamed bit-field, and gcc passes it otherwise than clang", "name it")
    return (Class.MEMORY,) if classes is None else tuple(classes)


def _classify(type_: CType, offset: int, count: int, *, with_unnamed: bool) -> list[Class] | None:
    """The classes that a part at `offset` gives the `count` eightbytes of a value; None: the value goes to memory.

    Each record is judged by itself, too: one that would go to memory alone takes what is around it along.
    """
    classes = [Class.NONE] * count
    record = type_.record if type_.kind is Kind.RECORD else None
    if with_unnamed and record is not None and record.is_union and record.gap_align and count:
        classes[offset // 8] = Class.INTEGER
    for place, part, width in _parts(type_, offset, with_unnamed=with_unnamed):
        if part.kind in {Kind.RECORD, Kind.ARRAY}:
            inner = _classify(part, place, count, with_unnamed=with_unnamed)
            if inner is None:
                return None
            classes = [_merge(one, other) for one, other in zip(classes, inner, strict=True)]
            continue
        if not width and place % part.natural:  # an unaligned member
            return None
        size = part.bytes if not width else -(-width // 8)
        span = range(place // 8, (place + size - 1) // 8 + 1)
        for number, class_ in zip(span, _classes(part, len(span)), strict=False):
            classes[number] = _merge(classes[number], class_)
    for number, class_ in enumerate(classes):
        if class_ is Class.MEMORY or (class_ is Class.X87UP and classes[number - 1] is not Class.X87):
            return None
        if class_ is Class.SSEUP and classes[number - 1] is not Class.SSE:
            classes[number] = Class.SSE
    return classes


def _classes(scalar: CType, count: int) -> tuple[Class, ...]:
    if scalar.kind is Kind.FLOATING and scalar.size == 16:
        return Class.X87, Class.X87UP
    if scalar.kind is Kind.VECTOR:
        return (Class.SSE, Class.SSEUP)[:count]
    return (Class.SSE if scalar.kind in {Kind.FLOATING, Kind.COMPLEX} else Class.INTEGER,) * count


def _refuse_vectors(type_: CType) -> None:
    """Raise Unsupported for a vector that travels in half an MMX register, or in one of AVX."""
    if type_.kind is Kind.VECTOR and type_.size not in {8, 16}:
        raise Unsupported(
            type_.spelling, "is a vector of neither 8 nor 16 bytes, so compilers' options decide how it travels"
        )
    for _, part, _ in _parts(type_, 0, with_unnamed=False):
        if part is not type_:
            _refuse_vectors(part)


def _merge(one: Class, other: Class) -> Class:
    if one is other or other is Class.NONE:
        return one
    if one is Class.NONE:
        return other
    for strongest in (Class.MEMORY, Class.INTEGER):
        if strongest in {one, other}:
            return strongest
    return Class.MEMORY if {one, other} & {Class.X87, Class.X87UP} else Class.SSE


def _parts(type_: CType, offset: int, *, with_unnamed: bool) -> Iterator[tuple[int, CType, int]]:
    """(offset, type, width) of the members of a record, the elements of an array, or the number or pointer itself.

    A bit-field is named by its first byte, and its width counts from there.
    """
    if type_.kind is Kind.RECORD and type_.record is not None:
        for field in type_.record.fields or ():
            start = field.shift // 8
            width = field.shift % 8 + field.width if field.width else 0
            if with_unnamed or not width or field.name is not None:
                yield offset + field.offset + start, field.type, width
    elif type_.kind is Kind.ARRAY and type_.target is not None:
        for index in range(type_.length or 0):
            yield offset + index * type_.target.bytes, type_.target, 0
    else:
        yield offset, type_, 0
