"""How long loading a library takes: our linker beside the system's, in fresh processes taken in turn.

Each run is a process of its own that imports what it needs, then times one load: `ctypes.CDLL(name)` on one side,
`latebind.load(name, namespace=Namespace())` on the other. Printed are medians and their ratio; absolute times vary
between machines, ratios hold better. `--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

LIBRARIES = ("libz.so.1", "libsqlite3.so.0", "libcrypto.so.3", "libLLVM-14.so.1")

TIMED = {
    "system": "import ctypes\nload = ctypes.CDLL",
    "latebind": (
        "import latebind, latebind.linker\nspace = latebind.Namespace()\n"
        "def load(name): return latebind.load(name, namespace=space)"
    ),
}
LOAD = "import sys, time\nt = time.perf_counter()\nload(sys.argv[1])\nprint(time.perf_counter() - t)"
LOOK_UP = """
import ctypes, latebind, time
system, ours = ctypes.CDLL("libz.so.1"), latebind.load("libz.so.1", namespace=latebind.Namespace())
dlsym = ctypes.CDLL(None).dlsym
dlsym.argtypes, dlsym.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
names = [s.name for s in ours.plan.root.elf.symbols if s.exported and s.type == 2]
def per_call(function, names):
    t = time.perf_counter()
    for _ in range(200):
        for name in names: function(name)
    return (time.perf_counter() - t) / 200 / len(names)
theirs = per_call(lambda n: dlsym(system._handle, n), [n.encode() for n in names])
print(theirs, per_call(ours.symbol, names))
"""


def run(code: str, *arguments: str) -> list[float]:
    """The numbers that `code` prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def load_times(name: str, runs: int) -> dict[str, float]:
    """Median seconds of both sides, taken in turn."""
    times: dict[str, list[float]] = {side: [] for side in TIMED}
    for _ in range(runs):
        for side, prepare in TIMED.items():
            times[side] += run(f"{prepare}\n{LOAD}", name)
    return {side: statistics.median(values) for side, values in times.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--runs", type=int, default=7)
    given = options.parse_args()
    report: dict[str, dict[str, float]] = {}
    for name in LIBRARIES:
        times = load_times(name, given.runs)
        report[name] = {**times, "ratio": times["latebind"] / times["system"]}
    theirs, ours = run(LOOK_UP)
    report["symbol look-up"] = {"system": theirs, "latebind": ours, "ratio": ours / theirs}
    if given.json:
        print(json.dumps(report))
        return
    for name, row in report.items():
        system, latebind = row["system"] * 1e3, row["latebind"] * 1e3
        print(f"{name:18} system {system:9.4f} ms   latebind {latebind:9.4f} ms   ratio {row['ratio']:6.2f}")


if __name__ == "__main__":
    main()
