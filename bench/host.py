"""What the plugin host costs: a call, a hot reload, calls during reloads, and the start with many plugins.

- `proxy_over_function`: a call through the proxy of a native inline plugin over the bare `Library.function` call of the
  same function; rounds alternate, so that a busy machine slows both down alike.
- `direct_ns`, `by_python_ns`: a call of one native plugin by another, in C and, from a `quick` method, by way of
  Python.
- `reload_ms`, `held_ms`: the median of 200 reloads of a counter whose state moves, while nobody calls: the whole, and
  how long calls would have been held. `reload_busy_ms`, `held_busy_ms`: the same while four threads call: the reload
  then waits for the interpreter lock as they do.
- `reloads`, `calls`: during which each call must be answered once. `lost` and `doubled` count the sums that were
  answered to nobody and to two; `state_exact` says whether the counter stands where the calls have left it.
- `start_ms`: a lazy host that discovers 200 plugins in a fresh process and resolves what they require, over the import
  of `latebind.Host`; the quickest of a few processes.

On a machine with much else to do, read `reload_cpu_ms` and `start_cpu_ms`, the processor time of the same.

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
from latebind.testing import everything_allowed

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from support.plugins import Counter, PluginFolder

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS, BURST, PAUSE = 4, 10, 0.0005  # calls and seconds: some hundred thousand calls, to be kept and compared
LOOPS, CALLS = 20, 1000
USER = r"""
#include "test_counter.h"
#include "bench_user.h"
LATEBIND_PLUGIN("bench.user", "1.0.0")
LATEBIND_PROVIDES(bench_user)
static lb_status repeat(lb_context *ctx, int64_t times)
{
    int64_t sum;
    lb_status status = LB_OK;
    while (status == LB_OK && times--)
        status = test_counter_add(ctx, 0, &sum);
    return status;
}
lb_status bench_user_repeat(lb_context *ctx, int64_t times) { return repeat(ctx, times); }
lb_status bench_user_repeat_quickly(lb_context *ctx, int64_t times) { return repeat(ctx, times); }
"""
MANIFEST = """
id: bench.{name}
version: 1.0.0
entry: plugin.so
provides: [{{contract: bench.{name}, version: 1.0.0}}]
"""
PROVIDES = [{"contract": "bench.user", "version": "1.0.0"}]
REQUIRES = [{"contract": "test.counter", "version": "^1"}]
START = """
import sys, time
from latebind import Host
begun, busy = time.perf_counter(), time.process_time()
with Host(activation="lazy") as host:
    found = host.discover(sys.argv[1])
    number = len(host.resolve().order)
print(1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - busy), len(found.found), number)
"""


@latebind.contract("bench.user", version="1.0.0")
class User(Protocol):
    """What calls it."""

    def repeat(self, times: int) -> None:
        """Call so often."""
        ...

    @latebind.quick
    def repeat_quickly(self, times: int) -> None:
        """The same with the interpreter lock."""
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
    prototype = "int test_counter_add(void *ctx, int64_t amount, int64_t *out)"
    with latebind.load(library) as loaded:
        bare = loaded.function(prototype, out=["out"])
        times = []
        for _ in range(rounds):
            empty = loop_of(tuple, ())
            times.append((loop_of(bare, (None, 0)) - empty, loop_of(proxy.add, (0,)) - empty))
        function, through = (statistics.median(column) for column in zip(*times, strict=True))
    return through / function


def between_plugins(user: User, rounds: int) -> tuple[float, float]:
    """Nanoseconds of a call by another plugin: medians, in C and by way of Python."""
    times = []
    for _ in range(rounds):
        taken = []
        for repeat in (user.repeat, user.repeat_quickly):
            start = time.perf_counter_ns()
            repeat(CALLS * LOOPS)
            taken.append((time.perf_counter_ns() - start) / (CALLS * LOOPS))
        times.append(taken)
    direct, by_python = (statistics.median(column) for column in zip(*times, strict=True))
    return direct, by_python


def reload_often(host: latebind.Host, count: int) -> tuple[float, float, float]:
    """Medians in milliseconds: of a reload, of how long calls were held, and of the processor time of the reload."""
    whole, held, busy = [], [], []
    for _ in range(count):
        start, begun = time.perf_counter(), time.thread_time()
        report = host.reload("test.counter")
        whole.append(time.perf_counter() - start)
        busy.append(time.thread_time() - begun)
        held.append(report.held)
    return 1000 * statistics.median(whole), 1000 * statistics.median(held), 1000 * statistics.median(busy)


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
    whole, held, _ = reload_often(host, reloads)
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


def start(folder: Path, plugins: int, rounds: int) -> dict[str, float]:
    """Milliseconds to discover so many plugins in a fresh process, without the import."""
    for number in range(plugins):
        place = folder / f"plugin{number}"
        place.mkdir(parents=True)
        (place / "plugin.yaml").write_text(MANIFEST.format(name=f"n{number}"), encoding="utf-8")
    times = []
    for _ in range(rounds):
        command = [sys.executable, "-P", "-c", START, str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, busy, found, listed = done.stdout.split()
        if (int(found), int(listed)) != (plugins, plugins):
            raise AssertionError(f"{found} found and {listed} listed of {plugins} plugins: {done.stderr}")
        times.append((float(taken), float(busy)))
    return dict(zip(("start_ms", "start_cpu_ms"), map(min, zip(*times, strict=True)), strict=True))


def measure(folder: Path, rounds: int, reloads: int) -> dict[str, Any]:
    """Everything, in the order of the text above."""
    plugins = PluginFolder(folder / "plugins")
    plugin = plugins.counter()
    plugins.add("bench.user", USER, contracts=(User,), provides=PROVIDES, requires=REQUIRES)
    with latebind.Host(everything_allowed(), contracts=[Counter, User]) as host:
        host.discover(plugins.root)
        host.load("bench.user")
        proxy = host.get(Counter)
        report: dict[str, Any] = {"proxy_over_function": proxy_over_function(proxy, plugin / "plugin.so", rounds)}
        report["direct_ns"], report["by_python_ns"] = between_plugins(host.get(User), rounds)
        report["reload_ms"], report["held_ms"], report["reload_cpu_ms"] = reload_often(host, reloads)
        report |= calls_during_reloads(host, proxy, reloads)
    return report | start(folder / "many", 200, min(rounds, 5))


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
