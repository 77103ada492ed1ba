"""The ways to name what is read: file objects, other buffers, and what is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf, SystemFailure
from latebind.elf import read

if TYPE_CHECKING:
    from support.compiler import Compiler

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/libz.so.1")


def test_a_file_object_is_read() -> None:
    with LIBRARY.open("rb") as file:
        elf = read(file)
    assert elf.path == str(LIBRARY)
    assert elf.symbols == read(LIBRARY).symbols


def test_a_file_object_in_memory_has_the_name_that_it_is_given() -> None:
    assert read(io.BytesIO(LIBRARY.read_bytes())).path == "<file>"
    assert read(io.BytesIO(LIBRARY.read_bytes()), name="it.so").path == "it.so"


def test_a_bytearray_is_copied() -> None:
    data = bytearray(LIBRARY.read_bytes())
    elf = read(data)
    data[:] = b""
    assert elf.soname == "libz.so.1"


def test_a_text_file_object_and_other_things_are_type_errors() -> None:
    with pytest.raises(TypeError, match="text mode"):
        read(io.StringIO("x"))  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match="not int"):
        read(3)  # type: ignore[arg-type]  # the mistake under test


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedElf, match="not a regular file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MalformedElf, match="not a regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(SystemFailure):
        read("zero\0byte")


def test_a_file_without_section_headers_is_read_through_its_segments(cc: Compiler) -> None:
    path = cc.shared("int one(void) { return 1; } extern int puts(const char *); int two(void) { return puts(0); }")
    data = bytearray(path.read_bytes())
    data[40:48], data[60:64] = bytes(8), bytes(4)  # e_shoff; e_shnum and e_shstrndx
    bare, whole = read(bytes(data)), read(path)
    assert bare.sections == ()
    assert bare.symbols == whole.symbols
    assert bare.relocations == whole.relocations
    assert bare.version_needs == whole.version_needs
    assert bare.notes == whole.notes
    assert [f.address for f in bare.init_functions] == [f.address for f in whole.init_functions]
