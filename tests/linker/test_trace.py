"""Traces: bindings and calls are recorded, and the traced program does not notice."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind.linker.trace import Bound, Called, Trace
from support import needs
from support.machine import AARCH64, HERE

if TYPE_CHECKING:
    from support.compiler import Compiler

NO_BUILTIN = ["-fno-builtin"]


def calls(events: list[Any]) -> list[str]:
    return [str(e) for e in events if isinstance(e, Called)]


def test_bindings_are_recorded_with_their_reason(cc: Compiler) -> None:
    events: list[Any] = []
    path = cc.shared("int abs(int); int f(int n){ return abs(n); }", flags=NO_BUILTIN)
    lb.load(path, namespace=lb.Namespace(), trace=events).close()
    found = [e for e in events if isinstance(e, Bound) and e.symbol == "abs"]
    assert [(e.referrer, e.version) for e in found] == [(str(path), HERE.first_version)]
    assert found[0].definer is not None
    assert found[0].definer.endswith("/libc.so.6")
    assert "exact version" in found[0].why


def test_calls_are_recorded_with_time_and_arguments(cc: Compiler) -> None:
    events: list[Any] = []
    path = cc.shared(
        "#include <math.h>\n#include <string.h>\n#include <stdlib.h>\n"
        'double f(void){ return pow(2.0, 3.0) + strlen("late") + abs(-1); }',
        flags=[*NO_BUILTIN, "-lm"],
    )  # fmt: skip
    trace = Trace(events, prototypes=["double pow(double x, double y)", "size_t strlen(const char *text)"])
    before = time.monotonic_ns()
    with lb.load(path, namespace=lb.Namespace(), trace=trace) as library:
        assert library.function("double f(void)")() == 13.0
        function = library.symbol("f")
    after = time.monotonic_ns()
    recorded = [e for e in events if isinstance(e, Called)]
    assert sorted(map(str, recorded)) == ["abs(…)", "pow(2.0, 3.0)", 'strlen("late")']
    assert all(before <= e.time_ns <= after for e in recorded)
    assert all(e.thread == threading.get_native_id() for e in recorded)
    assert all(function < e.caller < function + 200 for e in recorded)


MANY = "double many(int a, long b, char *c, unsigned d, _Bool e, short f, float g, long h, int i, {}, double z)"
FLOATS = ", ".join(f"double x{n}" for n in range(7))


def test_arguments_on_the_stack_are_read(cc: Compiler, tmp_path: Path) -> None:
    """Eight integers and nine floating-point numbers: two and one of them do not fit in registers."""
    prototype = MANY.format(FLOATS)
    cc.shared(
        f"{prototype} {{ return c ? 0 : (double)a + b + d + e + f + g + h + i + x0 + x6 + z; }}", name="libmany.so"
    )
    flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lmany"]
    call = "many(-1, -2, 0, 4000000000u, 1, -6, 7.5f, -8, -9, 0.5, 1, 2, 3, 4, 5, 6.5, 10.25)"
    path = cc.shared(f"{prototype}; double f(void){{ return {call}; }}", name="libcaller.so", flags=flags)
    events: list[Any] = []
    with lb.load(path, namespace=lb.Namespace(), trace=Trace(events, prototypes=[prototype])) as library:
        expected = -1 - 2 + 4e9 + 1 - 6 + 7.5 - 8 - 9 + 0.5 + 6.5 + 10.25
        assert library.function("double f(void)")() == expected
    arguments = [e.arguments for e in events if isinstance(e, Called)]
    assert arguments == [(-1, -2, None, 4000000000, True, -6, 7.5, -8, -9, 0.5, 1, 2, 3, 4, 5, 6.5, 10.25)]


def test_only_the_symbols_asked_for(cc: Compiler) -> None:
    events: list[Any] = []
    path = cc.shared("int abs(int); long labs(long); long f(int n){ return abs(n) + labs(n); }", flags=NO_BUILTIN)
    with lb.load(path, namespace=lb.Namespace(), trace=Trace(events, symbols=["labs"])) as library:
        assert library.function("long f(int)")(-2) == 4
    assert calls(events) == ["labs(…)"]


def test_a_text_that_cannot_be_read_is_shown_as_an_address(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("int host(const char *s){ return s != 0; }", name="libhost.so")
    flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lhost"]
    path = cc.shared("int host(const char *); int f(void){ return host((const char *)4096) + host(0); }", flags=flags)
    events: list[Any] = []
    trace = Trace(events, prototypes=["int host(const char *)"])
    with lb.load(path, namespace=lb.Namespace(), trace=trace) as library:
        assert library.function("int f(void)")() == 1
    assert calls(events) == ["host(0x1000)", "host(NULL)"]


def test_every_argument_register_survives_a_trace(cc: Compiler, tmp_path: Path) -> None:
    """Also the upper parts of vectors, and errno."""
    lanes = 2 if HERE is AARCH64 else 4
    seven, seventy = ("0, " * (lanes - 1) + last for last in ("7", "70"))
    vector = f"typedef double vector __attribute__((vector_size({8 * lanes})));"
    target = ["-mavx"] if HERE is not AARCH64 and "avx" in Path("/proc/cpuinfo").read_text() else []
    cc.shared(
        f"#include <errno.h>\n{vector} int check(vector a, vector b){{"
        f"return errno == 77 && a[{lanes} - 1] == 7 && b[{lanes} - 1] == 70; }}",
        name="libcheck.so", flags=[*target, "-Wno-psabi"],
    )  # fmt: skip
    path = cc.shared(
        f"#include <errno.h>\n{vector} int check(vector, vector);"
        f"int f(void){{ errno = 77; return check((vector){{{seven}}}, (vector){{{seventy}}}); }}",
        flags=[*target, "-Wno-psabi", f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lcheck"],
    )

    def sink(event: object) -> None:
        math.fsum(float(n) for n in range(100))  # floating point, and a system call that fails
        with pytest.raises(OSError, match="nowhere"):
            Path("/nowhere").read_bytes()
        seen.append(event)

    seen: list[Any] = []
    with lb.load(path, namespace=lb.Namespace(), trace=Trace(sink, symbols=["check"])) as library:
        assert library.function("int f(void)")() == 1
    assert calls(seen) == ["check(…)"]


def test_variadic_calls_survive(cc: Compiler) -> None:
    path = cc.shared(
        '#include <stdio.h>\nint f(char *out){ return snprintf(out, 40, "%d %.1f %s", 4, 2.5, "x"); }', flags=NO_BUILTIN
    )
    events: list[Any] = []
    with lb.load(path, namespace=lb.Namespace(), trace=events) as library:
        out = bytearray(40)
        assert library.function("int f(void *)")(out) == 7
    assert out.startswith(b"4 2.5 x\0")
    assert "snprintf(…)" in calls(events)


def test_calls_of_other_threads_are_recorded(cc: Compiler) -> None:
    path = cc.shared(
        "#include <pthread.h>\n#include <stdlib.h>\nstatic void *run(void *n){ return (void *)labs((long)n); }"
        "long f(void){ pthread_t t[8]; long sum = 0; void *r;"
        "for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, run, (void *)-i);"
        "for (int i = 0; i < 8; i++) { pthread_join(t[i], &r); sum += (long)r; } return sum; }", flags=NO_BUILTIN,
    )  # fmt: skip
    events: list[Any] = []
    trace = Trace(events, symbols=["labs"], prototypes=["long labs(long)"])
    with lb.load(path, namespace=lb.Namespace(), trace=trace) as library:
        assert library.function("long f(void)")() == 28
    recorded = [e for e in events if isinstance(e, Called)]
    assert sorted(e.arguments for e in recorded if e.arguments) == [(-n,) for n in range(7, -1, -1)]
    assert threading.get_native_id() not in {e.thread for e in recorded}


def test_exceptions_pass_through_a_traced_call(tmp_path: Path) -> None:
    source, out = tmp_path / "t.cc", tmp_path / "libthrow.so"
    source.write_text(
        '#include <stdexcept>\nint thrower(int n){ if (n) throw std::runtime_error("x"); return 0; }'
        'extern "C" int f(int n){ try { return thrower(n); } catch (const std::runtime_error &) { return 9; } }'
    )  # fmt: skip
    subprocess.run([needs.program("c++", "g++"), "-shared", "-fPIC", "-o", out, source], check=True)
    events: list[Any] = []
    with lb.load(out, namespace=lb.Namespace(), trace=events) as library:
        assert library.function("int f(int)")(1) == 9
    assert any(name.startswith("_Z7thrower") for name in calls(events))


def test_wraps_are_traced_too(cc: Compiler) -> None:
    path = cc.shared("int abs(int); int f(int n){ return abs(n); }", flags=NO_BUILTIN)
    events: list[Any] = []
    trace = Trace(events, prototypes=["int abs(int)"])
    wrap = {"abs": ("int abs(int)", lambda original, n: original(n) + 1)}
    with lb.load(path, namespace=lb.Namespace(), wrap=wrap, trace=trace) as library:
        assert library.function("int f(int)")(-2) == 3
    assert calls(events) == ["abs(-2)"]


def test_hooks_are_traced_too(cc: Compiler) -> None:
    path = cc.shared("int host(int); int f(int n){ return host(n); }")
    events: list[Any] = []
    trace = Trace(events, prototypes=["int host(int)"])
    with lb.load(path, hooks={"host": ("int host(int)", lambda n: n + 1)}, trace=trace) as library:
        assert library.function("int f(int)")(5) == 6
    assert calls(events) == ["host(5)"]


def test_a_sink_that_fails_is_reported_and_the_call_goes_on(cc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))

    def sink(event: object) -> None:
        if isinstance(event, Called):
            raise ZeroDivisionError("in the sink")

    path = cc.shared("int abs(int); int f(int n){ return abs(n); }", flags=NO_BUILTIN)
    with lb.load(path, namespace=lb.Namespace(), trace=Trace(sink, symbols=["abs"])) as library:
        assert library.function("int f(int)")(-2) == 2
    assert [str(e) for e in reported] == ["in the sink"]


def test_a_real_library_works_under_a_full_trace() -> None:
    events: list[Any] = []
    with lb.load("libsqlite3.so.0", namespace=lb.Namespace(), trace=events) as library:
        handle = bytearray(8)
        assert library.function("int sqlite3_open(const char *, void *)")(":memory:", handle) == 0
        db = int.from_bytes(handle, "little")
        run = library.function("int sqlite3_exec(void *, const char *, void *, void *, void *)")
        assert run(db, "create table t(a); insert into t values(1),(2); select sum(a) from t", None, None, None) == 0
        assert library.function("int sqlite3_close(void *)")(db) == 0
    names = {e.symbol for e in events if isinstance(e, Called)}
    assert {"malloc", "free", "memcpy"} <= names
