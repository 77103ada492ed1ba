"""Thread-local storage of objects that the core maps: every access model, in older and in newer threads."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import c_int, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from latebind import _core
from support.machine import AARCH64, HERE, X86_64
from support.plans import File, address, function, own, resident, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.compiler import Compiler

ALONE = ["-nostdlib", HERE.tls_dialects[0]]
COUNTER = """
    __thread int zero[30];
    __thread int counter = 40;
    static __thread int other = 1;
    int next(void) { counter += other; zero[29]++; return counter + 100 * zero[29]; }
    void *where(void) { return &counter; }
"""
MODELS = {
    "global-dynamic": ([HERE.tls_dialects[0], "-ftls-model=global-dynamic"], "tls_module"),
    "local-dynamic": ([HERE.tls_dialects[0], "-ftls-model=local-dynamic", "-Wl,-Bsymbolic"], "tls_module"),
    "initial-exec": (["-ftls-model=initial-exec"], "tls_static"),
    "descriptors": ([HERE.tls_dialects[1]], "tls_descriptor"),
}


def in_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("model", MODELS)
def test_each_thread_has_its_own(cc: Compiler, model: str) -> None:
    flags, relocation = MODELS[model]
    path = cc.shared(COUNTER, flags=[*ALONE, *flags])
    assert HERE.type(relocation) in {kind for _, kind, _, _ in File(path.read_bytes()).relocations()}
    o = own(path)
    go, loaded = threading.Event(), threading.Event()
    older: list[int] = []

    def wait_and_call() -> None:
        go.set()
        assert loaded.wait(10)
        older.extend((call(), call()))

    thread = threading.Thread(target=wait_and_call)
    thread.start()
    assert go.wait(10)
    (image,) = run([o, resident(HERE.linker)])
    call = function(image, o, "next")
    loaded.set()
    thread.join()
    assert older == [141, 242]
    assert [call(), call(), call()] == [141, 242, 343]
    assert in_thread(call) == 141
    where = function(image, o, "where", c_void_p)
    assert where() != in_thread(where)
    assert (image.tls_offset is not None) == (model in {"initial-exec", "descriptors"})
    assert image.tls_module > 0
    image.unmap()


@pytest.mark.parametrize("model", ["global-dynamic", "initial-exec"])
@pytest.mark.parametrize("align", [64, 4096])
def test_alignment(cc: Compiler, model: str, align: int) -> None:
    text = f"""
        __thread char a = 1; __attribute__((aligned({align}))) __thread int b = 2; static __thread char c;
        void *f(void) {{ return &b; }} int g(void) {{ return 100 * a + 10 * b + c; }}
    """
    o = own(cc.shared(text, flags=[*ALONE, f"-ftls-model={model}"]))
    assert o.fields["tls_align"] == align
    try:
        (image,) = run([o, resident(HERE.linker)])
    except _core.ExecuteError as e:
        # More than the C library's reserve of static TLS, or than it aligns the thread pointer to (16 on aarch64).
        assert model == "initial-exec"
        assert align == 4096 or HERE is AARCH64
        assert "static TLS" in e.detail
        return
    where = function(image, o, "f", c_void_p)
    assert (where() % align, in_thread(where) % align) == (0, 0)
    assert function(image, o, "g")() == 120
    image.unmap()


def test_an_initial_value_that_is_relocated(cc: Compiler) -> None:
    text = "int n = 7; static __thread int *p = &n; int f(void) { return *p; } void set(int *q) { p = q; }"
    o = own(cc.shared(text, flags=ALONE))
    (image,) = run([o, resident(HERE.linker)])
    assert function(image, o, "f")() == 7
    assert in_thread(function(image, o, "f")) == 7
    image.unmap()


def test_a_relocated_value_from_memory_and_without_image(cc: Compiler) -> None:
    path = cc.shared("static __thread int z[100]; int f(void) { return ++z[99]; }", flags=ALONE)
    o = own(path, data=path.read_bytes())
    assert o.fields["tls_image.size"] == 0
    (image,) = run([o, resident(HERE.linker)])
    assert [function(image, o, "f")(), function(image, o, "f")(), in_thread(function(image, o, "f"))] == [1, 2, 1]
    image.unmap()


@pytest.mark.parametrize("model", ["global-dynamic", "initial-exec"])
def test_a_variable_of_another_object(cc: Compiler, model: str) -> None:
    a = own(cc.shared("__thread int before = 3, shared = 5;", name="a.so", flags=ALONE))
    text = "extern __thread int shared; int f(void) { return ++shared; }"
    b = own(cc.shared(text, name="b.so", flags=[*ALONE, f"-ftls-model={model}"]))
    first, second = run([a, b, resident(HERE.linker)])
    assert (first.tls_offset is not None) == (model == "initial-exec")  # only the reference says so
    assert second.tls_module == 0
    f = function(second, b, "f")
    assert [f(), f(), in_thread(f)] == [6, 7, 6]
    second.unmap()
    first.unmap()


RESIDENT = "__thread int shared = 5; int *where(void) { return &shared; }"
USER = "extern __thread int shared; int f(void) { return ++shared; }"


@pytest.mark.parametrize("model", ["global-dynamic", "initial-exec"])
def test_a_variable_of_a_resident_object_in_static_tls(cc: Compiler, model: str) -> None:
    path = cc.shared(RESIDENT, name=f"resident-{model}.so", flags=[*ALONE, "-ftls-model=initial-exec"])
    handle = _core.system_open(str(path))
    o = own(cc.shared(USER, flags=[*ALONE, f"-ftls-model={model}"]))
    there = resident(path.name)
    (image,) = run([o, there, resident(HERE.linker)])
    f = function(image, o, "f")
    assert [f(), f(), in_thread(f)] == [6, 7, 6]
    where = _core.system_symbol(handle, "where", None)
    assert where is not None
    at = ctypes.CFUNCTYPE(ctypes.POINTER(c_int))(where)()
    assert at.contents.value == 7
    image.unmap()
    _core.system_close(handle)


def test_a_variable_of_a_resident_object_in_dynamic_tls(cc: Compiler) -> None:
    path = cc.shared(RESIDENT, name="resident.so", flags=ALONE)
    handle = _core.system_open(str(path))
    there = resident(path.name)
    assert isinstance(there.source, tuple)
    assert there.source[1] > 0
    assert there.source[2] is None
    o = own(cc.shared(USER, name="dynamic.so", flags=ALONE))
    (image,) = run([o, there, resident(HERE.linker)])
    assert function(image, o, "f")() == 6
    image.unmap()
    o = own(cc.shared(USER, name="static.so", flags=[*ALONE, "-ftls-model=initial-exec"]))
    with pytest.raises(_core.ExecuteError, match=f"{HERE.name('tls_static')}.*fixed offset") as caught:
        run([o, there])
    assert (caught.value.code, caught.value.object) == ("unsupported", 0)
    _core.system_close(handle)


def test_what_has_no_tls_says_so() -> None:
    base = next(base for path, base, *_ in _core.link_map() if path.endswith(HERE.linker))
    assert _core.tls_of(base) == (0, None)
    module, offset = _core.tls_of(next(base for path, base, *_ in _core.link_map() if path.endswith("/libc.so.6")))
    assert module > 0
    assert offset is not None
    assert (offset < 0) == (HERE is X86_64)  # before the thread pointer there (variant II), behind it elsewhere


def _maps() -> str:
    return Path("/proc/self/maps").read_text(encoding="utf-8")


def test_carriers_come_and_go(cc: Compiler) -> None:
    """Static TLS is scarce (1664 bytes): unloading must give it back, and descriptors too."""
    o = own(cc.shared("static __thread int v[64] = {1}; int f(void) { return v[0]++; }",
                      flags=[*ALONE, "-ftls-model=initial-exec"]))  # fmt: skip
    objects = [path for path, *_ in _core.link_map()]
    descriptors = len(os.listdir("/proc/self/fd"))
    carriers = _maps().count("latebind-tls")  # of what other tests keep
    for _ in range(200):
        (image,) = run([o])
        assert function(image, o, "f")() == 1
        assert [path for path, *_ in _core.link_map()] == objects
        image.unmap()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert _maps().count("latebind-tls") == carriers


def test_carriers_at_the_same_time_are_distinct(cc: Compiler) -> None:
    """Descriptor numbers are reused: the C library must not take a new carrier for an older one."""
    o = own(cc.shared("static __thread int v = 1; int f(void) { return v++; }", flags=ALONE))
    images = [run([o, resident(HERE.linker)])[0] for _ in range(20)]
    assert len({image.tls_module for image in images}) == 20
    assert [function(image, o, "f")() for image in images] == [1] * 20
    assert address(images[0], o, "f") != address(images[1], o, "f")
    for image in images:
        image.unmap()
