"""How long a call through a contract takes: a proxy's method beside the bare `Library.function` call of one function.

The plugin is native and inline. The bare call is that of the exported C function of the same method, with a context,
the arguments and the place of the result, checked by `latebind.ffi` but not by a contract: no generation, no status,
no failures. Rounds alternate, so that a busy machine slows both down alike; printed are medians in nanoseconds and the
proxy's time as a ratio to the bare call. `--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import latebind
from latebind.testing import compile_plugin, everything_allowed

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = 20
CALLS = 1000
SOURCE = r"""
#include "bench_counter.h"
LATEBIND_PLUGIN("bench.plugin", "1.0.0")
LATEBIND_PROVIDES(bench_counter)
int bench_counter_add(lb_context *ctx, int64_t a, int64_t b, int64_t *out) { (void)ctx; *out = a + b; return LB_OK; }
int bench_counter_sub(lb_context *ctx, int64_t a, int64_t b, int64_t *out) { (void)ctx; *out = a - b; return LB_OK; }
int bench_counter_scale(lb_context *ctx, double a, double *out) { (void)ctx; *out = 2 * a; return LB_OK; }
int bench_counter_length(lb_context *ctx, lb_str text, int64_t *out)
{
    (void)ctx;
    *out = (int64_t)text.size;
    return LB_OK;
}
int bench_counter_same(lb_context *ctx, lb_str text, lb_str *out) { (void)ctx; *out = text; return LB_OK; }
"""
MANIFEST = """
id: bench.plugin
version: 1.0.0
entry: plugin.so
provides: [{contract: bench.counter, version: 1.0.0}]
"""
TYPES = """
typedef struct lb_str { const char *data; size_t size; } lb_str;
int bench_counter_add(void *ctx, int64_t a, int64_t b, int64_t *out);
int bench_counter_sub(void *ctx, int64_t a, int64_t b, int64_t *out);
int bench_counter_scale(void *ctx, double a, double *out);
int bench_counter_length(void *ctx, lb_str text, int64_t *out);
int bench_counter_same(void *ctx, lb_str text, lb_str *out);
"""


@latebind.contract("bench.counter", version="1.0.0")
class Counter(Protocol):
    """What is measured."""

    def add(self, a: int, b: int) -> int:
        """Their sum."""
        ...

    @latebind.quick
    def sub(self, a: int, b: int) -> int:
        """Their difference, without letting go of the interpreter lock."""
        ...

    def scale(self, a: float) -> float:
        """Twice `a`."""
        ...

    def length(self, text: str) -> int:
        """Bytes of `text`."""
        ...

    def same(self, text: str) -> str:
        """`text` itself."""
        ...


def round_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Nanoseconds of one call: the quickest of `CHUNKS` loops, less those of an empty one."""
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    space: dict[str, Any] = {"f": function, **{f"a{i}": a for i, a in enumerate(arguments)}}
    exec(f"def loop(n, f=f, {', '.join(f'{n}={n}' for n in names.split(', '))}):\n for _ in n: f({names})", space)  # noqa: S102
    exec("def empty(n):\n for _ in n: pass", space)  # noqa: S102 - calls with so many arguments, written out
    quickest = []
    for loop in (space["empty"], space["loop"]):
        times = []
        for _ in range(CHUNKS):
            start = time.perf_counter_ns()
            loop(range(CALLS))
            times.append(time.perf_counter_ns() - start)
        quickest.append(min(times))
    return (quickest[1] - quickest[0]) / CALLS


def cases(library: latebind.Library, proxy: Counter) -> dict[str, tuple[Callable[[], float], Callable[[], float]]]:
    """The bare call and the proxy's, by what is called."""
    from latebind import ffi

    header = ffi.Header(TYPES)

    def bare(name: str, *, quick: bool = False) -> Callable[..., Any]:
        function: Any = library.function(f"bench_counter_{name}", types=header, out=["out"], quick=quick)
        return function  # type: ignore[no-any-return]

    text, value = "late binding", ffi.new("lb_str", (b"late binding", 12), types=header)
    return {
        "int64 add(int64, int64)": (
            lambda: round_of(bare("add"), (None, 2, 3)), lambda: round_of(proxy.add, (2, 3)),
        ),
        "the same, quick": (
            lambda: round_of(bare("sub", quick=True), (None, 2, 3)), lambda: round_of(proxy.sub, (2, 3)),
        ),
        "float64 scale(float64)": (
            lambda: round_of(bare("scale"), (None, 0.5)), lambda: round_of(proxy.scale, (0.5,)),
        ),
        "int64 length(str)": (
            lambda: round_of(bare("length"), (None, value)), lambda: round_of(proxy.length, (text,)),
        ),
        "str same(str)": (
            lambda: round_of(bare("same"), (None, value)), lambda: round_of(proxy.same, (text,)),
        ),
    }  # fmt: skip


def measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by case, of both sides taken in turn."""
    source = folder / "plugin.c"
    source.write_text(SOURCE, encoding="utf-8")
    (folder / "plugin.yaml").write_text(MANIFEST, encoding="utf-8")
    compile_plugin(source, folder / "plugin.so", [Counter])
    report: dict[str, dict[str, float]] = {}
    with latebind.Host(everything_allowed(), contracts=[Counter]) as host:
        host.discover(folder.parent)
        host.load("bench.plugin")
        proxy = host.get(Counter)
        counted = (proxy.add(2, 3), proxy.sub(2, 3), proxy.length("abc"), proxy.same("é"))
        if counted != (5, -1, 3, "é"):
            raise AssertionError(f"the plugin miscounts: {counted}")
        for case, (bare, through) in cases(latebind.load(folder / "plugin.so"), proxy).items():
            times = [(bare(), through()) for _ in range(rounds)]
            one, other = (statistics.median(column) for column in zip(*times, strict=True))
            report[case] = {"function": one, "proxy": other, "proxy_over_function": other / one}
    return report


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder, "plugin")
        plugin.mkdir()
        report = measure(plugin, given.rounds)
    if given.json:
        print(json.dumps(report))
        return
    print(f"{'ns for a call':28} {'function':>9} {'proxy':>9}   proxy / function")
    for case, row in report.items():
        print(f"{case:28} {row['function']:9.1f} {row['proxy']:9.1f}   {row['proxy_over_function']:.2f}")


if __name__ == "__main__":
    main()
