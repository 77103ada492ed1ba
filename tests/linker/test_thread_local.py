"""Thread-local storage of libraries that we load: every model, many threads, large blocks, and its destructors."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.linker.lasting import Reason
from latebind.linker.loaded import LoadedObject
from support.machine import HERE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.compiler import Compiler

COUNTER = "__thread int v = 40; int bump(void) { return ++v; }"
MODELS = {
    "general": ["-ftls-model=global-dynamic", HERE.tls_dialects[0]],
    "local": ["-ftls-model=local-dynamic", HERE.tls_dialects[0], "-fvisibility=hidden"],
    "initial": ["-ftls-model=initial-exec"],
    "descriptor": [HERE.tls_dialects[1]],
}


class Threads:
    """Threads that start at once and each do one thing when told to."""

    def __init__(self, count: int) -> None:
        self.results: list[object] = []
        self._work: Callable[[], object] = lambda: None
        self._go = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for t in self._threads:
            t.start()

    def _run(self) -> None:
        self._go.wait()
        self.results.append(self._work())

    def do(self, work: Callable[[], object]) -> list[object]:
        self._work = work
        self._go.set()
        for t in self._threads:
            t.join()
        return self.results


def exported(source: str) -> str:
    return source.replace("int bump", '__attribute__((visibility("default"))) int bump')


@pytest.mark.parametrize("model", MODELS)
def test_threads_from_before_and_after_the_load(cc: Compiler, model: str) -> None:
    early = Threads(20)
    with lb.load(cc.shared(exported(COUNTER), flags=MODELS[model]), namespace=lb.Namespace()) as library:
        bump = library.function("int bump(void)")
        assert [bump(), bump()] == [41, 42]
        assert early.do(bump) == [41] * 20
        assert Threads(20).do(lambda: (bump(), bump())[1]) == [42] * 20


@pytest.mark.parametrize("model", ["general", "local", "descriptor"])
def test_a_large_block(cc: Compiler, model: str) -> None:
    """A megabyte can never be in static TLS; descriptors then go through __tls_get_addr."""
    source = """__thread char block[1 << 20] = {1}; __thread int v = 7;
        int bump(void) { block[99]++; return ++v + block[99]; }"""
    early = Threads(2)
    with lb.load(cc.shared(exported(source), flags=MODELS[model]), namespace=lb.Namespace()) as library:
        bump = library.function("int bump(void)")
        assert [bump(), bump()] == [9, 11]
        assert early.do(bump) == [9, 9]


def test_descriptors_keep_every_register(cc: Compiler) -> None:
    """The compiler keeps values in registers over a descriptor's call, vectors too."""
    source = """
        __thread char large[4096]; __thread long v = 1;
        double f(double a, double b, double c, long x, long y, long z) {
            long *p = &v;  /* the call */
            __asm__ volatile("" : "+V"(a), "+V"(b), "+V"(c), "+r"(x), "+r"(y), "+r"(z));
            return a + 10 * b + 100 * c + x + y + z + *p + large[0];
        }""".replace("+V", f"+{HERE.float_register}")
    with lb.load(cc.shared(source, flags=[HERE.tls_dialects[1], "-O2"]), namespace=lb.Namespace()) as library:
        f = library.function("double f(double, double, double, long, long, long)")
        assert [f(1.0, 2.0, 3.0, 4, 5, 6) for _ in range(3)] == [337.0] * 3


def test_a_variable_of_another_library(cc: Compiler, tmp_path: Path) -> None:
    cc.shared(COUNTER, name="libowner.so")
    link = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lowner"]
    for dialect in HERE.tls_dialects:
        text = "extern __thread int v; int get(void) { return v; } int bump(void); int both(void) { bump(); return v; }"
        user = cc.shared(text, name=f"lib{dialect}.so", flags=[dialect, *link])
        with lb.load(user, namespace=lb.Namespace()) as library:
            assert library.function("int both(void)")() == 41
            assert Threads(1).do(library.function("int get(void)")) == [40]


# destructors ------------------------------------------------------------------------------------------------------

LIVELY = """
    extern "C" { int *where; }
    struct Guard { int n = 0; ~Guard() { if (where) *where += 1; } };
    thread_local Guard guard;
    extern "C" int touch() { return ++guard.n; }
"""


def executable(path: Path) -> bool:
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return any(str(path) in line and " r-xp " in line for line in maps)


def until(condition: Callable[[], bool]) -> bool:
    """Wait for it: a thread's own destructors run a moment after Python takes it for ended."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_code_stays_until_the_threads_destructors_have_run(cc: Compiler) -> None:
    path = cc.shared_cpp(LIVELY, name="liblively.so")
    died = ctypes.c_int(0)
    space = lb.Namespace()
    library = lb.load(path, namespace=space)
    ctypes.c_void_p.from_address(library.symbol("where")).value = ctypes.addressof(died)
    touch = library.function("int touch(void)")
    touched, end = threading.Event(), threading.Event()

    def work() -> None:
        touch()
        touched.set()
        end.wait()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    touched.wait()
    assert [(x.path, x.reason) for x in library.lasting()] == [(str(path), Reason.THREAD_LOCAL)]
    library.close()
    assert executable(path)
    end.set()
    thread.join()
    assert until(lambda: died.value == 1)
    for _ in range(100):
        lb.load("libm.so.6").close()  # whatever is loaded or closed next takes it out
        if not executable(path):
            break
    assert not executable(path)
    assert space.objects == ()


def test_a_thread_that_ends_while_its_library_is_closed_does_not_keep_it(
    cc: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its destructors have not run at the first question, and have at the next."""
    path = cc.shared_cpp(LIVELY, name="liblively.so")
    answers = iter([True])
    library = lb.load(path, namespace=lb.Namespace())
    monkeypatch.setattr(LoadedObject, "lingers", property(lambda o: o.path == str(path) and next(answers, False)))
    library.close()
    lb.load("libm.so.6").close()
    assert not executable(path)


def test_without_live_objects_it_is_unloaded_at_once(cc: Compiler) -> None:
    path = cc.shared_cpp(LIVELY, name="liblively.so")
    library = lb.load(path, namespace=lb.Namespace())
    assert Threads(3).do(library.function("int touch(void)")) == [1, 1, 1]
    assert until(lambda: library.lasting() == ())
    library.close()
    assert not executable(path)


def test_destructors_run_in_reverse_order_of_construction(cc: Compiler) -> None:
    text = """
        extern "C" { char log[8]; int used; }
        template <int N> struct Guard { int n; Guard() : n(N) {} ~Guard() { log[used++] = '0' + n; } };
        extern "C" void touch() { static thread_local Guard<1> a; static thread_local Guard<2> b; }
    """
    with lb.load(cc.shared_cpp(text), namespace=lb.Namespace()) as library:
        Threads(1).do(library.function("void touch(void)"))
        assert until(lambda: ctypes.string_at(library.symbol("log")) == b"21")  # they run after the join
