"""What the plugin host costs: a call, a hot reload, calls during reloads, and the start with many plugins.

- `proxy_over_function`: a call through the proxy of a native inline plugin over the bare `Library.function` call of the
  same function; rounds alternate, so that a busy machine slows both down alike.
- `reload_ms`, `held_ms`: the median of 200 reloads of a counter whose state moves, while nobody calls: the whole, and
  how long calls would have been held. `reload_busy_ms`, `held_busy_ms`: the same while four threads call: the reload
  then waits for the interpreter lock as they do.
- `reloads`, `calls`: during which each call must be answered once. `lost` and `doubled` count the sums that were
  answered to nobody and to two; `state_exact` says whether the counter stands where the calls have left it.
- `start_ms`: a lazy host that discovers 200 plugins in a fresh process and resolves what they require, over the import of
  `latebind.Host`; the quickest of a few processes.

`--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import latebind
from latebind.testing import compile_plugin, everything_allowed

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS, BURST, PAUSE = 4, 10, 0.0005  # calls and seconds: some hundred thousand calls, to be kept and compared
LOOPS, CALLS = 20, 1000
SOURCE = r"""
#include "bench_counter.h"
LATEBIND_PLUGIN("bench.counter", "1.0.0")
LATEBIND_PROVIDES(bench_counter)
static int64_t sum;
lb_status bench_counter_add(lb_context *ctx, int64_t amount, int64_t *out)
{
    (void)ctx;
    *out = sum += amount;
    return LB_OK;
}
lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{
    (void)ctx;
    *schema = 1;
    state->data = (const uint8_t *)&sum;
    state->size = sizeof sum;
    return LB_OK;
}
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    if (schema != 1 || state.size != sizeof sum)
        return lb_fail(ctx, "unknown state");
    sum = *(const int64_t *)(const void *)state.data;
    return LB_OK;
}
"""
MANIFEST = """
id: bench.{name}
version: 1.0.0
entry: plugin.so
provides: [{{contract: bench.{name}, version: 1.0.0}}]
"""
START = """
import sys, time
from latebind import Host
begun = time.perf_counter()
with Host(activation="lazy") as host:
    found = host.discover(sys.argv[1])
    planned = host.resolve()
    print(1000 * (time.perf_counter() - begun), len(found.found), len(planned.order))
"""


@latebind.contract("bench.counter", version="1.0.0")
class Counter(Protocol):
    """What is called and reloaded."""

    def add(self, amount: int) -> int:
        """Add, and answer the sum."""
        ...


def loop_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Nanoseconds of one call with its share of a loop: the quickest of `LOOPS`."""
    quickest = float("inf")
    for _ in range(LOOPS):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            function(*arguments)
        quickest = min(quickest, time.perf_counter_ns() - start)
    return quickest / CALLS


def proxy_over_function(proxy: Counter, library: Path, rounds: int) -> float:
    """The ratio of medians, both without what an empty function costs in the same loop."""
    prototype = "int bench_counter_add(void *ctx, int64_t amount, int64_t *out)"
    with latebind.load(library) as loaded:
        bare = loaded.function(prototype, out=["out"])
        times = []
        for _ in range(rounds):
            empty = loop_of(tuple, ())
            times.append((loop_of(bare, (None, 0)) - empty, loop_of(proxy.add, (0,)) - empty))
        function, through = (statistics.median(column) for column in zip(*times, strict=True))
    return through / function


def reload_often(host: latebind.Host, count: int) -> tuple[float, float]:
    """Medians in milliseconds: of a reload, and of how long calls were held."""
    whole, held = [], []
    for _ in range(count):
        start = time.perf_counter()
        report = host.reload("bench.counter")
        whole.append(time.perf_counter() - start)
        held.append(report.held)
    return 1000 * statistics.median(whole), 1000 * statistics.median(held)


def calls_during_reloads(host: latebind.Host, proxy: Counter, reloads: int) -> dict[str, Any]:
    """Threads that add 1 in bursts, and what became of their calls."""
    before, stop = proxy.add(0), threading.Event()
    answers: list[list[int]] = [[] for _ in range(THREADS)]

    def call(mine: list[int]) -> None:
        while not stop.wait(PAUSE):
            mine.extend(proxy.add(1) for _ in range(BURST))

    threads = [threading.Thread(target=call, args=(mine,)) for mine in answers]
    for thread in threads:
        thread.start()
    whole, held = reload_often(host, reloads)
    stop.set()
    for thread in threads:
        thread.join()
    sums = [n for mine in answers for n in mine]
    expected = set(range(before + 1, before + len(sums) + 1))
    return {
        "reload_busy_ms": whole,
        "held_busy_ms": held,
        "reloads": reloads,
        "calls": len(sums),
        "lost": len(expected - set(sums)),
        "doubled": len(sums) - len(set(sums)),
        "state_exact": proxy.add(0) == before + len(sums),
    }


def start_ms(folder: Path, plugins: int, rounds: int) -> float:
    """Milliseconds to discover so many plugins in a fresh process, without the import."""
    for number in range(plugins):
        place = folder / f"plugin{number}"
        place.mkdir(parents=True)
        (place / "plugin.yaml").write_text(MANIFEST.format(name=f"n{number}"), encoding="utf-8")
    times = []
    for _ in range(rounds):
        command = [sys.executable, "-P", "-c", START, str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, found, listed = done.stdout.split()
        if (int(found), int(listed)) != (plugins, plugins):
            raise AssertionError(f"{found} found and {listed} listed of {plugins} plugins: {done.stderr}")
        times.append(float(taken))
    return min(times)


def measure(folder: Path, rounds: int, reloads: int) -> dict[str, Any]:
    """Everything, in the order of the text above."""
    plugin = folder / "plugins" / "counter"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text(MANIFEST.format(name="counter"), encoding="utf-8")
    source = folder / "plugin.c"
    source.write_text(SOURCE, encoding="utf-8")
    compile_plugin(source, plugin / "plugin.so", [Counter])
    with latebind.Host(everything_allowed(), contracts=[Counter]) as host:
        host.discover(plugin.parent)
        host.load("bench.counter")
        proxy = host.get(Counter)
        report: dict[str, Any] = {"proxy_over_function": proxy_over_function(proxy, plugin / "plugin.so", rounds)}
        report["reload_ms"], report["held_ms"] = reload_often(host, reloads)
        report |= calls_during_reloads(host, proxy, reloads)
    report["start_ms"] = start_ms(folder / "many", 200, min(rounds, 5))
    return report


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--reloads", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), given.rounds, given.reloads)
    if given.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:20} {value:>12.3f}" if isinstance(value, float) else f"{name:20} {value:>12}")


if __name__ == "__main__":
    main()
