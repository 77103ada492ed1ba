"""Thousands of loads leave nothing behind, many copies live side by side, and static TLS comes back.

The measuring is bench/soak.py's, in processes of their own: this one's heap is everybody's.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from support.compiler import Compiler

MIB = 1024  # in KiB
WITH_TLS = """
    static __thread int n = 4; static char room[50000];
    __attribute__((constructor)) static void begin(void) { room[0] = 1; }
    int answer(void) { return n + room[0]; }
"""


def _bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "soak.py"
    spec = importlib.util.spec_from_file_location("bench_soak", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def left_by(name: str, symbol: str, loads: int, warm: int) -> dict[str, int]:
    """What so many loads and closes leave: whole MiB of memory, mappings, descriptors."""
    bench = _bench()
    grown = bench.run(bench.SOAK, name, loads, warm, symbol)
    return {"MiB": max(grown["KiB"], 0) // MIB, "mappings": grown["mappings"], "descriptors": grown["descriptors"]}


NOTHING = {"MiB": 0, "mappings": 0, "descriptors": 0}


def test_two_hundred_loads_of_a_library_with_thread_local_storage(cc: Compiler) -> None:
    assert left_by(str(cc.shared(WITH_TLS)), "answer", 200, 50) == NOTHING


@pytest.mark.slow
def test_five_thousand_loads_of_sqlite() -> None:
    assert left_by("libsqlite3.so.0", "sqlite3_open", 5000, 100) == NOTHING


@pytest.mark.slow
def test_five_thousand_loads_of_a_library_with_thread_local_storage(cc: Compiler) -> None:
    assert left_by(str(cc.shared(WITH_TLS)), "answer", 5000, 100) == NOTHING


CPP = """
    #include <string>
    struct Counter { int n; std::string text; Counter() : n(100), text("a text that is too long to stay inside") {} };
    static thread_local Counter counter;
    static Counter common;
    extern "C" int next() { return ++common.n; }
    extern "C" int next_in_thread() { return ++counter.n + (counter.text.size() > 20 ? 0 : 1000); }
"""


COPIES = """
import sys, threading, time
import latebind as lb
path = sys.argv[1]
libraries = [lb.load(path, namespace=lb.Namespace()) for _ in range(200)]
told = []
def work():  # in a thread that ends, so that the thread_local objects end
    for function in ("int next()", "int next_in_thread()"):
        nexts = [library.function(function) for library in libraries]
        for number, f in enumerate(nexts):
            for _ in range(number % 3):
                f()
        told.append([f() for f in nexts])
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert told == [[number % 3 + 101 for number in range(200)]] * 2, told
for library in libraries:
    library.close()
def copies():
    with open("/proc/self/maps") as maps:
        return sum(path in line and " r-xp " in line for line in maps)
for _ in range(500):  # join() returns a little before the thread's destructors have run
    lb.load(path, namespace=lb.Namespace()).close()  # looks at what has lingered
    if copies() == 0:
        break
    time.sleep(0.01)
print(copies())
"""


def test_two_hundred_copies_of_a_cpp_library_have_separate_state(cc: Compiler) -> None:
    """Also of their thread_local objects, with constructors and destructors.

    In a process of its own: on stacks of threads that other tests' libraries have left behind, addresses of what was
    unmapped long ago may be found, and so many copies are likely to lie where they point (threads.c).
    """
    command = [sys.executable, "-c", COPIES, str(cc.shared_cpp(CPP))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


STATIC = """
import random, sys
import latebind as lb
path, dice = sys.argv[1], random.Random(5)
def fill():
    libraries = []
    try:
        while len(libraries) < 5000:
            libraries.append(lb.load(path, namespace=lb.Namespace()))
    except lb.SystemFailure as e:
        print(e)
    return libraries
counts = []
for order in (list, lambda all: dice.sample(all, len(all)), reversed):
    libraries = fill()
    counts.append(len(libraries))
    for library in order(libraries):
        library.close()
assert len(set(counts)) == 1 and counts[0] > 10, counts
with lb.load(path, namespace=lb.Namespace()) as library:
    print(library.function("int answer(void)")())
"""


def test_static_tls_runs_out_with_a_hint_and_comes_back_in_any_order(cc: Compiler) -> None:
    path = cc.shared(
        "__thread char block[64] = {5}; int answer(void) { return block[0]; }", flags=["-ftls-model=initial-exec"]
    )
    done = subprocess.run([sys.executable, "-c", STATIC, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *refusals, answer = done.stdout.splitlines()
    assert answer == "5"
    assert len(refusals) == 3
    for refusal in refusals:
        assert "GLIBC_TUNABLES=glibc.rtld.optional_static_tls" in refusal
        assert "static TLS" in refusal
