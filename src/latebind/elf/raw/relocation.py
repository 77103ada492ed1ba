"""Rows of relocation sections (gABI, "Relocation"): REL, RELA and RELR, found by offset and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

EM_MIPS = 8

Row = tuple[int, int, int]
"""Offset, info (type and symbol packed as in the file) and addend; the addend of a REL entry is 0."""


def read_relocation_rows(source: ByteSource, offset: int, size: int, *, has_addend: bool, machine: int) -> list[Row]:
    """The entries in `size` bytes from `offset` on; raises `MalformedElf` where they are not all in the file.

    `machine` matters for 64-bit little-endian MIPS alone, whose `r_info` is no 64-bit number: a 32-bit symbol is
    followed by four bytes of types (64-bit ELF Object File Specification of MIPS, "Relocation"). It is brought into
    the usual order.
    """
    layout, width = {
        (True, True): ("QQq", 24),
        (True, False): ("QQ", 16),
        (False, True): ("IIi", 12),
        (False, False): ("II", 8),
    }[source.is64, has_addend]
    source.take(offset, size, "relocations")  # the last entry may be cut off, the table may not
    found = source.records(layout, offset, size // width, "relocations")
    rows: list[Row] = list(found) if has_addend else [(*row, 0) for row in found]  # type: ignore[arg-type,misc]
    if machine == EM_MIPS and source.is64 and source.little:
        return [(at, mips64_info(info), addend) for at, info, addend in rows]
    return rows


def mips64_info(info: int) -> int:
    """The info field of little-endian 64-bit MIPS with the symbol in the upper half, as everywhere else."""
    low = int.from_bytes((info >> 32).to_bytes(4, "little"), "big")
    return (info & 0xFFFFFFFF) << 32 | low


def read_relr_addresses(source: ByteSource, offset: int, size: int) -> list[int]:
    """The addresses that RELR's words stand for (gABI, "Relative relocation")."""
    word = 8 if source.is64 else 4
    source.take(offset, size, "RELR relocations")
    addresses = []
    base = 0
    for (entry,) in source.records("Q" if source.is64 else "I", offset, size // word, "RELR relocations"):
        if not entry & 1:
            addresses.append(entry)
            base = entry + word
            continue
        bits = entry >> 1
        at = base
        while bits:
            if bits & 1:
                addresses.append(at)
            bits >>= 1
            at += word
        base += word * (word * 8 - 1)
    return addresses
