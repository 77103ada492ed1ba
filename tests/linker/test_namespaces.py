"""Namespaces in numbers, isolation, and loading from descriptors."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import MalformedElf, SystemFailure, UnresolvedSymbol

if TYPE_CHECKING:
    from support.compiler import Compiler

STATE = """
static int n; static __thread int t = 100;
int next(void){ return ++n; }
int next_in_thread(void){ return ++t; }
"""
COPIES = 200


def test_two_hundred_copies_have_separate_state(cc: Compiler) -> None:
    """Also of their thread-local variables, in this thread and in another; glibc's dlmopen ends at 15."""
    path = cc.shared(STATE)
    libraries = [lb.load(path, namespace=lb.Namespace()) for _ in range(COPIES)]
    assert len({library.base for library in libraries}) == COPIES
    nexts = [library.function("int next(void)") for library in libraries]
    in_threads = [library.function("int next_in_thread(void)") for library in libraries]
    for number in range(COPIES):
        for _ in range(number % 3):
            nexts[number]()
            in_threads[number]()
    assert [f() for f in nexts] == [number % 3 + 1 for number in range(COPIES)]
    assert [f() for f in in_threads] == [number % 3 + 101 for number in range(COPIES)]
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.extend(f() for f in in_threads))
    thread.start()
    thread.join()
    assert elsewhere == [101] * COPIES
    for library in libraries:
        library.close()
    assert str(path) not in {line.split()[-1] for line in _executable()}


def _executable() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if " r-xp " in line]


def test_dependencies_are_copied_with_the_namespace(cc: Compiler, tmp_path: Path) -> None:
    cc.shared(STATE, name="libstate.so")
    flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lstate"]
    user = cc.shared("int next(void); int step(void){ return next(); }", name="libuser.so", flags=flags)
    with lb.load(user, namespace=lb.Namespace()) as a, lb.load(user, namespace=lb.Namespace()) as b:
        steps = [a.function("int step(void)"), b.function("int step(void)"), a.function("int step(void)")]
        assert [step() for step in steps] == [1, 1, 2]


def test_a_namespace_does_not_see_anothers_global_symbols(cc: Compiler) -> None:
    provider = cc.shared("int provided(void){ return 5; }", name="libprovider.so")
    user = cc.shared("int provided(void); int f(void){ return provided(); }", name="libuser.so")
    with (
        lb.load(provider, namespace=lb.Namespace(), scope="global"),
        pytest.raises(UnresolvedSymbol),
    ):
        lb.load(user, namespace=lb.Namespace())


def test_a_fresh_namespace_does_not_see_the_processs_libraries(cc: Compiler) -> None:
    """A library of the process that is not the C library's is loaded again: the fresh copy is its own."""
    path = cc.shared(STATE)
    with lb.load(path) as here, lb.load(path, namespace=lb.Namespace()) as there:
        assert here.function("int next(void)")() == 1
        assert here.function("int next(void)")() == 2
        assert there.function("int next(void)")() == 1


class TestDescriptors:
    def test_a_file(self, cc: Compiler) -> None:
        path = cc.shared(STATE)
        fd = os.open(path, os.O_RDONLY)
        with lb.load(fd, namespace=lb.Namespace()) as library:
            assert library.path == str(path)
            assert library.function("int next(void)")() == 1
        os.close(fd)  # it stayed ours

    def test_a_memfd(self, cc: Compiler) -> None:
        data = cc.shared(STATE).read_bytes()
        fd = os.memfd_create("plugin", os.MFD_CLOEXEC)
        os.write(fd, data)
        with lb.load(fd, namespace=lb.Namespace()) as library:
            os.close(fd)
            assert "memfd:plugin" in library.path
            assert library.function("int next(void)")() == 1

    def test_what_was_opened_is_loaded_not_what_has_its_name_now(self, cc: Compiler) -> None:
        path = cc.shared("int which(void){ return 1; }")
        fd = os.open(path, os.O_RDONLY)
        path.rename(path.with_name("old.so"))
        cc.shared("int which(void){ return 2; }")
        with lb.load(fd, namespace=lb.Namespace()) as library:
            assert library.function("int which(void)")() == 1
        path.with_name("old.so").unlink()
        with lb.load(fd, namespace=lb.Namespace()) as library:
            assert library.function("int which(void)")() == 1
        os.close(fd)

    def test_one_that_is_loaded_already_is_recognised(self, cc: Compiler) -> None:
        path = cc.shared(STATE)
        fd = os.open(path, os.O_RDONLY)
        with lb.load(path) as first, lb.load(fd) as second:
            assert first.base == second.base
        os.close(fd)

    def test_a_closed_one(self) -> None:
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        with pytest.raises(SystemFailure, match="fstat"):
            lb.load(fd)

    def test_one_without_an_elf_file(self) -> None:
        fd = os.memfd_create("empty")
        os.write(fd, b"hello, this is no library")
        with pytest.raises(MalformedElf):
            lb.load(fd)
        os.close(fd)
