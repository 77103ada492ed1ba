"""Loading with our own linker: real libraries, small ones made for one behaviour each, and what can go wrong."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import ClosedLibrary, MalformedElf, NotFound, UnresolvedSymbol, Unsupported
from support.machine import AARCH64, ELSEWHERE, HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.compiler import Compiler


def mappings_of(path: str) -> int:
    """Executable mappings: a plan that is kept also keeps the file mapped for reading."""
    return sum(path in line and " r-xp " in line for line in Path("/proc/self/maps").read_text().splitlines())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The process has as many executable mappings and descriptors after the test as before."""

    def state() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        return sum(" r-xp " in line for line in maps), descriptors()

    lb.load("libm.so.6").close()  # what is loaded once for good (files of the link map, the C library) comes first
    before = state()
    yield
    assert state() == before


# real libraries ---------------------------------------------------------------------------------------------------


def test_zlib_is_loaded_by_us_and_computes() -> None:
    with lb.load("libz.so.1", namespace=lb.Namespace()) as z:
        assert z.role == "own"
        crc = z.function("unsigned long crc32(unsigned long, const char *, unsigned int)")
        assert crc(0, b"hello", 5) == 907060870


def test_a_resident_library_is_bound_to_and_not_loaded_again() -> None:
    before = mappings_of("/libm.so.6")
    with lb.load("libm.so.6") as m:
        assert m.role in {"resident", "system"}
        assert m.function("float cosf(float)")(0.0) == 1.0
        assert m.function("double pow(double, double)")(2.0, 10.0) == 1024.0
    assert before in (0, mappings_of("/libm.so.6"))


def test_functions_chosen_at_run_time_are_found() -> None:
    """Memcpy is an IFUNC: its address is what its resolver returns, and ctypes gets the same one."""
    with lb.load("libc.so.6") as c:
        expected = ctypes.cast(ctypes.CDLL("libc.so.6").memcpy, ctypes.c_void_p).value
        assert c.symbol("memcpy") == expected


def test_versions_are_looked_up_as_dlvsym_does() -> None:
    dlvsym = ctypes.CDLL(None).dlvsym
    dlvsym.restype, dlvsym.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    with lb.load("libc.so.6") as c:
        for version in ("GLIBC_2.17",) if HERE is AARCH64 else ("GLIBC_2.2.5", "GLIBC_2.3.2"):
            expected = dlvsym(None, b"pthread_cond_wait", version.encode())
            assert c.symbol("pthread_cond_wait", version) == expected is not None
        with pytest.raises(UnresolvedSymbol, match="pthread_cond_wait@GLIBC_9"):
            c.symbol("pthread_cond_wait", "GLIBC_9")


# our own objects --------------------------------------------------------------------------------------------------

STATE = "static int n; int next(void){ return ++n; }"


def test_two_namespaces_have_two_copies(cc: Compiler) -> None:
    path = cc.shared(STATE)
    with lb.load(path, namespace=lb.Namespace()) as a, lb.load(path, namespace=lb.Namespace()) as b:
        next_a, next_b = a.function("int next(void)"), b.function("int next(void)")
        assert [next_a(), next_a(), next_b(), next_a()] == [1, 2, 1, 3]


def test_one_namespace_has_one_copy_and_counts_its_handles(cc: Compiler) -> None:
    path = cc.shared(STATE)
    first, second = lb.load(path), lb.load(path)
    assert first.base == second.base
    first.function("int next(void)")()
    first.close()
    first.close()
    assert second.function("int next(void)")() == 2
    second.close()
    assert mappings_of(str(path)) == 0


