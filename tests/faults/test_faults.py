"""Each load is whole or leaves nothing, at whatever step the system refuses something or control-C is pressed.

What fails, and what is looked at afterwards, stands in sweep.py; what is loaded in cases.py; how calls are made to fail
in shim.c. Each sweep runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES  # type: ignore[import-not-found]  # beside this test

from support import needs

if TYPE_CHECKING:
    from support.compiler import Compiler

HERE = Path(__file__).parent
SYSTEM = """
    mmap munmap mprotect open fstat fstat64 pread pread64 malloc dlopen memfd_create ftruncate pwrite pthread_create
""".split()
SOME = "mmap/2 munmap mprotect open/5 pread pread64 malloc/3 dlopen memfd_create ftruncate pwrite interrupt/97".split()


def sweep(cc: Compiler, case: str, *whats: str) -> int:
    """How many failures the loads of `case` have survived."""
    shim = cc.folder / "shim.so"
    compiler = needs.program("cc", "gcc libc6-dev")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", str(shim), str(HERE / "shim.c")]
    subprocess.run([*command, "-Wl,--no-as-needed", "-lgcc_s"], check=True)
    CASES[case].prepare(cc)
    cache = cc.folder / "cache"
    cache.mkdir()
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONMALLOC": "malloc", "LATEBIND_CACHE": str(cache)}
    program = [sys.executable, "-X", "faulthandler", str(HERE / "sweep.py"), case, str(cc.folder), *whats]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-5000:]
    return int(done.stdout)


@pytest.mark.parametrize("case", ["tls-static", "read-ahead", "kept", "keeping", "hooks", "constructor", "large"])
def test_a_load_is_whole_or_leaves_nothing(cc: Compiler, case: str) -> None:
    assert sweep(cc, case, *SOME) > 20


# How many places there are at least: a load by its kept plan has a quarter of those of any other, which opens each file
# once to plan and once to map it.


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_step_of_each_kind_of_load_may_fail(cc: Compiler, case: str) -> None:
    assert sweep(cc, case, *SYSTEM) > (90 if case != "kept" else 60)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_load_may_be_interrupted_between_any_two_steps(cc: Compiler, case: str) -> None:
    assert sweep(cc, case, "interrupt/3") > (200 if case != "kept" else 40)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c != "constructor"])  # whose C code could not do without memory
def test_any_allocation_of_a_load_may_fail(cc: Compiler, case: str) -> None:
    """The core's, Python's and the C library's own."""
    assert sweep(cc, case, "anyone/13") > (50 if case != "kept" else 15)


LIMITED = """
import os, resource, sys
from pathlib import Path
import latebind as lb
path, limit, room = sys.argv[1], getattr(resource, sys.argv[2]), int(sys.argv[3])

def used():
    if limit == resource.RLIMIT_NOFILE:
        return max(map(int, os.listdir("/proc/self/fd"))) + 1
    return int(Path("/proc/self/statm").read_text().split()[0]) * 4096

def state():
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len(os.listdir("/proc/self/fd")), sorted(line.split()[-1] for line in lines if "/libcase" in line)

with lb.load(path, namespace=lb.Namespace()) as library:
    answer = library.function("int answer(void)")
    assert answer() == 5
del library, answer
most = resource.getrlimit(limit)[1]
refused = loaded = 0
for step in range(40):
    before, now = state(), used()
    resource.setrlimit(limit, (now + step * room, most))
    try:
        library = lb.load(path, namespace=lb.Namespace())
    except (lb.SystemFailure, MemoryError, lb.Unsupported, OSError) as e:
        refused += 1
        library = None
    resource.setrlimit(limit, (most, most))
    if library is not None:
        assert library.function("int answer(void)")() == 5
        library.close()
        loaded += 1
    library = None
    import gc; gc.collect()
    after = state()
    assert after[0] == before[0], (step, before, after)
    assert [x for x in after[1] if x not in before[1]] == [], (step, before, after)
print(refused, loaded)
"""


@pytest.mark.parametrize(("limit", "room"), [("RLIMIT_NOFILE", 1), ("RLIMIT_AS", 16384)])
@pytest.mark.parametrize("case", ["tls", "dependencies"])
def test_a_process_at_its_limits(cc: Compiler, limit: str, room: int, case: str) -> None:
    """Out of descriptors, out of address space: as the kernel says it."""
    CASES[case].prepare(cc)
    command = [sys.executable, "-c", LIMITED, str(cc.folder / "libcase.so"), limit, str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    refused, loaded = map(int, done.stdout.split())
    assert refused > 0
    assert loaded > 0
