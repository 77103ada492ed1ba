"""The core maps, relocates and starts objects as plans say. Plans are made by hand: support/plans.py."""

from __future__ import annotations

import ctypes
import platform
from ctypes import c_char_p, c_int, c_long, c_size_t, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import _core
from support.machine import AARCH64, HERE
from support.plans import (
    ABSOLUTE,
    PAGE,
    Binding,
    File,
    address,
    function,
    own,
    present,
    protection,
    resident,
    run,
)

if TYPE_CHECKING:
    from support.compiler import Compiler

ALONE = ["-nostdlib"]  # no start files: the object refers to nothing but itself


# relocation -------------------------------------------------------------------------------------------------------


def test_data_and_functions_reach_each_other(cc: Compiler) -> None:
    text = """
        int value = 40;
        static int hidden = 1;
        int *const table[] = {&value, &hidden};
        int add(int n) { return *table[0] + *table[1] + n; }
        int (*pointer)(int) = add;
        int through(int n) { return pointer(n); }
    """
    o = own(cc.shared(text, flags=ALONE))
    (image,) = run([o])
    assert function(image, o, "through", c_int, c_int)(1) == 42
    ctypes.c_int.from_address(address(image, o, "value")).value = 50
    assert function(image, o, "add", c_int, c_int)(0) == 51
    image.unmap()


def test_packed_relative_relocations(cc: Compiler) -> None:
    """DT_RELR with a gap of more than one bitmap between its words."""
    text = """
        static int a = 1, b = 2;
        struct { int *first[40]; long gap[90]; int *second[100]; } table = {
            .first = {[0] = &a, [39] = &b}, .second = {[0] = &b, [70] = &a, [99] = &b}};
        int sum(void) {
            return *table.first[0] + 10 * *table.first[39] + 100 * *table.second[0] + 1000 * *table.second[70]
                + 10000 * *table.second[99] + (table.first[1] != 0);
        }
    """
    path = cc.shared(text, flags=[*ALONE, *HERE.pack])
    assert File(path.read_bytes()).range("relr")[1] >= 16
    o = own(path)
    (image,) = run([o])
    assert function(image, o, "sum")() == 21221
    image.unmap()


def test_two_objects_refer_to_each_other(cc: Compiler) -> None:
    a = own(cc.shared("int pong(int); int ping(int n) { return n ? pong(n - 1) + 1 : 0; }", name="a.so", flags=ALONE))
    b = own(cc.shared("int ping(int); int pong(int n) { return n ? ping(n - 1) + 10 : 0; }", name="b.so", flags=ALONE))
    first, second = run([a, b])
    assert function(first, a, "ping", c_int, c_int)(4) == 22
    first.unmap()
    second.unmap()


def test_a_resident_function_is_called(cc: Compiler) -> None:
    text = """
        unsigned long strlen(const char *); int atoi(const char *);
        long f(const char *s) { return strlen(s) * 100 + atoi(s); }
    """
    o = own(cc.shared(text, flags=[*ALONE, "-fno-builtin"]))
    (image,) = run([o, resident("libc.so.6")])  # strlen is an IFUNC there
    assert function(image, o, "f", c_long, c_char_p)(b"1234") == 1634
    image.unmap()


def test_an_object_loaded_earlier_is_bound_to(cc: Compiler) -> None:
    a = own(cc.shared("int count; int next(void) { return ++count; }", name="a.so", flags=ALONE))
    (first,) = run([a])
    there = present((first.base, 0, None), lambda name: Binding(2, value=a.symbol(name).value), role=2)
    b = own(cc.shared("int next(void); int twice(void) { next(); return next(); }", name="b.so", flags=ALONE))
    (second,) = run([b, there])
    assert function(second, b, "twice")() == 2
    assert function(first, a, "next")() == 3
    second.unmap()
    first.unmap()


def test_a_hook_takes_a_reference(cc: Compiler) -> None:
    o = own(cc.shared('int atoi(const char *); int f(void) { return atoi("7") + 1; }', flags=ALONE))
    hook = ctypes.CFUNCTYPE(c_int, c_char_p)(lambda text: 100 * int(text))
    at = ctypes.cast(hook, c_void_p).value
    assert at is not None
    (image,) = run([o, resident("libc.so.6")], hooks={"other": 1, "atoi": at})
    assert function(image, o, "f")() == 701
    image.unmap()


def test_weak_and_absolute_references(cc: Compiler) -> None:
    text = """
        extern int nowhere __attribute__((weak)); extern char fixed;
        void *p(void) { return &nowhere; } void *q(void) { return &fixed; }
    """
    o = own(cc.shared(text, flags=ALONE))
    other = present((0, 0, None), lambda name: Binding(ABSOLUTE, value=0x1234) if name == "fixed" else None)
    (image,) = run([o, other])
    assert function(image, o, "p", c_void_p)() is None
    assert function(image, o, "q", c_void_p)() == 0x1234
    image.unmap()


