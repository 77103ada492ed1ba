"""Core files (ET_CORE): what the kernel wrote down about a process when it died.

The layouts are Linux's `struct elf_prstatus` and `elf_prpsinfo` (include/linux/elfcore.h) and `fill_files_note`
(fs/binfmt_elf.c): everything but the registers is the same on all machines of a word size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.elf.bytesource import RuntimeAddress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.note import Note

NT_PRSTATUS, NT_PRPSINFO, NT_AUXV, NT_FILE, NT_SIGINFO = 1, 3, 6, 0x46494C45, 0x53494749

_REGISTERS: Final = {
    62: "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es "
    "fs gs",
    3: "ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss",
    183: " ".join(f"x{n}" for n in range(31)) + " sp pc pstate",
    40: "r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 fp ip sp lr pc cpsr orig_r0",
    243: "pc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6",
}  # in the order of the kernel's user_regs_struct
AUXILIARY_NAMES: Final = {
    1: "IGNORE", 2: "EXECFD", 3: "PHDR", 4: "PHENT", 5: "PHNUM", 6: "PAGESZ", 7: "BASE", 8: "FLAGS", 9: "ENTRY",
    10: "NOTELF", 11: "UID", 12: "EUID", 13: "GID", 14: "EGID", 15: "PLATFORM", 16: "HWCAP", 17: "CLKTCK",
    18: "FPUCW", 23: "SECURE", 24: "BASE_PLATFORM", 25: "RANDOM", 26: "HWCAP2", 27: "RSEQ_FEATURE_SIZE",
    28: "RSEQ_ALIGN", 29: "HWCAP3", 30: "HWCAP4", 31: "EXECFN", 32: "SYSINFO", 33: "SYSINFO_EHDR", 51: "MINSIGSTKSZ",
}  # fmt: skip
"""Type of an auxiliary vector entry → name without ``AT_``."""


@dataclass(frozen=True, slots=True)
class CoreThread:
    """One thread: its kernel id, the signal it was stopped by (0: none), and its registers as (name, value)."""

    id: int
    signal: int
    registers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CoreMapping:
    """A part of a file that was mapped at `start` up to `end`; `offset` is in bytes into the file."""

    start: RuntimeAddress
    end: RuntimeAddress
    offset: int
    path: str


@dataclass(frozen=True, slots=True)
class Core:
    """A process as its core file describes it. The thread that got the signal stands first.

    `command` and `arguments` are cut off by the kernel (at 16 and 80 bytes); `auxiliary` is the auxiliary vector as
    (name, value); `fault` is the address of a memory fault, None without one.
    """

    threads: tuple[CoreThread, ...] = ()
    files: tuple[CoreMapping, ...] = ()
    auxiliary: tuple[tuple[str, int], ...] = ()
    command: str = ""
    arguments: str = ""
    process: int = 0
    signal: int = 0
    fault: int | None = None


def read_core(source: ByteSource, notes: Iterable[Note], machine: int) -> Core:
    """The process that the notes of a core file describe. Raises `MalformedElf` for a note that is cut off."""
    threads: list[CoreThread] = []
    files: tuple[CoreMapping, ...] = ()
    auxiliary: tuple[tuple[str, int], ...] = ()
    command, arguments, process = "", "", 0
    signal, fault = 0, None
    for note in notes:
        if note.owner != "CORE":
            continue
        if note.type == NT_PRSTATUS:
            threads.append(_thread(source, note.desc, machine))
        elif note.type == NT_PRPSINFO:
            command, arguments, process = _process(source, note.desc)
        elif note.type == NT_FILE:
            files = _files(source, note.desc)
        elif note.type == NT_AUXV:
            auxiliary = _auxiliary(source, note.desc)
        elif note.type == NT_SIGINFO and not signal:
            signal, fault = _signal(source, note.desc)
    signal = signal or (threads[0].signal if threads else 0)
    return Core(tuple(threads), files, auxiliary, command, arguments, process, signal, fault)


def _unpack(source: ByteSource, layout: str, desc: bytes, offset: int, what: str) -> tuple[int, ...]:
    form = struct.Struct(source.prefix + layout)
    if offset + form.size > len(desc):
        raise source.malformed(f"the core file's {what} note is cut off: it has {len(desc)} bytes")
    return form.unpack_from(desc, offset)


def _thread(source: ByteSource, desc: bytes, machine: int) -> CoreThread:
    (signal,) = _unpack(source, "h", desc, 12, "PRSTATUS")
    (thread,) = _unpack(source, "i", desc, 32 if source.is64 else 24, "PRSTATUS")
    start = 112 if source.is64 else 72
    names = _REGISTERS.get(machine, "").split()
    count = len(names) or max(0, len(desc) - start - 4) // source.word  # the last word says whether floats are valid
    values = _unpack(source, f"{count}{'Q' if source.is64 else 'I'}", desc, start, "PRSTATUS")
    return CoreThread(thread, signal, tuple(zip(names or [f"r{n}" for n in range(count)], values, strict=True)))


def _process(source: ByteSource, desc: bytes) -> tuple[str, str, int]:
    # 32-bit machines differ in the width of uid and gid; the two texts are at the end either way.
    process_at, texts_at = (24, 40) if source.is64 else (12, 28) if len(desc) <= 124 else (16, 32)
    (process,) = _unpack(source, "i", desc, process_at, "PRPSINFO")
    command = desc[texts_at : texts_at + 16].split(b"\0")[0]
    arguments = desc[texts_at + 16 : texts_at + 96].split(b"\0")[0]
    return command.decode("utf-8", "surrogateescape"), arguments.decode("utf-8", "surrogateescape").rstrip(), process


def _files(source: ByteSource, desc: bytes) -> tuple[CoreMapping, ...]:
    letter = "Q" if source.is64 else "I"
    count, page = _unpack(source, 2 * letter, desc, 0, "FILE")
    if count > len(desc) // (3 * source.word):
        raise source.malformed(f"the core file's FILE note claims {count} files in {len(desc)} bytes")
    rows = _unpack(source, f"{3 * count}{letter}", desc, 2 * source.word, "FILE")
    names = desc[(2 + 3 * count) * source.word :].split(b"\0")
    if len(names) <= count:
        raise source.malformed(f"the core file's FILE note has {count} files and {len(names) - 1} names")
    return tuple(
        CoreMapping(
            RuntimeAddress(rows[3 * n]),
            RuntimeAddress(rows[3 * n + 1]),
            rows[3 * n + 2] * page,
            names[n].decode("utf-8", "surrogateescape"),
        )
        for n in range(count)
    )


def _auxiliary(source: ByteSource, desc: bytes) -> tuple[tuple[str, int], ...]:
    count = len(desc) // (2 * source.word)
    values = _unpack(source, f"{2 * count}{'Q' if source.is64 else 'I'}", desc, 0, "AUXV")
    pairs = zip(values[0::2], values[1::2], strict=True)
    return tuple((AUXILIARY_NAMES.get(kind, str(kind)), value) for kind, value in pairs if kind)


def _signal(source: ByteSource, desc: bytes) -> tuple[int, int | None]:
    """The signal's number, and for SIGILL, SIGBUS, SIGFPE and SIGSEGV from the kernel the address of the fault."""
    number, _, code = _unpack(source, "iii", desc, 0, "SIGINFO")
    if number not in {4, 7, 8, 11} or code <= 0:
        return number, None
    (address,) = _unpack(source, "Q" if source.is64 else "I", desc, 16 if source.is64 else 12, "SIGINFO")
    return number, address
