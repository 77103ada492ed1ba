"""Relocations that are stored as deltas: Android's APS2 and CREL.

APS2 (bionic, `linker_reloc_iterators.h`; DT_ANDROID_REL and DT_ANDROID_RELA) groups entries that share their info,
their distance or their addend. CREL ("Compact relocations", MaskRay's gABI proposal; SHT_CREL, DT_CREL in LLVM) codes
each entry against the one before. Both state how many entries follow, and a few bytes can state a billion: no honest
file relocates more places than it has bytes for, so the number is bounded by the file's size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.leb128 import LebReader

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

_BY_INFO, _BY_DISTANCE, _BY_ADDEND, _HAS_ADDEND = 1, 2, 4, 8
_CREL_ADDEND: Final = 4


def most_relocations(source: ByteSource) -> int:
    """More entries than this cannot be meant: the shortest relocated place and its own entry take two bytes."""
    return source.size // 2


def read_aps2(source: ByteSource, offset: int, size: int, what: str) -> tuple[list[int], list[int], list[int]]:
    """Places, `r_info` and addends of an APS2 table of `size` bytes at `offset`."""
    if source.take(offset, min(size, 4), what) != b"APS2":
        raise source.malformed(f"{what} does not start with APS2", offset)
    mask = (1 << 8 * source.word) - 1
    read = LebReader(source, offset + 4, size - 4, what)
    left, place = read.signed(), read.signed()
    if not 0 <= left <= most_relocations(source):
        raise source.malformed(f"{what} claims {left} entries", offset)
    places: list[int] = []
    infos: list[int] = []
    addends: list[int] = []
    addend = 0
    while left:
        length, flags = read.signed(), read.signed()
        if not 0 < length <= left:
            raise source.malformed(f"{what} has a group of {length} entries where {left} are left", offset)
        left -= length
        distance = read.signed() if flags & _BY_DISTANCE else None
        info = read.signed() if flags & _BY_INFO else None
        if not flags & _HAS_ADDEND:
            addend = 0
        elif flags & _BY_ADDEND:
            addend += read.signed()
        own_addend = flags & _HAS_ADDEND and not flags & _BY_ADDEND
        for _ in range(length):
            place = place + (read.signed() if distance is None else distance) & mask
            places.append(place)
            infos.append((read.signed() if info is None else info) & mask)
            if own_addend:
                addend += read.signed()
            addends.append(_as_signed(addend, mask))
    return places, infos, addends


def read_crel(
    source: ByteSource, offset: int, size: int, what: str
) -> tuple[list[int], list[int], list[int], list[int | None]]:
    """Places, types, symbols and addends (None throughout where the table has none)."""
    read = LebReader(source, offset, size, what)
    header = read.unsigned()
    if header >> 3 > most_relocations(source):
        raise source.malformed(f"{what} claims {header >> 3} entries", offset)
    mask = (1 << 8 * source.word) - 1
    places: list[int] = []
    types: list[int] = []
    symbols: list[int] = []
    addends: list[int | None] = []
    flag_bits, shift = (3 if header & _CREL_ADDEND else 2), header & 3
    place = kind = symbol = addend = 0
    for _ in range(header >> 3):
        # The first byte holds the flags and the low bits of the distance; ULEB128 bytes hold the bits above them.
        first = read.octet()
        place += first >> flag_bits
        if first >= 0x80:
            place += (read.unsigned() << (7 - flag_bits)) - (0x80 >> flag_bits)
        if first & 1:
            symbol += read.signed()
        if first & 2:
            kind += read.signed()
        if first & header & _CREL_ADDEND:
            addend += read.signed()
        places.append((place << shift) & mask)
        types.append(kind & 0xFFFFFFFF)
        symbols.append(symbol & 0xFFFFFFFF)
        addends.append(_as_signed(addend, mask) if header & _CREL_ADDEND else None)
    return places, types, symbols, addends


def _as_signed(value: int, mask: int) -> int:
    value &= mask
    return value - mask - 1 if value > mask >> 1 else value
