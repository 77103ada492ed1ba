"""System-call instructions in a file's code: what reaches the kernel without importing anything.

The instruction's bytes are looked for first, which is quick and misses nothing. Bytes are not yet an instruction:
they may be the middle of another one, or data that an old linker put into the executable segment. So the code is
disassembled from the start of the function that holds the place, and only where an instruction begins exactly there
is it one. The others are counted too, since a jump into the middle of an instruction, or into data, is an old trick.

capstone disassembles: an optional dependency, imported when the first place is found.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.elf.header import EM_386, EM_AARCH64, EM_X86_64
from latebind.elf.segment import PF_X, PT_GNU_EH_FRAME, PT_LOAD
from latebind.elf.symbol import STT_FUNC, STT_GNU_IFUNC
from latebind.errors import MalformedElf, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Elf, Symbol

_MOST_BEFORE: Final = 1 << 16
"""Bytes after which a function is disassembled afresh: a long stretch of data could put the walk out of step."""
_SHF_EXECINSTR: Final = 0x4
_NUMBER_FITS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class _Machine:
    """How a machine enters the kernel: the bytes to look for, what the instruction is called, capstone's names.

    `register` is where the number of the call is put; `step` the alignment of instructions.
    """

    patterns: tuple[bytes, ...]
    mnemonics: frozenset[str]
    arch: str
    mode: str
    registers: tuple[str, ...]
    step: int = 1


# Intel SDM vol. 2: SYSCALL 0F 05, SYSENTER 0F 34, INT 80h CD 80. Arm ARM: SVC #0 is D4000001, little-endian.
_X86: Final = (b"\x0f\x05", b"\x0f\x34", b"\xcd\x80")
_MNEMONICS: Final = frozenset({"syscall", "sysenter", "int", "svc"})
_MACHINES: Final = {
    EM_X86_64: _Machine(_X86, _MNEMONICS, "CS_ARCH_X86", "CS_MODE_64", ("eax", "rax")),
    EM_386: _Machine(_X86, _MNEMONICS, "CS_ARCH_X86", "CS_MODE_32", ("eax",)),
    EM_AARCH64: _Machine((b"\x01\x00\x00\xd4",), _MNEMONICS, "CS_ARCH_ARM64", "CS_MODE_ARM", ("w8", "x8"), 4),
}


@dataclass(frozen=True, slots=True)
class RawCall:
    """One system-call instruction: its virtual address, its text, the function around it, and the call's number.

    `function` and `number` are None where they cannot be told: the number where it is not a constant that is put in
    its register shortly before.
    """

    address: int
    instruction: str
    function: str | None
    number: int | None


@dataclass(frozen=True, slots=True)
class RawCalls:
    """What was found in one file.

    `inside` counts places where the bytes are the middle of another instruction, `data` those in executable memory
    that the section headers do not call code.
    """

    calls: tuple[RawCall, ...] = ()
    inside: int = 0
    data: int = 0


def find_raw_calls(elf: Elf) -> RawCalls:
    """Every system-call instruction in the executable segments of `elf`.

    Raises `Unsupported` where the machine is not one of x86-64, i386 and aarch64, or where capstone is missing and
    there is something to disassemble.
    """
    machine = _MACHINES.get(elf.header.machine)
    if machine is None:
        raise Unsupported(elf.path, f"system-call instructions of {elf.header.machine_name} are not known")
    everywhere = list(_places(elf, machine))
    if not everywhere:
        return RawCalls()
    code = [(s.addr, s.addr + s.size) for s in elf.sections if s.flags & _SHF_EXECINSTR and s.addr]
    places = [p for p in everywhere if not code or any(start <= p.address < end for start, end in code)]
    disassembler = _capstone(elf, machine)
    starts = _function_starts(elf)
    names = _functions(elf)
    groups: dict[tuple[int, int], list[_Place]] = {}
    for place in places:  # those in one function are found in one walk through it
        start = max(_before(starts, place.address) or place.base, place.base)
        far = (place.address - start) // _MOST_BEFORE
        groups.setdefault((start, far), []).append(place)
    found: list[tuple[int, str, int | None]] = []
    for (start, far), group in groups.items():
        begin = start + far * _MOST_BEFORE
        found += _walk(disassembler, machine, group, begin)
    calls = tuple(RawCall(at, text, _name_at(names, at), number) for at, text, number in found)
    return RawCalls(calls, len(places) - len(calls), len(everywhere) - len(places))


def _capstone(elf: Elf, machine: _Machine) -> Any:
    try:
        import capstone
    except ImportError as e:
        raise Unsupported(
            elf.path,
            "finding system-call instructions takes capstone, which is missing",
            "pip install 'latebind[audit]'",
        ) from e
    disassembler = capstone.Cs(getattr(capstone, machine.arch), getattr(capstone, machine.mode))
    disassembler.skipdata = True  # what cannot be decoded is data between functions
    return disassembler


@dataclass(frozen=True, slots=True)
class _Place:
    """A match: its virtual address, and the executable segment that it is in, with the segment's address."""

    address: int
    data: memoryview
    base: int


