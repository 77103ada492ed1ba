"""How long loading a library takes: our linker beside the system's, in fresh processes taken in turn.

Each run is a process of its own that imports what it needs, then times one load: `ctypes.CDLL(name)` on one side, on
the other `latebind.load(name, namespace=Namespace())`, once with its plan kept (the first run of all, which is not
counted, makes it) and once without. Printed are medians and their ratios to the system's; absolute times vary between
machines, ratios hold better.

Then names are looked up in the last library that is there, such as it has and such as it has not: by `Library.symbol`,
and by `dlsym` through ctypes with an exception where the answer is NULL.

`--json` prints one object; `--cpu` counts the loading thread's processor time instead of the clock's, for a machine
that does other things as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

LIBRARIES = (
    "libz.so.1",
    "libsqlite3.so.0",
    "libcrypto.so.3",
    "libQt6Widgets.so.6",
    "libclang-cpp.so.14",
    "libLLVM-14.so.1",
)

OURS = (
    "import latebind, latebind.linker\nspace = latebind.Namespace()\n"
    "def load(name): return latebind.load(name, namespace=space, keep={keep})"
)
TIMED = {
    "system": "import ctypes\nload = ctypes.CDLL",
    "kept": OURS.format(keep=True),
    "fresh": OURS.format(keep=False),
}
LOAD = "import sys, time\nclock = getattr(time, sys.argv[2])\nt = clock()\nload(sys.argv[1])\nprint(clock() - t)"
LOOK_UP = """
import ctypes, latebind, random, sys, time
system, ours = ctypes.CDLL(sys.argv[1]), latebind.load(sys.argv[1], namespace=latebind.Namespace())
dlsym = ctypes.CDLL(None).dlsym
dlsym.argtypes, dlsym.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
def per_call(function, names):
    t = time.perf_counter()
    for name in names:
        try: function(name)
        except LookupError: pass
        except latebind.UnresolvedSymbol: pass
    return (time.perf_counter() - t) / len(names)
def look_up(name, handle=system._handle):
    address = dlsym(handle, name)
    if address is None:
        raise LookupError(name)
    return address
hits = [s.name for s in ours.plan.root.elf.symbols if s.exported and s.type == 2]
hits = random.Random(1).sample(hits, min(2000, len(hits)))
misses = [name + "?" for name in hits]
per_call(look_up, [name.encode() for name in hits]), per_call(ours.symbol, hits)
for names in hits, misses:
    encoded = [name.encode() for name in names]
    print(*map(min, zip(*[(per_call(look_up, encoded), per_call(ours.symbol, names)) for _ in range(5)])))
"""


def run(code: str, *arguments: str) -> list[float]:
    """The numbers that `code` prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def load_times(name: str, runs: int, clock: str) -> dict[str, float]:
    """Median seconds of all sides, taken in turn."""
    times: dict[str, list[float]] = {side: [] for side in TIMED}
    run(f"{TIMED['kept']}\n{LOAD}", name, clock)
    for _ in range(runs):
        for side, prepare in TIMED.items():
            times[side] += run(f"{prepare}\n{LOAD}", name, clock)
    return {side: statistics.median(values) for side, values in times.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--cpu", action="store_true")
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--library", action="append", default=[])
    given = options.parse_args()
    clock = "thread_time" if given.cpu else "perf_counter"
    report: dict[str, dict[str, float]] = {}
    last = "libc.so.6"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LATEBIND_CACHE"] = folder
        for name in given.library or LIBRARIES:
            if subprocess.run(
                [sys.executable, "-c", f"import ctypes; ctypes.CDLL({name!r})"], capture_output=True, check=False
            ).returncode:
                print(f"{name} is not on this machine", file=sys.stderr)
                continue
            times = load_times(name, given.runs, clock)
            report[name] = {**times, **{f"{side}_ratio": times[side] / times["system"] for side in ("kept", "fresh")}}
            last = name
        found = run(LOOK_UP, last)
    for what, (theirs, ours) in {"symbol, found": found[:2], "symbol, not found": found[2:]}.items():
        report[what] = {"system": theirs, "latebind": ours, "ratio": ours / theirs}
    if given.json:
        print(json.dumps(report))
        return
    for name, row in report.items():
        numbers = [
            f"{key} {value:.2f}" if "ratio" in key else f"{key} {value * 1e3:.4f} ms" for key, value in row.items()
        ]
        print(f"{name:20} {'   '.join(numbers)}")


if __name__ == "__main__":
    main()
