"""The contents of a section of a relocatable file with its simple relocations applied.

Notes of a .o file (SystemTap probes, annobin's build notes) hold addresses that are only filled in by relocations.
Those that a debugging section or a note needs are few: a word that is an address, or the distance to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf.symbol import STT_COMMON, STT_SECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.raw.relocation import Row
    from latebind.elf.raw.symbol import Row as SymbolTuple


class _Simple(NamedTuple):
    absolute32: frozenset[int]
    absolute64: frozenset[int]
    relative32: frozenset[int]
    relative64: frozenset[int]


def _simple(absolute32: tuple[int, ...], absolute64: tuple[int, ...] = (), *relative: tuple[int, ...]) -> _Simple:
    narrow, wide = (*relative, (), ())[:2]
    return _Simple(frozenset(absolute32), frozenset(absolute64), frozenset(narrow), frozenset(wide))


SIMPLE: Final = {
    2: _simple((3, 23), (32, 54), (6,)),  # SPARC, and v9 below
    3: _simple((1,), (), (2,)),  # i386
    8: _simple((2,), (18,), (248,)),  # MIPS
    20: _simple((1,), (), (26,)),  # PowerPC
    21: _simple((1,), (38,), (26,), (44,)),  # PowerPC64
    22: _simple((4,), (22,), (5,), (23,)),  # S/390
    40: _simple((2,), (), (3,)),  # ARM
    43: _simple((3, 23), (32, 54), (6,), (46,)),
    62: _simple((10,), (1,), (2,), (24,)),  # x86-64
    183: _simple((258,), (257,), (261,), (260,)),  # AArch64
    243: _simple((1,), (2,), (57,)),  # RISC-V
    247: _simple((3,), (2,)),  # BPF
    258: _simple((1,), (2,), (99,)),  # LoongArch
}
"""`e_machine` → the relocation types that store an address, or the distance to one, in 32 or 64 bits."""


def relocated(
    contents: bytes,
    rows: Iterable[Row],
    symbols: Sequence[SymbolTuple],
    *,
    machine: int,
    source: ByteSource,
    has_addend: bool,
    warn: Callable[[str], None] | None = None,
) -> bytes:
    """`contents` with those of `rows` applied that are simple on `machine`; the others are left out.

    `warn` is told of each that is not simple (once for several of one type in a row) or reaches outside, in readelf's
    words up to the name of the section.

    Relocations without addend (REL) take it from the place. Only symbols without type, objects, sections, functions
    and common blocks count, as in a debugging section: what refers to something else is left alone.
    """
    simple = SIMPLE.get(machine)
    if simple is None:
        return contents
    shift, mask = (32, 0xFFFFFFFF) if source.is64 else (8, 0xFF)
    changed = bytearray(contents)
    order = "little" if source.little else "big"
    tell = warn or _say_nothing
    before = 0
    for at, info, addend in rows:
        kind, index = info & mask, info >> shift
        size = 4 if kind in simple.absolute32 | simple.relative32 else 8
        relative = kind in simple.relative32 | simple.relative64
        if size == 8 and kind not in simple.absolute64 | simple.relative64:
            if kind not in {0, before}:
                tell(f"unable to apply unsupported reloc type {kind} to")
            before = kind or before
            continue
        if at + size > len(changed):
            tell(f"skipping invalid relocation offset {at:#x} in")
            continue
        if index >= len(symbols):
            tell(f"skipping invalid relocation symbol index {index:#x} in")
            continue
        symbol_type = symbols[index][1] & 0xF
        if index and symbol_type > STT_SECTION and symbol_type != STT_COMMON:
            continue
        if not has_addend:
            addend = int.from_bytes(changed[at : at + size], order)  # type: ignore[arg-type]  # noqa: PLW2901
        value = symbols[index][4] + addend - (at if relative else 0)
        changed[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
    return bytes(changed)


def _say_nothing(_message: str) -> None:
    """What a reader does who only wants what can be had."""
