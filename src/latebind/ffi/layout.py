"""Where the members of a structure or union lie (x86-64 psABI 3.1.2; AAPCS64 5.9 agrees for what C can write).

Each member stands at the next multiple of its alignment. A bit-field stands behind the one before it, unless it would
cross a boundary of its own type. What `packed`, `aligned` and `#pragma pack` change is what gcc does, whose manual
leaves the corners open (gcc/stor-layout.cc, `layout_decl` and `place_field`).
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.ffi.ctype import CType, Field, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

# AAPCS64 10.1.8: there an unnamed bit-field aligns the whole as a named one does.
_UNNAMED_ALIGNS: Final = platform.machine() == "aarch64"


@dataclass(frozen=True, slots=True)
class Member:
    """A member as it is declared. `width` is bits, None where it is no bit-field; `align` is what it asks for, or 0."""

    name: str | None
    type: CType
    width: int | None = None
    align: int = 0
    packed: bool = False

    def alignment(self, pack: int) -> int:
        """Bytes; 0 for a bit-field that may begin at any bit and in any unit. `pack` limits it, if not 0."""
        if self.align:
            natural = self.align if self.packed else max(self.align, self.type.alignment)
        elif self.packed and self.width != 0:
            natural = 1 if self.width is None else 0
        else:
            natural = self.type.alignment
        return min(natural, pack) if pack else natural


def lay_out(record: Record, members: Sequence[Member], *, pack: int = 0, align: int = 0) -> None:
    """Fill `record` with `members`.

    `pack`, if not 0, limits every member's alignment to so many bytes (`#pragma pack`); `align` is what the record asks
    for itself.
    """
    fields: list[Field] = []
    position = end = 0  # bits
    whole = max(align, 1)
    for member in members:
        natural = member.alignment(pack)
        if record.is_union:
            position = 0
        if member.width is None:
            position = _round(position, natural * 8)
            align = natural if natural != member.type.alignment else 0
            fields.append(Field(member.name, member.type, position // 8, align=align))
            position += member.type.bytes * 8
        elif member.width == 0:
            gap = max(member.type.size, member.align)
            position = _round(position, gap * 8)
            record.gap_align = max(record.gap_align, gap)
            end = max(end, position)
            if _UNNAMED_ALIGNS:
                whole = max(whole, natural)
            continue
        else:
            position = _place_bit_field(member, position, pack)
            fields.append(bit_field(member.name, member.type, position, member.width, align=member.align))
            position += member.width
            if member.name is None and not _UNNAMED_ALIGNS:  # does not align the whole
                end = max(end, position)
                continue
        whole = max(whole, natural)
        end = max(end, position)
    record.align = whole
    record.size = _round(end, whole * 8) // 8
    record.fields = tuple(fields)


def _place_bit_field(member: Member, position: int, pack: int) -> int:
    """The bit where it begins, if the members before it end at the bit `position`."""
    unit = member.type.size * 8
    width = member.width or 0
    if member.align:
        position = _round(position, min(member.align, pack or member.align) * 8)
    if position // unit != (position + width - 1) // unit and not pack and not member.packed:
        position = _round(position, member.type.alignment * 8)
    return position


def bit_field(name: str | None, type_: CType, position: int, width: int, *, align: int = 0) -> Field:
    """The bit-field of `width` bits at bit `position`, in a unit of its own type, else from its first byte.

    `align` is what it asks for by an attribute, bytes, or 0.
    """
    unit = type_.size * 8
    start = position // unit * unit
    if position + width > start + unit:
        start = position // 8 * 8
    return Field(name, type_, start // 8, position - start, width, align)


def _round(position: int, unit: int) -> int:
    return -(-position // unit) * unit
