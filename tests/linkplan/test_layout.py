"""The core's quick reading of an object's tables says what elf and linkplan/format.py say, or nothing."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind._core import layout
from latebind.elf import Elf, read
from latebind.elf.segment import PT_GNU_STACK
from latebind.errors import LatebindError
from latebind.linkplan import format as packed
from latebind.linkplan import resolve, table

if TYPE_CHECKING:
    from support.compiler import Compiler

SYSTEM = ("/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2")
SOURCE = """
#include <stdlib.h>
_Thread_local int count = 3;
int value, *place = &value;
__attribute__((constructor)) static void begin(void) { place = malloc(4); }
__attribute__((destructor)) static void end(void) { free(place); }
int answer(void) { return count + abs(-3); }
"""


def by_python(elf: Elf, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """What the readers in Python say: tables, relocations, record, segments, build-id, stack flags."""
    with monkeypatch.context() as patch:
        for module in (packed, resolve, table):
            patch.setattr(module, "layout_of", lambda _: None)
        stack = elf.segment(PT_GNU_STACK)
        record, segments = packed._layout(elf)
        return (
            table._places(elf), resolve._plain_tables(elf), record, segments, bytes.fromhex(elf.build_id or ""),
            -1 if stack is None else stack.flags & 7,
        )  # fmt: skip


def check(path: str | Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Compare on one file; whether the core read it."""
    elf = read(path)
    found = table.layout_of(elf)
    assert found is None or found == by_python(elf, monkeypatch)
    return found is not None


@pytest.mark.parametrize(
    "flags",
    [
        (), ("-Wl,--hash-style=sysv",), ("-Wl,--hash-style=both",), ("-Wl,-z,now",), ("-Wl,-z,norelro",),
        ("-nostdlib",),
        ("-Wl,-z,pack-relative-relocs",), ("-Wl,-z,max-page-size=65536",), ("-Wl,--build-id=none",),
        ("-Wl,-z,execstack",), ("-Wl,-z,nocombreloc",), ("-g",),
    ],
)  # fmt: skip
def test_compiled_libraries(cc: Compiler, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(cc.shared(SOURCE, flags=flags), monkeypatch)


@pytest.mark.parametrize("path", SYSTEM)
def test_libraries_of_the_system(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path(path).exists():
        pytest.skip(f"{path} is not on this machine")
    assert check(path, monkeypatch)


@pytest.mark.slow
def test_every_library_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = 0
    for path in Path("/usr/lib").rglob("*.so*"):
        try:
            plain += path.is_file() and read(path).is_dynamic and check(path, monkeypatch)
        except LatebindError:
            continue
    assert plain > 100


def test_a_foreign_file_is_not_plain(cc: Compiler) -> None:
    data = cc.shared(SOURCE).read_bytes()
    is64 = little = True
    assert layout(data, is64, little, 4096) is not None
    assert layout(data, not is64, little, 4096) is None
    assert layout(data, is64, not little, 4096) is None


@pytest.mark.parametrize("flags", [(), ("-Wl,-z,max-page-size=65536",), ("-Wl,-z,max-page-size=0x200000",)])
def test_a_machine_with_larger_pages(cc: Compiler, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The span is in its pages, or in smaller ones that the file was linked for."""
    changed = bytearray(cc.shared(SOURCE, flags=flags).read_bytes())
    struct.pack_into("<H", changed, 18, 183)  # e_machine: aarch64
    elf = read(bytes(changed))
    found = table.layout_of(elf)
    assert found is not None
    assert found == by_python(elf, monkeypatch)


def test_a_page_has_bytes(cc: Compiler) -> None:
    with pytest.raises(ValueError, match="a page has bytes"):
        layout(cc.shared(SOURCE).read_bytes(), True, True, 0)  # noqa: FBT003


def test_damaged_files_are_read_alike_or_not_at_all(cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one number is changed, the core says what Python says, or leaves the file to it."""
    good = cc.shared(SOURCE, flags=["-nostdlib", "-Wl,-z,now"]).read_bytes()
    elf = read(good)
    dynamic = next(s for s in elf.segments if s.type == 2)
    places = [*range(32, 64, 2), *range(64, 64 + 56 * len(elf.segments), 4)]
    places += range(dynamic.offset, dynamic.offset + dynamic.filesz, 8)
    dice = random.Random(8)
    is64 = little = True
    agreed = 0
    for place in places:
        for value in (0, 1, 0xFFFF, dice.randrange(1 << 16)):
            changed = bytearray(good)
            struct.pack_into("<H", changed, place, value)
            found = layout(bytes(changed), is64, little, 4096)
            if found is None:
                continue
            try:
                expected = by_python(read(bytes(changed)), monkeypatch)
            except (LatebindError, OverflowError):
                continue
            assert found == expected, (place, value)
            agreed += 1
    assert agreed > 100
