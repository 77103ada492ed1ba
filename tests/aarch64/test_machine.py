"""What is aarch64's own: registers around TLS descriptors, functions with other conventions, branch targets, pages."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.linker.trace import Called, Trace

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

LAZY = ["-fno-builtin", "-Wl,-z,lazy"]


def bound(library: lb.Library, name: str) -> bool:
    (found,) = [s for s in library.got() if s.symbol == name]
    return found.bound


# calls ------------------------------------------------------------------------------------------------------------


def test_a_function_with_another_convention_is_bound_at_once(cc: Compiler, tmp_path: Path) -> None:
    """`aarch64_vector_pcs` (DT_AARCH64_VARIANT_PCS): the lazy entry keeps fewer registers than its callers count on."""
    vector = (
        "typedef double pair __attribute__((vector_size(16))); __attribute__((aarch64_vector_pcs)) pair twice(pair v)"
    )
    cc.shared(f"{vector} {{ return v + v; }}", name="libcallee.so")
    link = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lcallee"]
    text = f"{vector}; int abs(int); double f(double x) {{ return twice((pair){{x, x + abs(-1)}})[1]; }}"
    path = cc.shared(text, name="libcaller.so", flags=[*LAZY, *link])
    with lb.load(path, namespace=lb.Namespace(), binding="lazy") as library:
        assert (bound(library, "twice"), bound(library, "abs")) == (True, False)
        assert library.function("double f(double)")(3.0) == 8.0
        assert bound(library, "abs")


def test_lld_s_plt_is_bound_lazily(cc: Compiler) -> None:
    text = "#include <string.h>\nunsigned long length(const char *s) { return strlen(s) + strnlen(s, 2); }"
    path = cc.shared(text, flags=[*LAZY, "-fuse-ld=lld"])
    with lb.load(path, namespace=lb.Namespace(), binding="lazy") as library:
        assert not bound(library, "strlen")
        assert library.function("unsigned long length(const char *)")(b"four") == 6
        assert bound(library, "strlen")
        assert bound(library, "strnlen")


def test_a_resolver_gets_what_glibc_gives(cc: Compiler) -> None:
    text = """
        #include <sys/ifunc.h>
        #include <sys/auxv.h>
        unsigned long first, size, hwcap, hwcap2;
        static int one(void) { return 1; }
        static int (*pick(unsigned long flags, const __ifunc_arg_t *more))(void) {
            first = flags; size = more->_size; hwcap = more->_hwcap; hwcap2 = more->_hwcap2; return one; }
        int chosen(void) __attribute__((ifunc("pick")));
        int f(void) {
            return chosen() == 1 && first == (getauxval(AT_HWCAP) | _IFUNC_ARG_HWCAP) && size >= 3 * 8
                && hwcap == getauxval(AT_HWCAP) && hwcap2 == getauxval(AT_HWCAP2);
        }
    """
    path = cc.shared(text)
    assert ctypes.CDLL(str(path)).f() == 1
    with lb.load(path, namespace=lb.Namespace()) as library:
        assert library.function("int f(void)")() == 1


def test_a_trace_reads_eight_registers_and_the_stack(cc: Compiler, tmp_path: Path) -> None:
    names = "abcdefghij"
    parameters = ", ".join(f"int {n}, double {n}{n}" for n in names)
    total = " + ".join(f"{n} + {n}{n}" for n in names)
    cc.shared(f"double sum({parameters}) {{ return {total}; }}", name="libsum.so")
    given = [x for n in range(1, 11) for x in (n, n + 0.5)]
    text = f"double sum({parameters}); double f(void) {{ return sum({', '.join(map(str, given))}); }}"
    path = cc.shared(text, flags=[f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lsum"])
    events: list[object] = []
    trace = Trace(events, symbols=["sum"], prototypes=[f"double sum({parameters})"])
    with lb.load(path, namespace=lb.Namespace(), trace=trace) as library:
        assert library.function("double f(void)")() == sum(given)
    (call,) = [e for e in events if isinstance(e, Called)]
    assert call.arguments == tuple(given)


# TLS descriptors --------------------------------------------------------------------------------------------------

REGISTERS = range(1, 16)
PROBE = """
    __thread char large[%d]; __thread long v = 5;
    extern long probe(void);  /* v, or what was lost: 1000 + register, 2000 + vector register */
    __asm__(".globl probe\\n .type probe, %%function\\n probe: stp x29, x30, [sp, -16]!\\n"
            "sub sp, sp, 64\\n stp d8, d9, [sp]\\n stp d10, d11, [sp, 16]\\n stp d12, d13, [sp, 32]\\n"
            "stp d14, d15, [sp, 48]\\n"
            "%s"
            "adrp x0, :tlsdesc:v\\n ldr x16, [x0, :tlsdesc_lo12:v]\\n add x0, x0, :tlsdesc_lo12:v\\n"
            ".tlsdesccall v\\n blr x16\\n mrs x17, tpidr_el0\\n ldr x0, [x17, x0]\\n"
            "%s"
            "b 2f\\n 1: mov x0, x17\\n 2: ldp d8, d9, [sp]\\n ldp d10, d11, [sp, 16]\\n ldp d12, d13, [sp, 32]\\n"
            "ldp d14, d15, [sp, 48]\\n add sp, sp, 64\\n ldp x29, x30, [sp], 16\\n ret\\n");
    long f(void) { large[0] = 0; return probe(); }
