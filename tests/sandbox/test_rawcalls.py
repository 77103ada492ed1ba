"""System-call instructions: found where they are instructions, counted where they only look like one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import latebind
from latebind.errors import Unsupported
from latebind.sandbox.rawcalls import RawCalls, find_raw_calls
from support import needs

if TYPE_CHECKING:
    from support.compiler import Compiler

SOURCE = r"""
long plain(void) { long r; __asm__ volatile("mov $39, %%eax\n syscall" : "=a"(r) : : "rcx", "r11"); return r; }
void old(void) { __asm__ volatile("int $0x80"); }
void older(void) { __asm__ volatile("sysenter"); }
void zero(void) { __asm__ volatile("xor %%eax, %%eax\n syscall" : : : "eax", "rcx", "r11"); }
void unknown(long n) { __asm__ volatile("syscall" : : "a"(n) : "rcx", "r11"); }
int inside(void) { int r; __asm__ volatile("mov $0x050f, %0" : "=r"(r)); return r; }
"""


def test_each_form_is_found_with_its_function_and_number(cc: Compiler) -> None:
    found = find_raw_calls(latebind.read(cc.shared(SOURCE)))
    assert sorted((c.function, c.instruction, c.number) for c in found.calls) == [
        ("old", "int 0x80", None),
        ("older", "sysenter", None),
        ("plain", "syscall", 39),
        ("unknown", "syscall", None),
        ("zero", "syscall", 0),
    ]
    assert found.inside == 1


def test_code_without_any_needs_no_disassembler(cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    assert find_raw_calls(latebind.read(cc.shared("int f(void) { return 1; }"))) == RawCalls()
    with pytest.raises(Unsupported, match=r"capstone, which is missing; pip install 'latebind\[audit\]'"):
        find_raw_calls(latebind.read(cc.shared(SOURCE, name="other.so")))


def test_the_count_is_objdumps_for_the_c_library() -> None:
    path = latebind.load("libc.so.6").path
    command = [needs.program("objdump", "binutils"), "-d", "--no-show-raw-insn", path]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = re.findall(r"^\s*([0-9a-f]+):\s+(?:syscall|sysenter|int\s+\$0x80)\s*$", listing, re.MULTILINE)
    found = find_raw_calls(latebind.read(path))
    assert [c.address for c in found.calls] == [int(address, 16) for address in expected]
    assert len(expected) > 100


def test_a_file_without_section_headers_is_searched_whole(cc: Compiler) -> None:
    path = cc.shared(SOURCE, flags=["-s"])
    data = bytearray(path.read_bytes())
    data[40:48] = bytes(8)  # e_shoff
    data[60:64] = bytes(4)  # e_shnum, e_shstrndx
    path.write_bytes(data)
    elf = latebind.read(path)
    assert not elf.sections
    assert {c.function for c in find_raw_calls(elf).calls} >= {"plain", "old", "older", "zero", "unknown"}


def test_a_machine_that_is_not_known_is_said_to_be() -> None:
    data = bytearray(64)
    data[:20] = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x08\x00"  # MIPS
    data[20:24] = b"\x01\0\0\0"
    with pytest.raises(Unsupported, match="MIPS"):
        find_raw_calls(latebind.read(bytes(data)))
