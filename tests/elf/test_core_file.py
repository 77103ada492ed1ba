"""Core files: made by hand for every class, and one of a real crash where the kernel writes one."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf
from latebind.elf import read
from support.image import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf.core_file import Core


def core(notes: Sequence[tuple[int, bytes]], image: Image) -> Core:
    image.kind = 4
    packed = b"".join(image.note(b"CORE", kind, desc) for kind, desc in notes)
    image.segments.append((4, image.add(packed), len(packed), 0))
    found = read(image.build(dynamic=False)).core
    assert found is not None
    return found


def status(image: Image, signal: int, thread: int, registers: list[int]) -> bytes:
    """Struct elf_prstatus."""
    word = image.bits // 8
    head = image.pack("iiihh", signal, 0, 0, signal, 0) + image.words(0, 0) + image.pack("iiii", thread, 1, 1, 1)
    return head + bytes(8 * word) + image.words(*registers) + image.pack("ii", 1, 0)


@pytest.mark.parametrize(
    ("bits", "little", "machine", "count", "counter"),
    [(64, True, 62, 27, "rip"), (32, True, 3, 17, "eip"), (64, True, 183, 34, "pc"), (64, False, 22, 10, "r3")],
)
def test_threads_and_registers(bits: int, *, little: bool, machine: int, count: int, counter: str) -> None:
    image = Image(bits, little, machine)
    found = core(
        [(1, status(image, 11, 77, list(range(100, 100 + count)))), (1, status(image, 0, 78, [0] * count))], image
    )
    assert [t.id for t in found.threads] == [77, 78]
    assert found.signal == 11
    names = [name for name, _ in found.threads[0].registers]
    assert dict(found.threads[0].registers)[counter] == 100 + names.index(counter)


@pytest.mark.parametrize(("bits", "little"), [(32, False), (64, True)])
def test_files_vector_process_and_signal(bits: int, *, little: bool) -> None:
    image = Image(bits, little)
    files = image.words(2, 4096, 0x1000, 0x3000, 0, 0x5000, 0x6000, 3) + b"/bin/x\0/lib/y\0"
    vector = image.words(6, 4096, 9, 0x1234, 0, 0)
    identity = image.pack("IIIIII", 0, 0, 4711, 1, 1, 1)
    process = bytes(16) + identity if bits == 64 else bytes(8) + identity
    process += b"crash".ljust(16, b"\0") + b"crash now ".ljust(80, b"\0")
    signal = image.pack("iii", 11, 0, 1).ljust(16 if bits == 64 else 12, b"\0") + image.words(0xDEAD)
    found = core([(0x46494C45, files), (6, vector), (3, process), (0x53494749, signal)], image)
    assert [(m.start, m.end, m.offset, m.path) for m in found.files] == [
        (0x1000, 0x3000, 0, "/bin/x"),
        (0x5000, 0x6000, 3 * 4096, "/lib/y"),
    ]
    assert found.auxiliary == (("PAGESZ", 4096), ("ENTRY", 0x1234))
    assert (found.command, found.arguments, found.process) == ("crash", "crash now", 4711)
    assert (found.signal, found.fault) == (11, 0xDEAD)


@pytest.mark.parametrize(
    ("kind", "desc", "what"),
    [
        (1, bytes(20), "PRSTATUS note is cut off"),
        (3, bytes(8), "PRPSINFO note is cut off"),
        (0x46494C45, struct.pack("<QQ", 1 << 60, 1), "claims"),
        (0x46494C45, struct.pack("<QQQQQ", 1, 1, 0, 0, 0), "1 files and 0 names"),
        (0x53494749, bytes(4), "SIGINFO note is cut off"),
    ],
)
def test_notes_that_are_cut_off_are_diagnosed(kind: int, desc: bytes, what: str) -> None:
    with pytest.raises(MalformedElf, match=what):
        core([(kind, desc)], Image())


def test_another_file_has_no_core() -> None:
    assert read(Image().build()).core is None


def test_this_process_has_the_vector_that_its_core_would_have() -> None:
    with open("/proc/self/auxv", "rb") as f:
        found = core([(6, f.read())], Image())
    assert dict(found.auxiliary)["PAGESZ"] == os.sysconf("SC_PAGE_SIZE")