def test_functions_chosen_at_run_time(cc: Compiler) -> None:
    """An exported IFUNC (JUMP_SLOT or GLOB_DAT bound to its resolver) and a local one (IRELATIVE)."""
    text = """
        static int one(void) { return 1; }
        int offset = 20;
        static int two(void) { return offset + 2; }
        int data = 5; int *where = &data;
        static void *pick(void) { return *where == 5 ? (void *)two : (void *)one; }  /* needs relocated data */
        int exported(void) __attribute__((ifunc("pick")));
        static int local(void) __attribute__((ifunc("pick")));
        int (*pointer)(void) = exported;
        int f(void) { return exported() + 100 * local() + 10000 * pointer(); }
    """
    path = cc.shared(text, flags=ALONE)
    assert {HERE.type("resolver"), HERE.type("jump_slot")} <= {
        kind for _, kind, _, _ in File(path.read_bytes()).relocations()
    }
    o = own(path)
    (image,) = run([o])
    assert function(image, o, "f")() == 222222
    chosen = _core.call_resolver(address(image, o, "exported"))
    assert ctypes.CFUNCTYPE(c_int)(chosen)() == 22
    image.unmap()


def patched(path: Path, old: int, new: int, addend: int | None = None) -> bytes:
    """The file with the first relocation of type `old` made one of type `new`."""
    data = bytearray(path.read_bytes())
    at = next(at for at, kind, _, _ in File(bytes(data)).relocations() if kind == old)
    data[at + 8 : at + 12] = new.to_bytes(4, "little")
    if addend is not None:
        data[at + 16 : at + 24] = addend.to_bytes(8, "little", signed=True)
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("relative_to_place_4", lambda s, p: (s + 4 - p) % 2**32),
        ("relative_to_place_8", lambda s, p: (s + 4 - p) % 2**64),
        ("absolute", lambda s, _: s + 4),
        ("slot", lambda s, _: s + 4 if HERE is AARCH64 else s),  # x86-64's has no addend
        ("none", lambda _s, _p: 0),
    ],
)
def test_relocation_types_that_a_compiler_rarely_makes(cc: Compiler, kind: str, expected: object) -> None:
    path = cc.shared("extern int target[]; int target[4]; int *place = &target[1];", flags=ALONE)
    o = own(path, data=patched(path, HERE.type("absolute"), HERE.type(kind)))
    (image,) = run([o])
    place = address(image, o, "place")
    assert callable(expected)
    assert ctypes.c_uint64.from_address(place).value == expected(address(image, o, "target"), place)
    image.unmap()


@pytest.mark.parametrize(("kind", "fixed"), HERE.narrow)
def test_narrow_absolute_relocations(cc: Compiler, kind: int, fixed: int) -> None:
    """They write four bytes, where the value fits."""
    path = cc.shared("extern char fixed; struct { void *p; long next; } place = {&fixed, 7};", flags=ALONE)
    o = own(path, data=patched(path, HERE.type("absolute"), kind))
    (image,) = run([o, present((0, 0, None), lambda _: Binding(ABSOLUTE, value=fixed))])
    assert ctypes.c_uint64.from_address(address(image, o, "place")).value == 0x8000_0000
    image.unmap()
    with pytest.raises(_core.ExecuteError, match=rf"\({kind}\).*does not fit") as caught:
        run([o, present((0, 0, None), lambda _: Binding(ABSOLUTE, value=0x1_0000_0000))])
    assert caught.value.code == "unsupported"


# memory -----------------------------------------------------------------------------------------------------------


def test_bss_is_zero_and_wide(cc: Compiler) -> None:
    text = """
        int data = 1; char small[100]; char large[50000];
        int used(void) { int n = 0; for (int i = 0; i < 100; i++) n |= small[i];
            for (int i = 0; i < 50000; i++) n |= large[i]; return n; }
        int fill(void) { for (int i = 0; i < 50000; i++) large[i] = 1; return large[49999]; }
    """
    o = own(cc.shared(text, flags=ALONE))
    assert o.segments[-1]["memory_size"] > o.segments[-1]["file_size"] + 50000
    (image,) = run([o])
    assert function(image, o, "used")() == 0
    assert function(image, o, "fill")() == 1
    image.unmap()


