"""Hooks and wraps: replacements written in Python or C, for every kind of reference, and what they leave behind."""

from __future__ import annotations

import ctypes
import errno
import gc
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind import UnresolvedSymbol, Unsupported
from support.machine import HERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.compiler import Compiler

NO_BUILTIN = ["-fno-builtin"]
WAYS = {
    "jump_slot": "int abs(int); int f(int v){ return abs(v); }",
    "slot": "int abs(int); void *here(void){ return abs; } int f(int v){ int (*p)(int) = here(); return p(v); }",
    "absolute": "int abs(int); int (*pointer)(int) = abs; int f(int v){ return pointer(v); }",
}
EVERY_REFERENCE = """
int abs(int);
int (*pointer)(int) = abs;
int f(int v){ return abs(v) == pointer(v) ? abs(v) : 99; }
"""


def result(path: Path, **how: Any) -> int:
    with lb.load(path, namespace=lb.Namespace(), **how) as library:
        return int(library.function("int f(int)")(-3))


class TestHooks:
    @pytest.mark.parametrize("relocation", WAYS)
    def test_a_python_function_is_reached_through_every_kind_of_reference(self, cc: Compiler, relocation: str) -> None:
        path = cc.shared(WAYS[relocation], flags=NO_BUILTIN)
        elf = lb.read(path)
        assert HERE.name(relocation) in {r.type_name for r in elf.relocations if elf.symbols[r.symbol].name == "abs"}
        assert result(path) == 3
        assert result(path, hooks={"abs": ("int abs(int)", lambda n: n * 100)}) == -300

    def test_what_has_an_address_can_be_a_hook(self, cc: Compiler) -> None:
        path = cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN)
        other = lb.load(cc.shared("int seven(int v){ return v + 10; }", name="libseven.so"))
        thunk = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda v: v + 20)
        assert result(path, hooks={"abs": other.symbol("seven")}) == 7
        assert result(path, hooks={"abs": other.function("int seven(int)")}) == 7
        assert result(path, hooks={"abs": thunk}) == 17
        other.close()

    def test_a_hook_can_stand_for_a_function_that_nobody_defines(self, cc: Compiler) -> None:
        path = cc.shared("int host_answer(int); int f(void){ return host_answer(20); }")
        with pytest.raises(UnresolvedSymbol):
            lb.load(path)
        with lb.load(path, hooks={"host_answer": ("int host_answer(int)", lambda n: n + 22)}) as library:
            assert library.function("int f(void)")() == 42

    def test_hooks_serve_constructors_too(self, cc: Compiler) -> None:
        path = cc.shared(
            "int host(void); static int v; __attribute__((constructor)) static void c(void){ v = host(); }"
            "int f(void){ return v; }"
        )
        with lb.load(path, hooks={"host": ("int host(void)", lambda: 7)}) as library:
            assert library.function("int f(void)")() == 7

    def test_the_c_library_itself_is_not_hooked(self, cc: Compiler) -> None:
        """Only what is loaded now: a hook must not change the rest of the process."""
        path = cc.shared(
            "#include <stdlib.h>\n#include <string.h>\nvoid *mine(void){ return malloc(9); }"
            'char *copy(void){ return strdup("x"); }', flags=NO_BUILTIN
        )  # fmt: skip
        sizes: list[int] = []
        hook = ("void *malloc(size_t)", sizes.append)  # None is NULL
        with lb.load(path, namespace=lb.Namespace(), hooks={"malloc": hook}) as library:
            assert library.function("void *mine(void)")() is None
            assert library.function("char *copy(void)")() == b"x"
        assert sizes == [9]

    def test_the_library_keeps_its_hooks_alive(self, cc: Compiler) -> None:
        path = cc.shared("int host(int); int f(int n){ return host(n); }")
        library = lb.load(path, hooks={"host": ("int host(int)", lambda n: n + 1)})
        gc.collect()
        assert library.function("int f(int)")(1) == 2
        library.close()

    def test_closing_gives_the_stubs_back(self, cc: Compiler) -> None:
        path = cc.shared("int host(int); int f(int n){ return host(n); }")

        def executable() -> int:
            return sum(" r-xp " in line for line in Path("/proc/self/maps").read_text().splitlines())

        lb.load(path, hooks={"host": ("int host(int)", lambda n: n)}).close()
        before = executable()
        for _ in range(20):
            lb.load(path, hooks={"host": ("int host(int)", lambda n: n)}).close()
        assert executable() == before

    @pytest.mark.parametrize(
        ("hook", "error", "text"),
        [
            (lambda n: n, TypeError, "needs a C prototype"),
            ("abs", TypeError, "is no address"),
            (0, TypeError, "is no address"),
            (("int labs(int)", lambda n: n), ValueError, "declares labs"),
            (("int abs(", lambda n: n), ValueError, "not a C prototype"),
            (("int abs(int)",), TypeError, "expected"),
        ],
    )
    def test_what_is_no_hook_is_refused(self, cc: Compiler, hook: object, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            lb.load(cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN), hooks={"abs": hook})

    def test_an_exception_in_a_hook_is_reported_and_the_caller_gets_0(
        self, cc: Compiler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reported: list[BaseException | None] = []
        monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))

        def fails(_n: int) -> int:
            raise ZeroDivisionError("in the hook")

        assert result(cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN), hooks={"abs": ("int abs(int)", fails)}) == 0
        assert [str(e) for e in reported] == ["in the hook"] * 3

    def test_a_result_that_does_not_fit_is_reported(self, cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
        reported: list[BaseException | None] = []
        monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))
        hook = ("int abs(int)", lambda _n: 1 << 40)
        assert result(cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN), hooks={"abs": hook}) == 0
        assert isinstance(reported[0], OverflowError)


