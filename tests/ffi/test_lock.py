"""Calls and threads: who runs meanwhile, whose errno it is, and what a library that is closed during a call does."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind import ffi
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = r"""
#include <errno.h>
#include <stdatomic.h>
#include <time.h>
static void pause_a_little(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }
/* Waits until another thread has set *flag, for at most `tries` milliseconds. */
int wait_for(volatile int *flag, int tries) { while (!*flag && tries-- > 0) pause_a_little(); return *flag; }
int fail(int how) { int before = errno; errno = how; return before; }
int leave(int (*f)(int)) { return f(1) + 41; }
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return Compiler(tmp_path_factory.mktemp("lock")).shared(SOURCE)


@pytest.fixture
def library(path: Any) -> Iterator[lb.Library]:
    with lb.load(path, namespace=lb.Namespace()) as made:
        yield made


def set_soon(flag: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: setattr(flag, "value", 1))
    thread.start()
    return thread


def test_other_threads_run_during_a_call(library: lb.Library) -> None:
    flag = ffi.new("int")
    wait = library.function("int wait_for(volatile int *, int)")
    assert wait.releases_lock
    started = threading.Event()

    def run() -> None:
        started.wait()
        flag.value = 1

    thread = threading.Thread(target=run)
    thread.start()
    started.set()
    assert wait(flag, 10_000) == 1  # it would wait in vain if it kept the lock
    thread.join()


def test_a_quick_call_keeps_the_lock(library: lb.Library) -> None:
    flag = ffi.new("int")
    wait = library.function("int wait_for(volatile int *, int)", quick=True)
    assert not wait.releases_lock
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait()
        time.sleep(0.001)  # by then the call has begun
        flag.value = 1

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    assert wait(flag, 50) == 0
    thread.join()
    assert flag.value == 1


def test_calls_of_many_threads_do_not_disturb_each_other(library: lb.Library) -> None:
    fail = library.function("int fail(int)")
    wrong: list[tuple[int, int]] = []

    def run(number: int) -> None:
        for _ in range(300):
            fail(number)
            if ffi.errno() != number:
                wrong.append((number, ffi.errno()))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_errno_is_what_the_last_call_left_and_the_next_one_finds(library: lb.Library) -> None:
    fail = library.function("int fail(int)")
    fail(errno.EDOM)
    with pytest.raises(FileNotFoundError):
        open("/nowhere")  # noqa: SIM115
    assert ffi.errno() == errno.EDOM
    assert fail(0) == errno.EDOM
    assert ffi.set_errno(errno.ERANGE) == 0
    assert fail(0) == errno.ERANGE


def test_a_library_that_is_closed_stays_until_its_calls_have_returned(path: Any) -> None:
    library = lb.load(path, namespace=lb.Namespace())
    wait, flag = library.function("int wait_for(volatile int *, int)"), ffi.new("int")
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(wait(flag, 10_000)))
    thread.start()
    while not library.lifetime.running:
        time.sleep(0.001)
    base = f"{library.base:x}-"
    library.close()
    with pytest.raises(lb.ClosedLibrary):
        wait(flag, 1)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert any(line.startswith(base) for line in maps)
    flag.value = 1
    thread.join()
    assert results == [1]
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert not any(line.startswith(base) for line in maps)


def test_a_callback_may_close_the_library_that_calls_it(path: Any) -> None:
    library = lb.load(path, namespace=lb.Namespace())
    leave = library.function("int leave(int (*f)(int))")

    def close(x: int) -> int:
        library.close()
        return x

    assert leave(close) == 42
    with pytest.raises(lb.ClosedLibrary, match="libtest.so"):
        leave(close)


def test_a_closed_librarys_function_is_not_passed_on(path: Any, library: lb.Library) -> None:
    other = lb.load(path, namespace=lb.Namespace())
    fail = other.function("int fail(int)")
    assert library.function("int leave(int (*f)(int))")(fail) > 0
    other.close()
    with pytest.raises(lb.ClosedLibrary):
        library.function("int leave(int (*f)(int))")(fail)
