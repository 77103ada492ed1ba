"""Program headers (gABI, "Program Header"): the segments that a loader maps, and how addresses meet file offsets."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from latebind.elf.bytesource import ByteSource, FileOffset, VirtualAddress
from latebind.elf.header import PN_XNUM, Header
from latebind.elf.names import SEGMENT_TYPES
from latebind.elf.processor_names import SEGMENT_TYPES_OF

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR, PT_TLS = 1, 2, 3, 4, 6, 7
PT_GNU_EH_FRAME, PT_GNU_STACK, PT_GNU_RELRO, PT_GNU_PROPERTY = 0x6474E550, 0x6474E551, 0x6474E552, 0x6474E553
PF_X, PF_W, PF_R = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header. `filesz` and `memsz` are bytes; `flags` are PF_R, PF_W and PF_X."""

    type: int
    flags: int
    offset: FileOffset
    vaddr: VirtualAddress
    paddr: int
    filesz: int
    memsz: int
    align: int
    machine: int = 0
    """The file's `e_machine`, which says what a processor-specific type means."""

    @property
    def type_name(self) -> str:
        """``"LOAD"``, ``"GNU_RELRO"``, …."""
        own = SEGMENT_TYPES_OF.get(self.machine, {})
        return own.get(self.type) or SEGMENT_TYPES.get(self.type, f"{self.type:#x}")

    @property
    def permissions(self) -> str:
        """``"r-x"`` and so on."""
        return "".join(c if self.flags & bit else "-" for c, bit in (("r", PF_R), ("w", PF_W), ("x", PF_X)))


def read_segments(source: ByteSource, header: Header) -> tuple[Segment, ...]:
    """All program headers; raises `MalformedElf` where the table is not in the file."""
    count = header.phnum
    if count == PN_XNUM and header.shoff:
        count = source.unpack("IIQQQQIIQQ" if source.is64 else "IIIIIIIIII", header.shoff, "section header 0")[7]
    if not count or not header.phoff:
        return ()
    expected = 56 if source.is64 else 32
    if header.phentsize != expected:
        raise source.malformed(f"e_phentsize is {header.phentsize}, must be {expected}", 54 if source.is64 else 42)
    if source.is64:
        return tuple(
            Segment(kind, flags, FileOffset(offset), VirtualAddress(vaddr), paddr, filesz, memsz, align, header.machine)
            for kind, flags, offset, vaddr, paddr, filesz, memsz, align in source.records(
                "IIQQQQQQ", header.phoff, count, "program header table"
            )
        )
    return tuple(
        Segment(kind, flags, FileOffset(offset), VirtualAddress(vaddr), paddr, filesz, memsz, align, header.machine)
        for kind, offset, vaddr, paddr, filesz, memsz, flags, align in source.records(
            "IIIIIIII", header.phoff, count, "program header table"
        )
    )


_MOST_DISORDERED_LOADS = 256  # without order each look-up tries them all; a kernel image has a handful


class AddressMap:
    """Virtual addresses → file offsets, through the PT_LOAD segments; where two overlap, the first one counts."""

    __slots__ = ("_loads", "_source", "_starts")

    def __init__(self, source: ByteSource, segments: tuple[Segment, ...]) -> None:
        self._source = source
        # An empty one answers no question, and would spoil the order.
        loads = [(s.vaddr, s.vaddr + s.filesz, s.offset - s.vaddr) for s in segments if s.type == PT_LOAD and s.filesz]
        ordered = sorted(loads)
        disjoint = all(before[1] <= after[0] for before, after in pairwise(ordered))
        if not disjoint and len(loads) > _MOST_DISORDERED_LOADS:
            raise source.malformed(f"its {len(loads)} PT_LOAD segments overlap")
        self._loads = ordered if disjoint else loads
        self._starts = [start for start, _, _ in ordered] if disjoint else None

    def _find(self, address: int) -> tuple[int, int, int] | None:
        if self._starts is None:
            return next((load for load in self._loads if load[0] <= address < load[1]), None)
        at = bisect_right(self._starts, address) - 1
        return self._loads[at] if at >= 0 and address < self._loads[at][1] else None

    def find(self, address: int) -> FileOffset | None:
        """Where `address` lies in the file, or None where no segment's file part holds it."""
        load = self._find(address)
        return None if load is None else FileOffset(address + load[2])

    def offset(self, address: int, what: str) -> FileOffset:
        """Where `address` lies in the file; raises `MalformedElf` where no segment's file part holds it."""
        load = self._find(address)
        if load is None:
            raise self._source.malformed(f"{what}: address {address:#x} is in no loaded segment")
        return FileOffset(address + load[2])

    def room(self, address: int) -> int:
        """Bytes of file-backed memory from `address` to the end of its segment; 0 outside all of them.

        No more than the file has from there on: a p_filesz beyond the end makes no room.
        """
        load = self._find(address)
        return 0 if load is None else max(0, min(load[1] - address, self._source.size - address - load[2]))