class TestWrap:
    def test_calls_that_are_bound_late_are_wrapped_too(self, cc: Compiler) -> None:
        path = cc.shared(WAYS["jump_slot"], flags=[*NO_BUILTIN, "-Wl,-z,lazy"])
        wrap = {"abs": ("int abs(int)", lambda original, n: original(n) * 10)}
        assert result(path, wrap=wrap, binding="lazy") == 30

    def test_the_wrapper_gets_the_original(self, cc: Compiler) -> None:
        path = cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN)
        assert result(path) == 3
        wrap = {"abs": ("int abs(int)", lambda original, n: original(n) * 10)}
        assert result(path, wrap=wrap) == 30

    def test_a_function_of_the_closure_is_wrapped(self, cc: Compiler, tmp_path: Path) -> None:
        cc.shared("int inner(int n){ return n + 1; }", name="libinner.so")
        flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-linner"]
        path = cc.shared("int inner(int); int outer(int n){ return inner(n); }", name="libouter.so", flags=flags)
        seen: list[int] = []

        def wrapper(original: Callable[[int], int], n: int) -> int:
            seen.append(n)
            return original(n) * 2

        with lb.load(path, namespace=lb.Namespace(), wrap={"inner": ("int inner(int)", wrapper)}) as library:
            assert library.function("int outer(int)")(4) == 10
        assert seen == [4]

    def test_a_function_that_is_chosen_at_run_time_is_wrapped(self, cc: Compiler) -> None:
        """Strlen is an IFUNC in glibc: the original is what its resolver gave."""
        path = cc.shared("#include <string.h>\nsize_t f(const char *s){ return strlen(s); }", flags=NO_BUILTIN)
        texts: list[bytes] = []

        def wrapper(original: Callable[[Any], int], text: Any) -> int:
            texts.append(bytes(text))
            return original(text) + 1

        wrap = {"strlen": ("size_t strlen(const char *)", wrapper)}
        with lb.load(path, namespace=lb.Namespace(), wrap=wrap) as library:
            assert library.function("size_t f(const char *)")("late") == 5
        assert texts == [b"late"]

    def test_a_pointer_into_an_argument_survives(self, cc: Compiler) -> None:
        """Strchr gives a pointer into its argument, which a copy of the text would have made invalid."""
        path = cc.shared("#include <string.h>\nchar *f(const char *s){ return strchr(s, 'b'); }", flags=NO_BUILTIN)
        wrap = {"strchr": ("char *strchr(const char *, int)", lambda original, text, c: original(text, c))}
        with lb.load(path, namespace=lb.Namespace(), wrap=wrap) as library:
            text = ctypes.create_string_buffer(b"abc")
            address = library.function("void *f(const char *)")(ctypes.addressof(text))
            assert address == ctypes.addressof(text) + 1

    def test_errno_passes_through(self, cc: Compiler) -> None:
        path = cc.shared(
            "#include <errno.h>\n#include <unistd.h>\nint f(void){ errno = 0; return close(-1) == -1 ? errno : -1; }"
        )

        def wrapper(original: Callable[[int], int], fd: int) -> int:
            result = original(fd)
            Path("/nowhere").exists()  # system calls that fail in between
            return result

        with lb.load(path, namespace=lb.Namespace(), wrap={"close": ("int close(int)", wrapper)}) as library:
            assert library.function("int f(void)")() == errno.EBADF

    def test_each_version_has_its_own_original(self, cc: Compiler, tmp_path: Path) -> None:
        script = tmp_path / "v.map"
        script.write_text("V1 { global: f; local: *; }; V2 { global: f; } V1;")
        cc.shared(
            '__asm__(".symver f1, f@V1"); __asm__(".symver f2, f@@V2");'
            "int f1(void){ return 1; } int f2(void){ return 2; }",
            name="libv.so", flags=[f"-Wl,--version-script={script}"],
        )  # fmt: skip
        flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lv"]
        path = cc.shared(
            'int f(void); int f_old(void); __asm__(".symver f_old, f@V1");'
            "int both(void){ return 10 * f_old() + f(); }",
            name="libuser.so", flags=flags,
        )  # fmt: skip
        wrap = {"f": ("int f(void)", lambda original: original() + 3)}
        with lb.load(path, namespace=lb.Namespace(), wrap=wrap) as library:
            assert library.function("int both(void)")() == 45

    def test_what_nobody_defines_cannot_be_wrapped(self, cc: Compiler) -> None:
        path = cc.shared("int host(void); int f(void){ return host(); }")
        with pytest.raises(UnresolvedSymbol):
            lb.load(path, wrap={"host": ("int host(void)", lambda original: original())})

    def test_what_nobody_refers_to_cannot_be_wrapped(self, cc: Compiler) -> None:
        with pytest.raises(UnresolvedSymbol, match="nothing"):
            lb.load(cc.shared("int one(void){ return 1; }"), wrap={"nothing": ("int nothing(void)", int)})

    def test_data_cannot_be_wrapped(self, cc: Compiler) -> None:
        path = cc.shared("extern char **environ; void *f(void){ return environ; }")
        with pytest.raises(Unsupported, match="is no function"):
            lb.load(path, namespace=lb.Namespace(), wrap={"environ": ("int environ(void)", int)})

    def test_hooked_and_wrapped_is_a_contradiction(self, cc: Compiler) -> None:
        path = cc.shared(EVERY_REFERENCE, flags=NO_BUILTIN)
        with pytest.raises(ValueError, match="abs is hooked and wrapped"):
            lb.load(path, hooks={"abs": 4096}, wrap={"abs": ("int abs(int)", lambda original, n: original(n))})

    def test_after_the_interpreters_end_the_original_is_called(self, cc: Compiler) -> None:
        """A destructor that runs when the process ends calls what was wrapped: there is no Python any more."""
        path = cc.shared(
            "#include <stdio.h>\n#include <stdlib.h>\n"
            '__attribute__((destructor)) static void end(void){ printf("%d\\n", abs(-5)); }'
            "int f(int n){ return abs(n); }", flags=NO_BUILTIN
        )  # fmt: skip
        program = f"""
import latebind as lb
library = lb.load({str(path)!r}, wrap={{"abs": ("int abs(int)", lambda original, n: original(n) * 10)}})
print(library.function("int f(int)")(-5), flush=True)
"""
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["50", "5"]

    def test_a_hook_without_original_says_so_after_the_interpreters_end(self, cc: Compiler) -> None:
        path = cc.shared(
            "int host(void); int f(void){ return host(); } __attribute__((destructor)) static void end(void){ host(); }"
        )
        program = (
            f'import latebind as lb; lib = lb.load({str(path)!r}, hooks={{"host": ("int host(void)", lambda: 1)}})'
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert run.returncode < 0
        assert "after the interpreter's end" in run.stderr
