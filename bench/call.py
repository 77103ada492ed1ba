"""How long a call takes: ours beside ctypes and cffi, in its ABI mode and its compiled (API) mode, in one process.

Every contender calls the same functions of the C library with the same arguments. Rounds of all contenders alternate,
so that a busy machine slows all of them down alike; printed are the medians in nanoseconds, and our time as a ratio to
each of the others. `--json` prints one object. Without cffi or a compiler those columns are left out.
"""

from __future__ import annotations

import argparse
import array
import ctypes
import json
import random
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import latebind
from latebind import ffi

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = """
#include <stdlib.h>
#include <string.h>
int lb_six(int a, int b, int c, int d, int e, int f) { return a + b + c + d + e + f; }
"""
DECLARATIONS = """
int abs(int);
double cos(double);
size_t strlen(const char *);
int lb_six(int, int, int, int, int, int);
void *memchr(const void *, int, size_t);
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
"""
CHUNKS = 25
MEBIBYTE = bytes(1 << 20)
DICE = random.Random(5)  # noqa: S311 - numbers to sort
NUMBERS = array.array("i", (DICE.randrange(1 << 30) for _ in range(1000)))
CASES: dict[str, tuple[str, tuple[Any, ...], int]] = {
    # name: function, arguments, calls in a round
    "int abs(int)": ("abs", (-5,), 100_000),
    "double cos(double)": ("cos", (0.5,), 100_000),
    "size_t strlen(const char *)": ("strlen", (b"late binding",), 100_000),
    "6 integers": ("six", (1, 2, 3, 4, 5, 6), 100_000),
    "a buffer of 1 MiB": ("memchr", (MEBIBYTE, 0, len(MEBIBYTE)), 100_000),
}

Contender = dict[str, Any]


def build(folder: str) -> tuple[str, Any]:
    """A library with the bench's own function, and cffi's compiled module with everything (None without cffi)."""
    import subprocess

    source, library = f"{folder}/six.c", f"{folder}/libsix.so"
    with open(source, "w", encoding="utf-8") as out:
        out.write(SOURCE)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    try:
        import cffi
    except ImportError:
        return library, None
    maker = cffi.FFI()
    maker.cdef(DECLARATIONS + 'extern "Python" int lb_compare(const void *, const void *);')
    maker.set_source("_bench_call", f"#include <math.h>\n{SOURCE}", libraries=["m"])
    maker.compile(tmpdir=folder)
    sys.path.insert(0, folder)
    import _bench_call

    return library, _bench_call


def with_latebind(library: str, *, quick: bool) -> Contender:
    """Our functions; with `quick` they keep the interpreter lock."""
    header = ffi.Header(DECLARATIONS)
    libc, libm, own = (latebind.load(name) for name in ("libc.so.6", "libm.so.6", library))
    qsort = libc.function("qsort", types=header)
    read = ffi.reader("int")

    def sort(numbers: Any) -> None:
        qsort(numbers, len(numbers), 4, lambda a, b: read(a) - read(b))

    return {
        "abs": libc.function("abs", types=header, quick=quick),
        "cos": libm.function("cos", types=header, quick=quick),
        "strlen": libc.function("strlen", types=header, quick=quick),
        "six": own.function("lb_six", types=header, quick=quick),
        "memchr": libc.function("memchr", types=header, quick=quick),
        "sort": sort,
    }


def with_ctypes(library: str) -> Contender:
    """The same by ctypes."""
    libc, libm, own = ctypes.CDLL(None), ctypes.CDLL("libm.so.6"), ctypes.CDLL(library)
    libc.abs.argtypes, libc.abs.restype = [ctypes.c_int], ctypes.c_int
    libm.cos.argtypes, libm.cos.restype = [ctypes.c_double], ctypes.c_double
    libc.strlen.argtypes, libc.strlen.restype = [ctypes.c_char_p], ctypes.c_size_t
    own.lb_six.argtypes, own.lb_six.restype = [ctypes.c_int] * 6, ctypes.c_int
    libc.memchr.argtypes, libc.memchr.restype = [ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t], ctypes.c_void_p
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    libc.qsort.argtypes, libc.qsort.restype = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, compare], None

    def sort(numbers: Any) -> None:
        memory = (ctypes.c_int * len(numbers)).from_buffer(numbers)
        libc.qsort(memory, len(numbers), 4, compare(lambda a, b: a[0] - b[0]))

    return {
        "abs": libc.abs, "cos": libm.cos, "strlen": libc.strlen, "six": own.lb_six, "memchr": libc.memchr, "sort": sort,
    }  # fmt: skip