def test_protections_gaps_and_relro(cc: Compiler) -> None:
    text = "int w = 1; int *const sealed = &w; const int r = 3; int f(void) { return r; }"
    o = own(cc.shared(text, flags=[*ALONE, "-Wl,-z,relro,-z,max-page-size=65536,-z,separate-code"]))
    (image,) = run([o])
    expected = {"f": "r-xp", "r": "r--p", "sealed": "r--p", "w": "rw-p"}
    assert {name: protection(address(image, o, name)) for name in expected} == expected
    end = -(-(o.segments[0]["address"] + o.segments[0]["memory_size"]) // PAGE) * PAGE
    assert end < o.segments[1]["address"]
    assert protection(image.base + end) == "---p"
    image.unmap()
    assert protection(image.start) != "r--p"


def test_alignment_above_the_page(cc: Compiler) -> None:
    flags = [*ALONE, "-Wl,-z,max-page-size=0x200000"]
    text = "__attribute__((aligned(0x200000))) int big = 3; int f(void) { return big; }"
    o = own(cc.shared(text, flags=flags))
    assert o.fields["align"] == 0x200000
    images = [run([o])[0] for _ in range(3)]
    for image in images:
        assert (image.base % 0x200000, address(image, o, "big") % 0x200000) == (0, 0)
        assert function(image, o, "f")() == 3
    for image in images:
        image.unmap()


def test_relocations_in_code(cc: Compiler) -> None:
    """DT_TEXTREL: code is written to while it is not executable, and protected again."""
    code = {
        "x86_64": r"movabsq $value, %rax\n movl (%rax), %eax\n ret",
        "aarch64": r"ldr x0, 1f\n ldr w0, [x0]\n ret\n 1: .quad value",
    }[platform.machine()]
    text = rf"""
        __attribute__((visibility("hidden"))) int value = 6;
        __asm__(".text\n .p2align 3\n .globl f\n .type f,%function\n f: {code}\n");
        int f(void);
    """
    o = own(cc.shared(text, flags=[*ALONE, "-Wl,-z,notext"]))
    assert o.fields["flags"] & 1
    (image,) = run([o])
    assert function(image, o, "f")() == 6
    assert protection(address(image, o, "f")) == "r-xp"
    image.unmap()
    o.fields["flags"] = 0
    with pytest.raises(_core.ExecuteError, match="may be written") as caught:
        run([o])
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_load_from_memory(cc: Compiler, kind: type) -> None:
    text = "int v[3000] = {1}; int *p = v; static char z[9000]; int f(void) { return *p + z[8999]; }"
    path = cc.shared(text, flags=ALONE)
    data = path.read_bytes()
    o = own(path, data=data)
    o.source = kind(data)
    path.unlink()
    (image,) = run([o])
    assert function(image, o, "f")() == 1
    assert protection(address(image, o, "f")) == "r-xp"
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
    image.unmap()


# constructors -----------------------------------------------------------------------------------------------------

ORDER = """
    int log[8], used;
    static void note(int n) { log[used++] = n; }
    void first(void) { note(1); }
    void last(void) { note(6); }
    __attribute__((constructor(101))) static void a(void) { note(2); }
    __attribute__((constructor(102))) static void b(void) { note(3); }
    __attribute__((destructor(102))) static void c(void) { note(4); }
    __attribute__((destructor(101))) static void d(void) { note(5); }
"""


def test_constructors_and_destructors_run_once_and_in_order(cc: Compiler) -> None:
    o = own(cc.shared(ORDER, flags=[*ALONE, "-Wl,-init=first,-fini=last"]))
    (image,) = run([o])

    def log() -> list[int]:
        used = ctypes.c_int.from_address(address(image, o, "used")).value
        return list((ctypes.c_int * used).from_address(address(image, o, "log")))

    image.finalize()  # nothing was initialised: nothing to undo
    assert log() == []
    image.initialize()
    assert log() == [1, 2, 3]
    image.initialize()
    image.finalize()
    image.finalize()
    assert log() == [1, 2, 3, 4, 5, 6]
    image.unmap()
    image.unmap()
    with pytest.raises(ValueError, match="not mapped"):
        image.initialize()


def test_constructors_get_arguments_and_environment(cc: Compiler) -> None:
    text = """
        int argc_, good; char **given;
        __attribute__((constructor)) static void a(int argc, char **argv, char **envp) {
            argc_ = argc; good = argv[argc] == 0 && argv[0] != 0; given = envp; }
    """
    o = own(cc.shared(text, flags=ALONE))
    (image,) = run([o, resident("libc.so.6")])
    image.initialize()
    count = Path("/proc/self/cmdline").read_bytes().count(b"\0")
    assert ctypes.c_int.from_address(address(image, o, "argc_")).value == count
    assert ctypes.c_int.from_address(address(image, o, "good")).value == 1
    environ = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ").value
    assert ctypes.c_void_p.from_address(address(image, o, "given")).value == environ
    image.unmap()


def test_a_library_with_start_files_and_malloc(cc: Compiler) -> None:
    """An ordinary `cc -shared`: crtbeginS.o, __cxa_finalize, weak references to nothing."""
    text = """
        #include <stdlib.h>
        #include <string.h>
        char *copy(const char *s) { char *p = malloc(strlen(s) + 1); return strcpy(p, s); }
        void drop(char *p) { free(p); }
    """
    o = own(cc.shared(text))
    (image,) = run([o, resident("libc.so.6")])
    image.initialize()
    at = function(image, o, "copy", c_size_t, c_char_p)(b"late binding")
    assert ctypes.string_at(at) == b"late binding"
    function(image, o, "drop", None, c_size_t)(at)
    image.finalize()
    image.unmap()