def test_constructors_and_destructors_run_in_order(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("char log[64]; int used; void note(char c){ log[used++] = c; }", name="liblog.so")
    link = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-llog"]
    text = """void note(char);
        __attribute__((constructor)) static void a(void){ note('%s'); }
        __attribute__((destructor)) static void z(void){ note('%s'); }"""
    cc.shared(text % ("b", "B"), name="libb.so", flags=link)
    top = cc.shared(text % ("a", "A"), name="liba.so", flags=["-Wl,--no-as-needed", *link, "-lb"])
    space = lb.Namespace()
    log = lb.load(tmp_path / "liblog.so", namespace=space)
    with lb.load(top, namespace=space):
        assert ctypes.string_at(log.symbol("log")) == b"ba"
    assert ctypes.string_at(log.symbol("log")) == b"baAB"
    log.close()


def test_destructors_of_what_is_still_loaded_run_when_the_process_ends(cc: Compiler, tmp_path: Path) -> None:
    says = '#include <stdio.h>\n__attribute__((destructor)) static void z(void){ puts("%s"); }'
    cc.shared(says % "inner", name="libinner.so")
    flags = ["-Wl,--no-as-needed", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-linner"]
    outer = cc.shared(says % "outer", name="libouter.so", flags=flags)
    closed = cc.shared(says % "closed", name="libclosed.so")
    program = f"import latebind as lb; lb.load({str(closed)!r}).close(); lb.load({str(outer)!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["closed", "outer", "inner"]


def test_constructors_get_the_programs_arguments(cc: Compiler) -> None:
    path = cc.shared(
        "static int n; static char **e; __attribute__((constructor)) static void f(int argc, char **argv, char **envp)"
        "{ n = argc; e = envp; (void)argv; } int count(void){ return n; } int has_env(void){ return e && e[0]; }"
    )
    with lb.load(path) as library:
        arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
        assert library.function("int count(void)")() == len(arguments)
        assert library.function("int has_env(void)")() == 1


def test_thread_local_variables_are_each_threads_own(cc: Compiler) -> None:
    path = cc.shared("static __thread int v = 40; int bump(void){ return ++v; }")
    with lb.load(path, namespace=lb.Namespace()) as library:
        bump = library.function("int bump(void)")
        assert [bump(), bump()] == [41, 42]
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(bump()))
        thread.start()
        thread.join()
        assert seen == [41]


def test_data_of_the_c_library_is_the_processes_own(cc: Compiler) -> None:
    """A program that copies `environ` (COPY relocation) and a plugin must see one variable."""
    path = cc.shared("extern char **environ; void *where(void){ return &environ; }")
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert library.function("void *where(void)")() == ctypes.addressof(
            ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
        )


def test_hooks_catch_calls_and_data_references(cc: Compiler) -> None:
    path = cc.shared("int abs(int); int (*pointer)(int) = abs; int f(int v){ return abs(v) + pointer(v); }",
                     flags=["-fno-builtin"])  # fmt: skip
    hook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda _v: 21)
    address = ctypes.cast(hook, ctypes.c_void_p).value
    assert address is not None
    with lb.load(path, namespace=lb.Namespace(), hooks={"abs": address}) as library:
        assert library.function("int f(int)")(-1) == 42
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert library.function("int f(int)")(-1) == 2


def test_loading_from_bytes(cc: Compiler) -> None:
    data = cc.shared(STATE).read_bytes()
    with lb.load(data) as library:
        assert library.path == "<memory>"
        assert library.function("int next(void)")() == 1


def test_a_plan_can_be_looked_at_and_then_loaded(cc: Compiler) -> None:
    path = cc.shared("#include <string.h>\nsize_t length(const char *s){ return strlen(s); }")
    plan = lb.plan(path, into=lb.this_process())
    assert [o.role for o in plan.closure][:2] == ["own", "resident"]
    assert {i.symbol for i in plan.imports} >= {"strlen"}
    with lb.load(plan) as library:
        assert library.function("size_t length(const char *)")(b"late") == 4
    with pytest.raises(Unsupported, match="fresh process"):
        lb.load(lb.plan(path))


def test_a_dependency_stays_as_long_as_something_needs_it(cc: Compiler, tmp_path: Path) -> None:
    base = cc.shared(STATE, name="libbase.so")
    flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lbase"]
    user = cc.shared("int next(void); int twice(void){ next(); return next(); }", name="libuser.so", flags=flags)
    direct = lb.load(base)
    library = lb.load(user)
    direct.close()
    assert library.function("int twice(void)")() == 2
    library.close()
    assert mappings_of(str(tmp_path)) == 0


def test_a_global_library_serves_later_ones(cc: Compiler) -> None:
    provider = cc.shared("int provided(void){ return 5; }", name="libprovider.so")
    user = cc.shared("int provided(void); int f(void){ return provided(); }", name="libuser.so")
    space = lb.Namespace()
    with pytest.raises(UnresolvedSymbol):
        lb.load(user, namespace=space)
    held = lb.load(provider, namespace=space, scope="global")
    library = lb.load(user, namespace=space)
    held.close()  # the user is bound to it, so it stays
    assert library.function("int f(void)")() == 5
    library.close()
    assert mappings_of(str(provider)) == 0


