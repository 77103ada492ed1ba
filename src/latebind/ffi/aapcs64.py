"""Which argument goes into which register on AArch64 (AAPCS64 6.8.2, "Parameter passing rules", as Linux uses them).

Words count the registers as src/core/call.h does: x0 to x7, then v0 to v7 (two words each), then the stack; of a result
x0 x1, then v0 to v3 (two words each). A large result goes where x8 points, which is no argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import CType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi.ctype import Field
    from latebind.ffi.sysv import Piece

INTEGERS: Final = 8
VECTORS: Final = 8
STACK: Final = INTEGERS + 2 * VECTORS
_RESULT_VECTORS: Final = 2
_MOST_MEMBERS: Final = 4  # of a homogeneous floating-point aggregate


@dataclass(slots=True)
class Registers:
    """What is used up by the arguments so far."""

    integers: int = 0
    vectors: int = 0
    stack_words: int = 0

    def place(self, type_: CType) -> tuple[Piece, ...]:
        """Where the next argument, of this type, goes; of one that is passed by reference, where its address goes."""
        if passed_by_reference(type_):
            return self._integers(8, 8)
        members = homogeneous(type_)
        align = natural_alignment(type_)
        if members is None:
            return self._integers(type_.bytes, align)
        if self.vectors + len(members) > VECTORS:
            self.vectors = VECTORS  # C.3
            return self._stack(type_.bytes, align)
        first = INTEGERS + 2 * self.vectors
        self.vectors += len(members)
        return tuple((first + 2 * n, offset, size) for n, (offset, size) in enumerate(members))

    def _integers(self, size: int, align: int) -> tuple[Piece, ...]:
        count = -(-size // 8)
        if align == 16:  # C.10: an even register first
            self.integers += self.integers % 2
        if self.integers + count > INTEGERS:
            self.integers = INTEGERS  # C.13
            return self._stack(size, align)
        first = self.integers
        self.integers += count
        return tuple((first + n, 8 * n, min(8, size - 8 * n)) for n in range(count))

    def _stack(self, size: int, align: int) -> tuple[Piece, ...]:
        if align == 16:
            self.stack_words += self.stack_words % 2
        first = STACK + self.stack_words
        self.stack_words += -(-size // 8)
        return ((first, 0, size),)

    @staticmethod
    def hide_result() -> tuple[Piece, ...]:
        """The address of a result in memory is in x8: no word."""
        return ()


def place_result(type_: CType) -> tuple[Piece, ...] | None:
    """Where a result of this type comes back; None: in memory."""
    if type_.kind is Kind.VOID:
        return ()
    if passed_by_reference(type_):
        return None
    members = homogeneous(type_)
    if members is not None:
        return tuple((_RESULT_VECTORS + 2 * n, offset, size) for n, (offset, size) in enumerate(members))
    size = type_.bytes
    return tuple((n, 8 * n, min(8, size - 8 * n)) for n in range(-(-size // 8)))


def passed_by_reference(type_: CType) -> bool:
    """Whether the caller makes a copy and passes its address (B.4)."""
    return type_.kind is Kind.RECORD and type_.bytes > 16 and homogeneous(type_) is None


def natural_alignment(type_: CType) -> int:
    """The alignment that decides about registers: of a record its strictest member's, whatever it asks for itself.

    AAPCS64 5.9 and 6.8.2, as gcc reads them (`aarch64_function_arg_alignment`): attributes of members count.
    """
    if type_.kind is Kind.RECORD and type_.record is not None:
        fields = type_.record.fields or ()
        return max([type_.record.gap_align, *(_asked(f) for f in fields)])
    return type_.natural


def _asked(field: Field) -> int:
    """The alignment of a member; of a bit-field its type's counts too, even where it is packed."""
    return max(field.type.natural, field.align) if field.width else field.align or field.type.alignment


def homogeneous(type_: CType) -> tuple[tuple[int, int], ...] | None:
    """(offset, bytes) of each member, if there are one to four, all of one floating-point or vector type; else None.

    A number alone counts, too. Raises Unsupported for vectors that AAPCS64 gives no register to.
    """
    members = list(_members(type_, 0))
    if not members or None in members:
        return None
    found = sorted({m for m in members if m is not None})
    kinds = {(size, kind) for _, size, kind in found}
    size = found[0][1]
    if len(kinds) != 1 or len(found) > _MOST_MEMBERS or len(found) * size != type_.bytes:
        return None
    if size not in {4, 8, 16}:
        raise Unsupported(type_.spelling, "holds a vector of neither 8 nor 16 bytes")
    return tuple((offset, size) for offset, size, _ in found)


def _members(type_: CType, offset: int) -> Iterator[tuple[int, int, str] | None]:
    """(offset, bytes, kind) of each floating-point number or vector in a value; None for anything else."""
    if type_.kind is Kind.RECORD and type_.record is not None:
        for field in type_.record.fields or ():
            yield from _members(field.type, offset + field.offset)
    elif type_.kind is Kind.ARRAY and type_.target is not None:
        for index in range(type_.length or 0):
            yield from _members(type_.target, offset + index * type_.target.bytes)
    elif type_.kind in {Kind.FLOATING, Kind.VECTOR}:
        yield offset, type_.size, type_.kind.value
    elif type_.kind is Kind.COMPLEX:
        for part in range(2):
            yield offset + part * type_.size // 2, type_.size // 2, Kind.FLOATING.value
    else:
        yield None
