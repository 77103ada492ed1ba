"""Large libraries: what is read into huge pages and relocated by two processors is what the system's linker makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind
from latebind.elf.segment import PF_W, PT_LOAD
from latebind.linker.namespace import Namespace

if TYPE_CHECKING:
    from support.compiler import Compiler

MANY = 300_000  # pointers: 2.3 MiB, each with a RELATIVE relocation
SOURCE = f"""
    #include <stdlib.h>
    #include <string.h>
    static int places[8];
    int *table[{MANY}] = {{[0 ... {MANY - 1}] = &places[3]}};
    int (*in_between)(const char *) = atoi;
    int *more[{MANY}] = {{[0 ... {MANY - 1}] = &places[5]}};
    static char zeros[5000];
    long wrong(void)
    {{
        long count = in_between("7") != 7;
        for (long i = 0; i < {MANY}; i++)
            count += (table[i] != &places[3]) + (more[i] != &places[5]);
        for (unsigned i = 0; i < sizeof zeros; i++)
            count += zeros[i] != 0;
        memset(zeros, 1, sizeof zeros);
        more[0] = 0;
        return count;
    }}
"""


@pytest.fixture
def large(cc: Compiler) -> Path:
    # Aligned to a page and no more: huge pages are for those, and aarch64's linkers align to 64 KiB.
    return cc.shared(SOURCE, name="liblarge.so", flags=["-Wl,-z,max-page-size=4096"])


def segment_of(path: Path, address: int) -> str:
    """What /proc/self/maps says of the mapping that holds `address`."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        low, high = (int(part, 16) for part in line.split(None, 1)[0].split("-"))
        if low <= address < high:
            return line
    raise AssertionError(f"{address:#x} is not mapped ({path})")


@pytest.mark.parametrize("keep", [False, True])
def test_every_pointer_is_relocated_and_every_copy_has_its_own(large: Path, *, keep: bool) -> None:
    with latebind.load(large, namespace=Namespace(), keep=keep) as first:
        assert first.function("long wrong(void)")() == 0
        with latebind.load(large, namespace=Namespace(), keep=keep) as second:
            assert second.function("long wrong(void)")() == 0


def test_the_segment_begins_at_a_huge_page_and_leaves_nothing(large: Path) -> None:
    library = latebind.load(large, namespace=Namespace())
    line = segment_of(large, library.symbol("table"))
    assert "liblarge" not in line  # anonymous memory, not the file's pages
    written = next(s for s in library.plan.root.elf.segments if s.type == PT_LOAD and s.flags & PF_W)
    assert (library.base + written.vaddr & -4096) % (2 << 20) == 0
    image = library.closure[0].image
    assert image is not None
    code = segment_of(large, library.symbol("wrong"))
    assert " r-xp " in code
    library.close()
    assert code not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_one_processor_does_it_too(large: Path) -> None:
    code = (
        "import os, sys, latebind\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "library = latebind.load(sys.argv[1], namespace=latebind.Namespace())\n"
        "print(library.function('long wrong(void)')())\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(large)], capture_output=True, text=True, check=True)
    assert run.stdout == "0\n"


def test_a_file_that_became_shorter_is_an_error_not_a_crash(large: Path) -> None:
    plan = latebind.plan(large, into=latebind.this_process())
    status = os.stat(large)
    os.truncate(large, status.st_size // 2)
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(latebind.LatebindError):
        latebind.load(plan)