def with_cffi(library: str, compiled: Any) -> dict[str, Contender]:
    """The same by cffi: ABI mode, and compiled (API) mode."""
    import cffi

    abi = cffi.FFI()
    abi.cdef(DECLARATIONS)
    libc, libm, own = abi.dlopen(None), abi.dlopen("libm.so.6"), abi.dlopen(library)

    def sort_abi(numbers: Any) -> None:
        cast = abi.cast
        compare = abi.callback(
            "int(const void *, const void *)", lambda a, b: cast("int *", a)[0] - cast("int *", b)[0]
        )
        libc.qsort(abi.from_buffer(numbers), len(numbers), 4, compare)

    api, int_pointer = compiled.ffi, compiled.ffi.typeof("int *")

    @api.def_extern(name="lb_compare")
    def _compare(a: Any, b: Any) -> int:
        return api.cast(int_pointer, a)[0] - api.cast(int_pointer, b)[0]  # type: ignore[no-any-return]

    def sort_api(numbers: Any) -> None:
        compiled.lib.qsort(api.from_buffer(numbers), len(numbers), 4, compiled.lib.lb_compare)

    lib = compiled.lib
    return {
        "cffi ABI": {
            "abs": libc.abs, "cos": libm.cos, "strlen": libc.strlen, "six": own.lb_six, "memchr": libc.memchr,
            "sort": sort_abi,
        },
        "cffi API": {
            "abs": lib.abs, "cos": lib.cos, "strlen": lib.strlen, "six": lib.lb_six, "memchr": lib.memchr,
            "sort": sort_api,
        },
    }  # fmt: skip


def round_of(function: Callable[..., object], arguments: tuple[Any, ...], calls: int) -> float:
    """Nanoseconds of one call, less those of an empty loop: the quickest of `CHUNKS` loops that make `calls` in all."""
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    space: dict[str, Any] = {"f": function, **{f"a{i}": a for i, a in enumerate(arguments)}}
    code = f"def loop(n, f=f, {', '.join(f'a{i}=a{i}' for i in range(len(arguments)))}):\n for _ in n: f({names})"
    exec(code, space)  # noqa: S102 - a call with so many arguments, written out
    exec("def empty(n):\n for _ in n: pass", space)  # noqa: S102
    quickest = []
    for loop in (space["empty"], space["loop"]):
        times = []
        for _ in range(CHUNKS):  # short ones: on a busy machine some are not interrupted
            start = time.perf_counter_ns()
            loop(range(calls // CHUNKS))
            times.append(time.perf_counter_ns() - start)
        quickest.append(min(times))
    return (quickest[1] - quickest[0]) / (calls // CHUNKS)


def sort_round(sort: Callable[[Any], None]) -> float:
    """Nanoseconds of one comparison's share in sorting `NUMBERS`."""
    numbers = array.array("i", NUMBERS)
    start = time.perf_counter_ns()
    sort(numbers)
    taken = time.perf_counter_ns() - start
    if list(numbers) != sorted(NUMBERS):
        raise AssertionError("not sorted")
    return taken / 8700  # about as many comparisons as qsort makes of 1,000


def measure(contenders: dict[str, Contender], rounds: int) -> dict[str, dict[str, float]]:
    """Medians in nanoseconds by case and contender, taken in turn."""
    report: dict[str, dict[str, float]] = {}
    for case, (function, arguments, calls) in CASES.items():
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                times[name].append(round_of(contender[function], arguments, calls))
        report[case] = {name: statistics.median(values) for name, values in times.items()}
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(sort_round(contender["sort"]))
    report["a callback (qsort)"] = {name: statistics.median(values) for name, values in times.items()}
    return report


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library, compiled = build(folder)
        contenders = {
            "latebind": with_latebind(library, quick=False),
            "quick": with_latebind(library, quick=True),
            "ctypes": with_ctypes(library),
        }
        if compiled is not None:
            contenders |= with_cffi(library, compiled)
        report = measure(contenders, given.rounds)
    if given.json:
        print(json.dumps(report))
        return
    others = [name for name in contenders if name not in {"latebind", "quick"}]
    print(f"{'ns for a call':28}", *(f"{name:>9}" for name in contenders), "  latebind / ...", sep=" ")
    for case, row in report.items():
        ratios = "  ".join(f"{name} {row['latebind'] / row[name]:.2f}" for name in others)
        print(f"{case:28}", *(f"{row[name]:9.1f}" for name in contenders), f"  {ratios}", sep=" ")


if __name__ == "__main__":
    main()