@pytest.mark.usefixtures("unchanged")
def test_a_loop_of_loads_leaves_nothing(cc: Compiler) -> None:
    path = cc.shared(STATE + "static __thread int t = 1; int get(void){ return t; }")
    for _ in range(50):
        with lb.load(path, namespace=lb.Namespace()) as library:
            assert library.function("int get(void)")() == 1


# what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged")
class TestRefused:
    def test_a_missing_library(self) -> None:
        with pytest.raises(NotFound) as caught:
            lb.load("libnope.so.9")
        assert caught.value.name == "libnope.so.9"
        assert "no such file" in {t.why for t in caught.value.tried}

    def test_a_bare_name_that_is_a_file_here(self, cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(cc.shared(STATE, name="libhere.so").parent)
        with pytest.raises(NotFound, match=r"say \./libhere\.so"):
            lb.load("libhere.so")

    def test_a_missing_dependency(self, cc: Compiler, tmp_path: Path) -> None:
        cc.shared(STATE, name="libgone.so")
        flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lgone"]
        user = cc.shared("int next(void); int f(void){ return next(); }", name="libuser.so", flags=flags)
        (tmp_path / "libgone.so").unlink()
        with pytest.raises(NotFound) as caught:
            lb.load(user)
        assert (caught.value.name, caught.value.needed_by) == ("libgone.so", str(user))
        assert f"{tmp_path}/libgone.so" in {t.path for t in caught.value.tried}

    def test_an_unresolved_symbol_with_near_misses(self, cc: Compiler) -> None:
        user = cc.shared("int strlem(const char *); int f(void){ return strlem(0); }")
        with pytest.raises(UnresolvedSymbol) as caught:
            lb.load(user)
        assert caught.value.symbol == "strlem"
        assert caught.value.referrer == str(user)
        assert "strlen" in caught.value.near

    def test_no_elf_file(self, tmp_path: Path) -> None:
        path = tmp_path / "text.so"
        path.write_text("hello")
        with pytest.raises(MalformedElf, match="not an ELF file"):
            lb.load(path)

    @pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
    def test_a_truncated_file(self, cc: Compiler, share: float) -> None:
        path = cc.shared(STATE)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(MalformedElf) as caught:
            lb.load(path)
        assert caught.value.file == str(path)

    def test_another_machines_file(self, cc: Compiler) -> None:
        path = cc.shared(STATE)
        data = bytearray(path.read_bytes())
        data[18:20] = ELSEWHERE.number.to_bytes(2, "little")
        with pytest.raises(Unsupported, match=r"is for .*, this process is "):
            lb.load(bytes(data))

    def test_a_static_program(self, cc: Compiler) -> None:
        path = cc.program("int main(void){ return 0; }", flags=["-static"])
        with pytest.raises(Unsupported, match="statically linked"):
            lb.load(path)

    def test_a_program(self, cc: Compiler) -> None:
        path = cc.program("int main(void){ return 0; }")
        with pytest.raises(Unsupported, match="is a program"):
            lb.load(path)

    def test_a_file_that_changed_after_planning(self, cc: Compiler) -> None:
        path = cc.shared(STATE)
        plan = lb.plan(path, into=lb.this_process())
        os.utime(path, (1, 1))
        with pytest.raises(Unsupported, match="has changed since the plan was made"):
            lb.load(plan)

    def test_a_closed_library(self, cc: Compiler) -> None:
        library = lb.load(cc.shared(STATE))
        function = library.function("int next(void)")
        library.close()
        with pytest.raises(ClosedLibrary):
            library.symbol("next")
        with pytest.raises((ClosedLibrary, ValueError), match="closed"):
            function()

    def test_a_name_that_the_library_does_not_have(self) -> None:
        with lb.load("libz.so.1", namespace=lb.Namespace()) as z, pytest.raises(UnresolvedSymbol) as caught:
            z.function("int crc23(int)")
        assert re.match(r"crc32", caught.value.near[0])
