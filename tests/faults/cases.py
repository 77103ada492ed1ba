"""What is loaded while things fail: one case for each way in which a load gets, and so could leak, something.

`prepare` compiles a case's files into a folder; `CASES` loads from there. The sources are small and their functions
give numbers, so that what was loaded in spite of a failure can be seen to be whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from support.compiler import Compiler

PLAIN = """
    static int state = 3; int *const where = &state;
    __attribute__((constructor)) static void begin(void) { state += 2; }
    int answer(void) { return *where; }
"""
BSS = "static char room[100000]; int answer(void) { room[99999] = 5; return room[0] + room[99999]; }"
TLS = "__thread int local = 5; int answer(void) { return local; }"
IFUNC = """
    static int five(void) { return 5; }
    static int (*choose(void))(void) { return five; }
    int chosen(void) __attribute__((ifunc("choose")));
    int answer(void) { return chosen(); }
"""
CALLS = """
    #include <stdlib.h>
    #include <string.h>
    int answer(void) { return abs(-2) + (int)strlen("abc"); }
"""
TEXTREL = """
    static int state = 5;
    __asm__(".text\\n.globl answer\\n.type answer, @function\\nanswer: movabs $state_, %rax\\nmov (%rax), %eax\\nret\\n"
            ".size answer, . - answer\\n.data\\n.balign 8\\nstate_: .long 5\\n");
    int *keep(void) { return &state; }
"""
LOW = "__thread int low = 2; int two(void) { return low; }"
MIDDLE = "int two(void); __thread int one_ = 1; int three(void) { return two() + one_; }"
HIGH = "int two(void); int three(void); int answer(void) { return two() + three(); }"
CPP = """
    extern "C" int answer() { try { throw 5; } catch (int n) { return n; } }
"""
OPENMP = """
    #include <omp.h>
    int answer(void) { int n = 0;
    #pragma omp parallel num_threads(1)
    n = omp_get_num_threads(); return 4 + n; }
"""
LARGE = """
    static int place;
    int *table[300000] = {[0 ... 299999] = &place};
    int answer(void) { return table[299999] == &place ? 5 : 0; }
"""
OPENER = """
    #include <dlfcn.h>
    static void *handle;
    __attribute__((constructor)) static void begin(void) { handle = dlopen("%s", RTLD_NOW); }
    __attribute__((destructor)) static void end(void) { if (handle) dlclose(handle); }
    int answer(void)
    {
        int (*inner)(void) = handle ? dlsym(handle, "answer") : 0;
        return inner ? inner() : 5;
    }
"""


@dataclass(frozen=True, slots=True)
class Case:
    """`prepare` compiles; `load` with `options` takes the `target` that was compiled."""

    prepare: Callable[[Compiler], object]
    options: Mapping[str, Any] = field(default_factory=lambda: {"keep": False})
    target: Callable[[Path], str | bytes | int] = lambda folder: str(folder / "libcase.so")
    forgets: bool = False
    """Whether kept plans are removed before each load, so that each keeps one."""


def _compiled(source: str, *flags: str) -> Case:
    return Case(lambda cc: cc.shared(source, name="libcase.so", flags=flags))


def _bytes(folder: Path) -> bytes:
    return (folder / "libcase.so").read_bytes()


def _descriptor(folder: Path) -> int:
    return os.open(folder / "libcase.so", os.O_RDONLY)


def _three(cc: Compiler) -> None:
    link = [f"-L{cc.folder}", f"-Wl,-rpath,{cc.folder}", "-Wl,--no-as-needed"]
    cc.shared(LOW, name="liblow.so")
    cc.shared(MIDDLE, name="libmiddle.so", flags=[*link, "-llow"])
    cc.shared(HIGH, name="libcase.so", flags=[*link, "-lmiddle", "-llow"])


def _of_the_system(cc: Compiler) -> None:
    """One that needs libraries of the system: those are read by a thread."""
    cc.shared(PLAIN, name="libcase.so", flags=["-Wl,--no-as-needed", "-l:libz.so.1", "-l:liblzma.so.5"])


def _opener(cc: Compiler) -> None:
    cc.shared(TLS, name="libinner.so")
    cc.shared(OPENER % (cc.folder / "libinner.so"), name="libcase.so")


def _calls(cc: Compiler) -> Path:
    return cc.shared(CALLS, name="libcase.so", flags=["-fno-builtin"])


def _ignore(_: object) -> None:
    """A trace's sink."""


CASES = {
    "plain": _compiled(PLAIN, "-Wl,-z,relro,-z,now"),
    "bss": _compiled(BSS),
    "large": _compiled(LARGE, "-Wl,-z,max-page-size=4096"),
    "aligned": _compiled(PLAIN, "-Wl,-z,max-page-size=0x200000"),
    "tls": _compiled(TLS, "-ftls-model=global-dynamic"),
    "tls-static": _compiled(TLS, "-ftls-model=initial-exec"),
    "tls-descriptor": _compiled(TLS, "-mtls-dialect=gnu2"),
    "ifunc": _compiled(IFUNC),
    "textrel": _compiled(TEXTREL, "-Wl,-z,notext"),
    "lazy": Case(lambda cc: cc.shared(CALLS, name="libcase.so", flags=["-fno-builtin", "-Wl,-z,lazy"]),
                 {"binding": "lazy", "keep": False}),
    "dependencies": Case(_three),
    "read-ahead": Case(_of_the_system),
    "kept": Case(_three, {}),
    "keeping": Case(_three, {}, forgets=True),
    "bytes": Case(lambda cc: cc.shared(TLS, name="libcase.so"), target=_bytes),
    "descriptor": Case(lambda cc: cc.shared(PLAIN, name="libcase.so"), target=_descriptor),
    "c++": Case(lambda cc: cc.shared_cpp(CPP, name="libcase.so")),
    "openmp": _compiled(OPENMP, "-fopenmp"),
    "constructor": Case(_opener),
    "hooks": Case(_calls, {"hooks": {"abs": ("int abs(int)", lambda n: -n)}}),
    "wrap": Case(_calls, {"wrap": {"abs": ("int abs(int)", lambda original, n: original(n))}}),
    "trace": Case(_calls, {"trace": _ignore}),
    "global": Case(_three, {"scope": "global", "keep": False}),
    "object": Case(lambda cc: cc.object(CALLS, name="case.o", flags=["-fPIC", "-fno-builtin"]),
                   target=lambda folder: str(folder / "case.o")),
    "archive": Case(lambda cc: cc.archive(cc.object(CALLS, flags=["-fPIC", "-fno-builtin"]), name="libcase.a"),
                    target=lambda folder: str(folder / "libcase.a")),
}  # fmt: skip
