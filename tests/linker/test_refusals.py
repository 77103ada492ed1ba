"""Files that dlopen(3) refuses are refused with the reason, before anything is mapped; and odd ones that it takes."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.elf.segment import PT_LOAD
from support.machine import HERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.compiler import Compiler

SOURCE = """
    char wide[64] __attribute__((aligned(65536))) = {5}; char *pointers[20] = {wide, wide + 1};
    int answer(void) { return (unsigned long)wide % 65536 == 0 && pointers[1] == wide + 1 ? *pointers[0] : -1; }
"""
PROGRAM_HEADER = 56  # bytes of an Elf64_Phdr; p_offset at 8, p_vaddr at 16, p_align at 48


def changed(path: Path, change: Callable[[bytearray, int], None]) -> Path:
    """`path` after `change(bytes, offset of the program header of the last PT_LOAD)`."""
    elf, data = lb.read(path), bytearray(path.read_bytes())
    number = max(i for i, s in enumerate(elf.segments) if s.type == PT_LOAD)
    change(data, elf.header.phoff + number * PROGRAM_HEADER)
    target = path.with_name("libchanged.so")
    target.write_bytes(data)
    return target


def refused(path: Path) -> lb.LatebindError:
    """Both linkers refuse it; the reason that ours gives."""
    with pytest.raises(OSError, match="."):
        ctypes.CDLL(str(path))
    return refused_by_us(path)


def refused_by_us(path: Path) -> lb.LatebindError:
    """Ours refuses it and leaves nothing behind; its reason."""
    space = lb.Namespace()
    with pytest.raises(lb.LatebindError) as error:
        lb.load(path, namespace=space)
    assert space.objects == ()
    maps = Path("/proc/self/maps").read_text().splitlines()
    assert [line for line in maps if str(path) in line and " r--p 00000000 " not in line] == []  # but to read it
    return error.value


def test_a_segment_whose_offset_and_address_are_not_congruent(cc: Compiler) -> None:
    def change(data: bytearray, header: int) -> None:
        (offset,) = struct.unpack_from("<Q", data, header + 8)
        struct.pack_into("<Q", data, header + 8, offset + 8)

    error = refused(changed(cc.shared(SOURCE), change))
    assert isinstance(error, lb.MalformedElf)
    assert "modulo" in str(error)


def test_an_alignment_that_is_no_power_of_two(cc: Compiler) -> None:
    """Which the gABI wants (chapter 5, "Program header"), and glibc does not look at."""

    def change(data: bytearray, header: int) -> None:
        struct.pack_into("<Q", data, header + 48, 0x18000)

    assert isinstance(refused_by_us(changed(cc.shared(SOURCE), change)), lb.MalformedElf)


def test_a_library_of_another_machine(cc: Compiler) -> None:
    def change(data: bytearray, _: int) -> None:
        struct.pack_into("<H", data, 18, 22)  # e_machine: IBM S/390

    assert isinstance(refused(changed(cc.shared(SOURCE), change)), lb.Unsupported)


def test_a_program(cc: Compiler) -> None:
    path = cc.program("int main(void) { return 0; }", flags=["-fPIE", "-pie"])
    assert "is a program" in str(refused(path))


def test_a_library_that_must_not_be_opened(cc: Compiler) -> None:
    assert "nodlopen" in str(refused(cc.shared(SOURCE, flags=["-Wl,-z,nodlopen"])))


def test_an_executable_stack_is_refused_although_glibc_grants_it(cc: Compiler) -> None:
    """It would make every stack of the process executable."""
    error = refused_by_us(cc.shared(SOURCE, flags=["-Wl,-z,execstack"]))
    assert isinstance(error, lb.Unsupported)
    assert "executable stack" in str(error)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["-Wl,-z,max-page-size=0x10000"], id="64 KiB"),
        pytest.param(["-Wl,-z,max-page-size=0x200000"], id="2 MiB"),
        pytest.param(["-Wl,-z,max-page-size=0x4000000"], id="64 MiB"),
        pytest.param([*HERE.pack], id="DT_RELR"),
        pytest.param(["-Wl,-z,norelro", "-Wl,-z,noseparate-code"], id="few segments"),
        pytest.param(["-Wl,--hash-style=sysv"], id="DT_HASH"),
        pytest.param(["-Wl,-z,nocombreloc", "-Wl,-z,now"], id="unsorted"),
    ],
)
def test_odd_layouts_are_loaded_as_the_system_does(cc: Compiler, flags: list[str]) -> None:
    path = cc.shared(SOURCE, flags=flags)
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert library.function("int answer(void)")() == 5
    assert ctypes.CDLL(str(path)).answer() == 5


def test_packed_relative_relocations_are_really_there(cc: Compiler) -> None:
    elf = lb.read(cc.shared(SOURCE, flags=HERE.pack))
    assert 36 in elf.dynamic.values  # DT_RELR
