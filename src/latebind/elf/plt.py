"""The procedure linkage table: which stub calls which symbol.

A stub is a few instructions that jump through a GOT slot; reading the slot's address out of them tells the symbol.
One decoder per machine. On x86-64 with IBT the stubs that code calls are in `.plt.sec`, those in `.plt` only lead to
the resolver; `.plt.got` holds stubs for functions whose address is taken too (x86-64 psABI, 5.2 and "IBT").
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import VirtualAddress
from latebind.elf.section import SHT_PROGBITS
from latebind.elf.segment import PF_X, PT_LOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.got import GotSlot
    from latebind.elf.section import Section
    from latebind.elf.segment import Segment

Stub = tuple[int, int]
"""Where a stub starts, in bytes from the start of the code, and the address of its slot."""


@dataclass(frozen=True, slots=True)
class PltEntry:
    """One stub: its address, the section it is in ("" in a file without), its slot's address and the symbol."""

    address: VirtualAddress
    section: str
    slot: VirtualAddress
    symbol: int
    name: str


def read_plt(
    source: ByteSource,
    machine: int,
    values: Mapping[int, int],
    sections: Sequence[Section],
    segments: Sequence[Segment],
    got: Sequence[GotSlot],
) -> tuple[PltEntry, ...]:
    """Every stub, ordered by address; none on a machine whose stubs are not known here.

    A file without section headers is searched through its executable segments for stubs of slots that are for calls.
    """
    decode = _DECODERS.get(machine)
    if decode is None:
        return ()
    slots = {slot.place: slot for slot in got if slot.kind not in {"reserved", "own"}}
    places = [
        (s.name, s.addr, s.offset, s.size)
        for s in sections
        if s.name in {".plt", ".plt.sec", ".plt.got", ".plt.bnd", ".iplt"} and s.type == SHT_PROGBITS
    ]
    if not sections:
        slots = {place: slot for place, slot in slots.items() if slot.kind in {"call", "ifunc"}}
        places = [("", s.vaddr, s.offset, s.filesz) for s in segments if s.type == PT_LOAD and s.flags & PF_X]
    found = {}
    for name, address, offset, size in places if slots else ():
        source.spend("procedure linkage tables", size, offset)
        code = source.take(offset, size, f"section {name}" if name else "executable segment")
        for start, target in decode(source, code, address, values.get(dyn.DT_PLTGOT, 0)):
            slot = slots.get(VirtualAddress(target))
            if slot is not None:
                place = VirtualAddress(address + start)
                found[place] = PltEntry(place, name, slot.place, slot.symbol, slot.name)
    return tuple(found[place] for place in sorted(found))


# [endbr64] [bnd] jmp *displacement(%rip): what distinguishes a stub from a tail call is that it is aligned.
_X86_64: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\xf2?\xff\x25(....)", re.DOTALL)
# [endbr32] jmp *address, or jmp *displacement(%ebx) in position-independent code
_I386: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfb)?\xff([\x25\xa3])(....)", re.DOTALL)
_STUB_ALIGNMENT: Final = 8


def _x86_64(_source: ByteSource, code: bytes, address: int, _got: int) -> Iterator[Stub]:
    for match in _X86_64.finditer(code):
        if (address + match.start()) % _STUB_ALIGNMENT == 0:
            target = address + match.end() + int.from_bytes(match[1], "little", signed=True)
            yield match.start(), target & 0xFFFFFFFFFFFFFFFF


def _i386(_source: ByteSource, code: bytes, address: int, got: int) -> Iterator[Stub]:
    for match in _I386.finditer(code):
        if (address + match.start()) % _STUB_ALIGNMENT == 0:
            number = int.from_bytes(match[2], "little")
            yield match.start(), (number if match[1] == b"\x25" else number + got) & 0xFFFFFFFF


def _instructions(source: ByteSource, code: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(offset, and three consecutive 32-bit words) at each word of `code`."""
    order = "<" if source.little else ">"
    words = memoryview(code[: len(code) // 4 * 4])
    numbers = struct.unpack(f"{order}{len(words) // 4}I", words)
    return ((4 * n, *three) for n, three in enumerate(zip(numbers, numbers[1:], numbers[2:], strict=False)))


def _aarch64(source: ByteSource, code: bytes, address: int, _got: int) -> Iterator[Stub]:
    """[bti c] adrp x16, page; ldr x17, [x16, #offset]; add …; br x17."""
    bti, before = 0xD503245F, 0
    for at, adrp, ldr, _ in _instructions(source, code):
        if adrp & 0x9F00001F == 0x90000010 and ldr & 0xFFC003FF == 0xF9400211:
            page = (adrp >> 5 & 0x7FFFF) << 2 | adrp >> 29 & 3
            page -= (page & 0x100000) << 1  # 21 bits, signed
            target = (address + at & ~0xFFF) + (page << 12) + (ldr >> 10 & 0xFFF) * 8
            yield at - 4 * (before == bti), target & 0xFFFFFFFFFFFFFFFF
        before = adrp


def _arm(source: ByteSource, code: bytes, address: int, _got: int) -> Iterator[Stub]:
    """Add ip, pc, #a; add ip, ip, #b; ldr pc, [ip, #c]!."""
    for at, first, second, load in _instructions(source, code):
        if first & 0xFFFFFF00 == 0xE28FC600 and second & 0xFFFFFF00 == 0xE28CCA00 and load & 0xFFFFF000 == 0xE5BCF000:
            target = address + at + 8 + ((first & 0xFF) << 20) + ((second & 0xFF) << 12) + (load & 0xFFF)
            yield at, target & 0xFFFFFFFF


def _riscv(source: ByteSource, code: bytes, address: int, _got: int) -> Iterator[Stub]:
    """Auipc t3, high; ld (or lw) t3, low(t3); jalr t1, t3."""
    load = 0xE3E03 if source.is64 else 0xE2E03
    for at, auipc, second, _ in _instructions(source, code):
        if auipc & 0xFFF == 0xE17 and second & 0xFFFFF == load:
            high, low = auipc & 0xFFFFF000, second >> 20
            target = address + at + high - ((high & 0x80000000) << 1) + low - ((low & 0x800) << 1)
            yield at, target & ((1 << 8 * source.word) - 1)


_DECODERS: Final[dict[int, Callable[[ByteSource, bytes, int, int], Iterator[Stub]]]] = {
    3: _i386,
    40: _arm,
    62: _x86_64,
    183: _aarch64,
    243: _riscv,
}
