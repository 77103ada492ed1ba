"""Which argument goes into which register on AArch64 (AAPCS64 6.8.2, "Parameter passing rules", as Linux uses them).

Words count the registers as src/core/call.h does: x0 to x7, then v0 to v7, then the stack; of a result x0 x1, then v0
to v3. A large result goes where x8 points, which is no argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import CType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi.sysv import Piece

INTEGERS: Final = 8
VECTORS: Final = 8
STACK: Final = INTEGERS + VECTORS
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
        if members is None:
            return self._integers(type_.bytes, type_.alignment)
        if self.vectors + len(members) > VECTORS:
            self.vectors = VECTORS  # C.3
            return self._stack(type_.bytes, type_.alignment)
        first = INTEGERS + self.vectors
        self.vectors += len(members)
        return tuple((first + n, offset, size) for n, (offset, size) in enumerate(members))

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
        return tuple((_RESULT_VECTORS + n, offset, size) for n, (offset, size) in enumerate(members))
    size = type_.bytes
    return tuple((n, 8 * n, min(8, size - 8 * n)) for n in range(-(-size // 8)))


def passed_by_reference(type_: CType) -> bool:
    """Whether the caller makes a copy and passes its address (B.4)."""
    return type_.kind is Kind.RECORD and type_.bytes > 16 and homogeneous(type_) is None


def homogeneous(type_: CType) -> tuple[tuple[int, int], ...] | None:
    """(offset, bytes) of each member, if all are of one floating-point type and there are one to four; else None.

    A number alone counts, too. Raises Unsupported for those of `long double`, which need whole vector registers.
    """
    members = list(_members(type_, 0))
    if not members or None in members:
        return None
    found = sorted({m for m in members if m is not None})
    sizes = {size for _, size in found}
    if len(sizes) != 1 or len(found) > _MOST_MEMBERS or len(found) * found[0][1] != type_.bytes:
        return None
    if sizes == {16}:
        raise Unsupported(str(type_), "is passed in whole vector registers, which are not filled on this machine yet")
    return tuple(found)


def _members(type_: CType, offset: int) -> Iterator[tuple[int, int] | None]:
    """(offset, bytes) of each floating-point number in a value; None for anything else."""
    if type_.kind is Kind.RECORD and type_.record is not None:
        for field in type_.record.fields or ():
            yield from _members(field.type, offset + field.offset)
    elif type_.kind is Kind.ARRAY and type_.target is not None:
        for index in range(type_.length or 0):
            yield from _members(type_.target, offset + index * type_.target.bytes)
    elif type_.kind is Kind.FLOATING:
        yield offset, type_.size
    elif type_.kind is Kind.COMPLEX:
        yield offset, type_.size // 2
        yield offset + type_.size // 2, type_.size // 2
    else:
        yield None
