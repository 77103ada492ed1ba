"""Where the members of a structure or union lie (x86-64 psABI 3.1.2; AAPCS64 5.9 agrees for what C can write).

Each member stands at the next multiple of its alignment. A bit-field stands behind the one before it, unless it would
cross a boundary of its own type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from latebind.ffi.ctype import CType, Field, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

Member: TypeAlias = tuple[str | None, CType, int | None]
"""Name, type, and width in bits (None where it is no bit-field)."""


def lay_out(record: Record, members: Sequence[Member], *, pack: int = 0) -> None:
    """Fill `record` with `members`; `pack`, if not 0, limits every alignment to so many bytes (`#pragma pack`)."""
    fields: list[Field] = []
    position = end = 0  # bits
    align = 1
    for name, type_, width in members:
        natural = min(type_.alignment, pack) if pack else type_.alignment
        if record.is_union:
            position = 0
        if width is None:
            position = _round(position, natural * 8)
            fields.append(Field(name, type_, position // 8))
            position += type_.bytes * 8
        elif width == 0:
            position = _round(position, type_.size * 8)
            continue
        else:
            unit = type_.size * 8
            if position // unit != (position + width - 1) // unit and not pack:
                position = _round(position, natural * 8)
            fields.append(bit_field(name, type_, position, width))
            position += width
            if name is None:  # an unnamed one does not align the whole
                end = max(end, position)
                continue
        align = max(align, natural)
        end = max(end, position)
    record.align = align
    record.size = _round(end, align * 8) // 8
    record.fields = tuple(fields)


def bit_field(name: str | None, type_: CType, position: int, width: int) -> Field:
    """The bit-field of `width` bits at bit `position`, in a unit of its own type, else from its first byte."""
    unit = type_.size * 8
    start = position // unit * unit
    if position + width > start + unit:
        start = position // 8 * 8
    return Field(name, type_, start // 8, position - start, width)


def _round(position: int, unit: int) -> int:
    return -(-position // unit) * unit
