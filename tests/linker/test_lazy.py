"""Lazy binding: calls are bound when they are first made, and nothing that a call carries is lost on the way."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import UnresolvedSymbol
from support.machine import AARCH64, HERE

if TYPE_CHECKING:
    from support.compiler import Compiler

LAZY = ["-fno-builtin", "-Wl,-z,lazy"]
TEXT = "#include <string.h>\nunsigned long length(const char *s) { return strlen(s); }"


def slot(library: lb.Library, name: str) -> tuple[bool, str | None]:
    found = [s for s in library.got() if s.symbol == name]
    assert len(found) == 1
    return found[0].bound, found[0].target


PROTECTED = {  # against indirect branches that lead elsewhere: other PLT entries
    "x86_64": ["-fcf-protection=full", "-Wl,-z,ibtplt"],
    "aarch64": ["-mbranch-protection=standard", "-Wl,-z,force-bti", "-nostartfiles"],
}[platform.machine()]


@pytest.mark.parametrize("flags", [[], PROTECTED], ids=["plain", "protected"])
def test_a_slot_is_bound_by_the_first_call(cc: Compiler, flags: list[str]) -> None:
    path = cc.shared(TEXT, flags=[*LAZY, *flags])
    with lb.load(path, namespace=lb.Namespace(), binding="lazy") as library:
        assert slot(library, "strlen") == (False, None)
        length = library.function("unsigned long length(const char *)")
        assert [length(b"four"), length(b"")] == [4, 0]
        bound, target = slot(library, "strlen")  # which is an IFUNC
        assert bound
        assert "libc.so" in str(target)


def test_slots_are_bound_at_once_by_default(cc: Compiler) -> None:
    with lb.load(cc.shared(TEXT, flags=LAZY)) as library:
        assert slot(library, "strlen")[0]


def test_a_library_linked_with_now_is_bound_at_once(cc: Compiler) -> None:
    path = cc.shared(TEXT, flags=["-fno-builtin", "-Wl,-z,now", "-Wl,-z,relro"])
    with lb.load(path, binding="lazy") as library:
        assert slot(library, "strlen")[0]


def test_ld_bind_now_wins(cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_BIND_NOW", "1")
    with lb.load(cc.shared(TEXT, flags=LAZY), binding="lazy") as library:
        assert slot(library, "strlen")[0]


def test_another_word_than_now_or_lazy(cc: Compiler) -> None:
    with pytest.raises(ValueError, match="'now' or 'lazy'"):
        lb.load(cc.shared(TEXT), binding="soon")


# Registers that may carry something to a callee: `call` fills them and calls `check`, which writes them down.
KEEPER = {
    "x86_64": """
        unsigned long after[9], flags;
        unsigned char vectors[3][16];
        __asm__(".globl check\\n check: movq %rax, after(%rip)\\n"
                "movq %rcx, after+8(%rip)\\n movq %rdx, after+16(%rip)\\n"
                "movq %rsi, after+24(%rip)\\n movq %rdi, after+32(%rip)\\n movq %r8, after+40(%rip)\\n"
                "movq %r9, after+48(%rip)\\n movq %r10, after+56(%rip)\\n movq %r11, after+64(%rip)\\n"
                "pushfq\\n popq flags(%rip)\\n movups %xmm0, vectors(%rip)\\n movups %xmm7, vectors+16(%rip)\\n"
                "movups %xmm15, vectors+32(%rip)\\n ret");
    """,
    "aarch64": """
        unsigned long after[17];
        unsigned char vectors[3][16];
        __asm__(".globl check\\n check: adrp x16, after\\n add x16, x16, :lo12:after\\n stp x0, x1, [x16]\\n"
                "stp x2, x3, [x16, 16]\\n stp x4, x5, [x16, 32]\\n stp x6, x7, [x16, 48]\\n stp x8, x9, [x16, 64]\\n"
                "stp x10, x11, [x16, 80]\\n stp x12, x13, [x16, 96]\\n stp x14, x15, [x16, 112]\\n"
                "str x18, [x16, 128]\\n adrp x16, vectors\\n add x16, x16, :lo12:vectors\\n"
                "str q0, [x16]\\n str q1, [x16, 16]\\n str q7, [x16, 32]\\n ret");
    """,
}[platform.machine()]
CALLER = {
    "x86_64": """
        __asm__(".globl call\\n call: pushq %rbx\\n movq $1, %rax\\n movq $2, %rcx\\n movq $3, %rdx\\n movq $4, %rsi\\n"
                "movq $5, %rdi\\n movq $6, %r8\\n movq $7, %r9\\n movq $8, %r10\\n movq $9, %r11\\n"
                "pcmpeqd %xmm0, %xmm0\\n movq %r8, %xmm7\\n movq %r9, %xmm15\\n"
                "stc\\n call check@PLT\\n popq %rbx\\n ret");
    """,
    "aarch64": """
        __asm__(".globl call\\n call: stp x29, x30, [sp, -16]!\\n mov x0, 1\\n mov x1, 2\\n mov x2, 3\\n mov x3, 4\\n"
                "mov x4, 5\\n mov x5, 6\\n mov x6, 7\\n mov x7, 8\\n mov x8, 9\\n mov x9, 10\\n mov x10, 11\\n"
                "mov x11, 12\\n mov x12, 13\\n mov x13, 14\\n mov x14, 15\\n mov x15, 16\\n mov x18, 17\\n"
                "movi v0.16b, 255\\n fmov d1, x5\\n movi v7.16b, 0\\n ins v7.d[1], x6\\n"
                "bl check\\n ldp x29, x30, [sp], 16\\n ret");
    """,
}[platform.machine()]
LAST = (7).to_bytes(16, "little") if HERE is not AARCH64 else (7 << 64).to_bytes(16, "little")


def test_every_register_survives_the_first_call(cc: Compiler) -> None:
    space = lb.Namespace()
    keeper = lb.load(cc.shared(KEEPER, name="keeper.so", flags=["-Wl,-Bsymbolic"]), namespace=space, scope="global")
    caller = lb.load(cc.shared(CALLER, name="caller.so", flags=LAZY), namespace=space, binding="lazy")
    assert not slot(caller, "check")[0]
    caller.function("void call(void)")()
    assert slot(caller, "check")[0]
    count = 17 if HERE is AARCH64 else 9
    assert list((ctypes.c_ulong * count).from_address(keeper.symbol("after"))) == list(range(1, count + 1))
    if HERE is not AARCH64:  # where no convention passes anything in the flags
        assert ctypes.c_ulong.from_address(keeper.symbol("flags")).value & 1  # the carry flag
    assert ctypes.string_at(keeper.symbol("vectors"), 48) == b"\xff" * 16 + (6).to_bytes(16, "little") + LAST
    caller.close()
    keeper.close()


WIDE = {
    "x86_64": """
        #include <immintrin.h>
        __attribute__((target("avx"), noinline)) __m256d twice(__m256d v) { return _mm256_add_pd(v, v); }
        __attribute__((target("avx"))) double wide(double x)
        {
            double out[4];
            _mm256_storeu_pd(out, twice(_mm256_set_pd(x, x + 1, x + 2, x + 3)));
            return __builtin_cpu_supports("avx") ? out[0] + out[1] + out[2] + out[3] : 8 * x + 12;
        }
    """,
    "aarch64": """
        typedef double pair __attribute__((vector_size(16)));
        __attribute__((noinline)) pair twice(pair v) { return v + v; }
        double wide(double x)
        {
            pair a = twice((pair){x, x + 1}), b = twice((pair){x + 2, x + 3});
            return a[0] + a[1] + b[0] + b[1];
        }
    """,
}[platform.machine()]


def test_wide_vectors_and_variadic_floats_survive(cc: Compiler) -> None:
    if HERE is not AARCH64 and "avx" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no AVX")
    text = (
        WIDE
        + """
        #include <stdio.h>
        #include <stdlib.h>
        double parse(double a, double b, double c) {
            char buffer[64]; snprintf(buffer, sizeof buffer, "%g%g%g", a, b, c); return atof(buffer);
        }"""
    )
    with lb.load(cc.shared(text, flags=LAZY), namespace=lb.Namespace(), binding="lazy") as library:
        assert library.function("double wide(double)")(1.0) == 20.0
        assert library.function("double parse(double, double, double)")(1.0, 2.0, 3.5) == 123.5


def test_errno_is_the_callees(cc: Compiler) -> None:
    text = """#include <errno.h>
        #include <unistd.h>
        int f(void) { errno = 7; getpid(); return errno; }"""
    with lb.load(cc.shared(text, flags=LAZY), namespace=lb.Namespace(), binding="lazy") as library:
        assert library.function("int f(void)")() == 7


def test_many_threads_bind_the_same_slots(cc: Compiler) -> None:
    names = [f"f{i}" for i in range(200)]
    callees = "".join(f"int {n}(int x) {{ return x + {i}; }}" for i, n in enumerate(names))
    total = " + ".join(f"{n}(x)" for n in names)
    path = cc.shared(f"{callees} int all(int x) {{ return {total}; }}", flags=[*LAZY, "-O0"])
    with lb.load(path, namespace=lb.Namespace(), binding="lazy") as library:
        all_of_them = library.function("int all(int)")
        start, results = threading.Barrier(8), []

        def work() -> None:
            start.wait()
            results.append(all_of_them(1))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == [200 + sum(range(200))] * 8
        assert slot(library, "f199")[0]


# without a definition ---------------------------------------------------------------------------------------------

GAP = "int missing(void); int call(void) { return missing(); } int fine(void) { return 1; }"


def test_a_missing_function_does_not_prevent_loading(cc: Compiler) -> None:
    path = cc.shared(GAP, flags=LAZY)
    with lb.load(path, binding="lazy") as library:
        assert library.function("int fine(void)")() == 1
        with pytest.raises(UnresolvedSymbol):
            library.function("int missing(void)")
    with pytest.raises(UnresolvedSymbol, match="missing"):
        lb.load(path)


def test_missing_data_and_addresses_are_found_when_loading(cc: Compiler) -> None:
    for number, text in enumerate(["extern int missing; int *f(void) { return &missing; }",
                                   "int missing(void); void *f(void) { return missing; }"]):  # fmt: skip
        with pytest.raises(UnresolvedSymbol, match="missing"):
            lb.load(cc.shared(text, name=f"lib{number}.so", flags=LAZY), binding="lazy")


def test_what_was_loaded_since_serves_the_call(cc: Compiler) -> None:
    space = lb.Namespace()
    library = lb.load(cc.shared(GAP, flags=LAZY), namespace=space, binding="lazy")
    provider = cc.shared("int missing(void) { return 42; }", name="libprovider.so")
    held = lb.load(provider, namespace=space, scope="global")
    assert library.function("int call(void)")() == 42
    held.close()  # bound to, so it stays
    assert library.function("int call(void)")() == 42
    assert slot(library, "missing") == (True, str(provider))
    library.close()
    assert space.objects == ()


def test_the_process_ends_as_under_ld_so_where_a_call_cannot_be_bound(cc: Compiler) -> None:
    path: Path = cc.shared(GAP.replace("missing", "strlenn"), flags=LAZY)
    program = f"import latebind as lb; lb.load({str(path)!r}, binding='lazy').function('int call(void)')()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 127
    assert run.stderr.strip().startswith(
        f"latebind: symbol lookup error: {path}: undefined symbol: strlenn; did you mean strlen"
    )


def test_hooks_are_bound_lazily_too(cc: Compiler) -> None:
    hook = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_char_p)(lambda text: 100 + len(text))
    address = ctypes.cast(hook, ctypes.c_void_p).value
    assert address is not None
    path = cc.shared(TEXT, flags=LAZY)
    with lb.load(path, namespace=lb.Namespace(), binding="lazy", hooks={"strlen": address}) as library:
        assert library.function("unsigned long length(const char *)")(b"four") == 104


def test_the_slots_of_a_resident_library_are_read_too() -> None:
    with lb.load("libm.so.6") as library:
        assert any("libc.so" in str(s.target) for s in library.got() if s.bound)