"""


@pytest.mark.parametrize("size", [8, 1 << 20], ids=["static", "dynamic"])
def test_descriptors_keep_all_other_registers(cc: Compiler, size: int) -> None:
    filled = "".join(rf"mov x{n}, {n}\n" for n in REGISTERS)
    filled += "".join(rf"movi v{n}.16b, {n + 1}\n" for n in range(32))
    checked = "".join(rf"mov x17, {1000 + n}\n cmp x{n}, {n}\n b.ne 1f\n" for n in REGISTERS)
    for n in range(32):
        checked += rf"mov x17, {2000 + n}\n mov x1, v{n}.d[0]\n mov x2, v{n}.d[1]\n cmp x1, x2\n b.ne 1f\n"
        checked += rf"umov w1, v{n}.b[0]\n cmp w1, {n + 1}\n b.ne 1f\n"
    with lb.load(cc.shared(PROBE % (size, filled, checked)), namespace=lb.Namespace()) as library:
        f = library.function("long f(void)")
        assert [f(), f()] == [5, 5]


# memory -----------------------------------------------------------------------------------------------------------


def test_objects_are_placed_for_the_largest_pages(cc: Compiler) -> None:
    path = cc.shared("int v = 1; int f(void) { return v; }")
    assert max(s.align for s in lb.read(path).segments if s.type == 1) == 65536
    with lb.load(path, namespace=lb.Namespace()) as library:
        image = library.closure[0].image
        assert image is not None
        assert (image.base % 65536, image.start % 65536, image.span % 65536) == (0, 0, 0)


BRANCHES = """
    __asm__(".globl f\\n .type f, %function\\n f: {pad}\\n mov w0, 42\\n ret\\n");
    int f(void);
    int call(void) {{ int (*volatile p)(void) = f; return p(); }}
"""
PROTECTED = ["-mbranch-protection=standard", "-Wl,-z,force-bti", "-nostartfiles"]


def outcome(program: str) -> tuple[int, str]:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.strip()


@pytest.mark.parametrize(("pad", "works"), [("bti c", True), ("nop", False)])
def test_branch_targets_are_checked_where_the_object_marks_them(cc: Compiler, pad: str, works: bool) -> None:  # noqa: FBT001
    """As under the system's linker: an indirect branch to code without a landing pad ends the process (SIGILL)."""
    path = str(cc.shared(BRANCHES.format(pad=pad), flags=PROTECTED))
    assert any("BTI" in p.bits for p in lb.read(path).properties)
    ours = outcome(f"import latebind as lb; print(lb.load({path!r}).function('int call(void)')())")
    assert ours == outcome(f"import ctypes; print(ctypes.CDLL({path!r}).call())")
    assert (ours == (0, "42")) == works


def test_unmarked_objects_are_not_checked(cc: Compiler) -> None:
    with lb.load(cc.shared(BRANCHES.format(pad="nop")), namespace=lb.Namespace()) as library:
        assert library.function("int call(void)")() == 42


def test_a_plan_for_another_machine_is_refused(cc: Compiler) -> None:
    data = bytearray(cc.shared("int f(void) { return 1; }").read_bytes())
    data[18:20] = (62).to_bytes(2, "little")
    with pytest.raises(lb.Unsupported, match="is for x86-64"):
        lb.load(bytes(data))
