"""A file that becomes shorter while it is read: zeros where its pages were, never SIGBUS; other faults are not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from latebind._core import FileMapping
from latebind.elf import read
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def mapped(tmp_path: Path) -> tuple[Path, memoryview]:
    """A file of eight pages of ones, mapped."""
    path = tmp_path / "file"
    path.write_bytes(b"\1" * 8 * PAGE)
    fd = os.open(path, os.O_RDONLY)
    view = memoryview(FileMapping(fd))
    os.close(fd)
    return path, view


def test_what_is_gone_reads_as_zeros(mapped: tuple[Path, memoryview]) -> None:
    path, view = mapped
    os.truncate(path, 2 * PAGE)
    assert bytes(view) == b"\1" * 2 * PAGE + bytes(6 * PAGE)


def test_two_mappings_of_one_file_are_both_guarded(mapped: tuple[Path, memoryview]) -> None:
    path, view = mapped
    fd = os.open(path, os.O_RDONLY)
    other = memoryview(FileMapping(fd))
    os.close(fd)
    os.truncate(path, 0)
    assert bytes(other) == bytes(view) == bytes(8 * PAGE)


def test_a_library_that_is_cut_while_it_is_open_is_answered_or_malformed(cc: Compiler) -> None:
    text = "const char room[20000] = {1}; int f(void) { return room[0]; }"  # so that the dynamic section comes later
    path = cc.shared(text, flags=["-Wl,-z,max-page-size=4096"])
    elf = read(path)
    os.truncate(path, PAGE)
    answers = []
    for question in ("segments", "dynamic", "sections", "symbols", "relocations", "notes", "build_id"):
        try:
            answers.append(getattr(elf, question))
        except MalformedElf as e:
            answers.append(e)
    assert len(answers) == 7
    assert answers[0] == read(path).segments  # the first page is still there
    assert "f" not in [s.name for s in answers[3]]


OTHER_FAULT = """
import ctypes, mmap, os, sys
from latebind._core import FileMapping
fd = os.open(sys.argv[1], os.O_RDWR)
ours = memoryview(FileMapping(fd))
theirs = mmap.mmap(fd, 0)
address = ctypes.addressof(ctypes.c_char.from_buffer(theirs))
os.ftruncate(fd, 0)
print(ours[0], flush=True)
ctypes.string_at(address, 1)
"""


def test_a_fault_elsewhere_ends_the_process_as_before(mapped: tuple[Path, memoryview]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", OTHER_FAULT, str(mapped[0])], capture_output=True, text=True, check=False
    )
    assert run.stdout == "0\n"
    assert run.returncode == -signal.SIGBUS


def test_a_handler_that_was_there_before_gets_it(mapped: tuple[Path, memoryview]) -> None:
    code = "import faulthandler; faulthandler.enable()\n" + OTHER_FAULT
    run = subprocess.run([sys.executable, "-c", code, str(mapped[0])], capture_output=True, text=True, check=False)
    assert run.stdout == "0\n"
    assert "Bus error" in run.stderr
    assert run.returncode == -signal.SIGBUS