def _places(elf: Elf, machine: _Machine) -> Iterator[_Place]:
    """Every match in executable segments, by address."""
    for segment in elf.segments:
        if segment.type != PT_LOAD or not segment.flags & PF_X:
            continue
        data = memoryview(elf.data)[segment.offset : min(segment.offset + segment.filesz, len(elf.data))]
        code = bytes(data)
        at = []
        for pattern in machine.patterns:
            found = code.find(pattern)
            while found >= 0:
                if found % machine.step == 0:
                    at.append(found)
                found = code.find(pattern, found + 1)
        yield from (_Place(segment.vaddr + offset, data, segment.vaddr) for offset in sorted(at))


def _walk(
    disassembler: Any, machine: _Machine, places: list[_Place], start: int
) -> Iterator[tuple[int, str, int | None]]:
    """(address, text, the call's number) of those of `places` at which an instruction begins, counted from `start`."""
    wanted = {p.address for p in places}
    last, data, base = places[-1].address, places[0].data, places[0].base
    number: int | None = None
    code = bytes(data[start - base : last - base + 8])
    for at, _, mnemonic, operands in disassembler.disasm_lite(code, start):
        if at > last:
            return
        if at in wanted and mnemonic in machine.mnemonics:
            yield at, f"{mnemonic} {operands}".strip(), number
        number = _number(mnemonic, operands, machine, number)


def _number(mnemonic: str, operands: str, machine: _Machine, known: int | None) -> int | None:
    """The constant that the call's register holds after one more instruction, as far as that can be told."""
    target, _, source = operands.partition(", ")
    if target in machine.registers:
        if mnemonic == "xor" and source == target:
            return 0
        value = source.removeprefix("#")
        if mnemonic.startswith("mov") and value[:1].isdigit():
            number = int(value, 0)
            return number if number < _NUMBER_FITS else None
        return None
    # A call may change the register; where a jump lands, other code may have set it.
    return None if mnemonic.startswith(("call", "j", "ret", "bl", "b", "cpuid", "xchg")) else known


# where functions begin --------------------------------------------------------------------------------------------


def _before(starts: list[int], address: int) -> int | None:
    index = bisect_right(starts, address)
    return starts[index - 1] if index else None


def _function_starts(elf: Elf) -> list[int]:
    """Where functions and code sections begin, from the unwind table, the symbols and the sections."""
    starts = {s.value for s in _functions(elf)}
    starts.update(s.addr for s in elf.sections if s.flags & _SHF_EXECINSTR)
    starts.update(_unwind_table(elf))
    return sorted(starts)


def _functions(elf: Elf) -> list[Symbol]:
    """The functions that symbols name, by address."""
    symbols = (*elf.symbols, *elf.static_symbols)
    return sorted(
        (s for s in symbols if s.defined and s.type in (STT_FUNC, STT_GNU_IFUNC) and s.name), key=lambda s: s.value
    )


def _name_at(functions: list[Symbol], address: int) -> str | None:
    index = bisect_right(functions, address, key=lambda s: s.value)
    for symbol in reversed(functions[max(index - 4, 0) : index]):
        if address < symbol.value + max(symbol.size, 1):
            return symbol.name
    return None


def _unwind_table(elf: Elf) -> list[int]:
    """The functions' addresses in `.eh_frame_hdr` (LSB Core, 10.6.2), which stripped files keep.

    Only the one form that linkers write: a table sorted by address, of offsets from the header, 4 bytes each.
    """
    segment = elf.segment(PT_GNU_EH_FRAME)
    if segment is None:
        return []
    try:
        version, _, count_form, table_form = elf.source.unpack("BBBB", segment.offset, ".eh_frame_hdr")
        if version != 1 or count_form != 0x03 or table_form != 0x3B:  # udata4; datarel, sdata4
            return []
        (count,) = elf.source.unpack("I", segment.offset + 8, ".eh_frame_hdr")
        rows = elf.source.records("ii", segment.offset + 12, count, ".eh_frame_hdr's table")
        return [segment.vaddr + start for start, _ in rows]
    except MalformedElf:
        return []  # the unwinder's table is a help here; without it symbols and sections serve
