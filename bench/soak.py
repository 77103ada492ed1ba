"""What loading leaves behind: thousands of loads and closes of one library, and many copies of one at once.

Both run in a process of their own. The first prints by how much private memory, mappings and descriptors have grown
after the loads; the second what each of many copies (a `Namespace` each) takes, and that all of it comes back.
`--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

LOADS = 5000
COPIES = 200
WARM = 100  # loads that fill the caches and the heap's free lists

MEASURE = """
import ctypes, gc, json, os, sys, time
import latebind as lb
from pathlib import Path

def state():
    ctypes.CDLL(None).malloc_trim(0)  # what the C library keeps for later is not lost
    lb.this_process().owner_of(0)  # forgets files that are not there any more
    gc.collect()
    rollup = Path("/proc/self/smaps_rollup").read_text().split("\\n")
    kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup[1:] if line}
    maps = Path("/proc/self/maps").read_text().splitlines()
    anonymous = sum(1 for line in maps if len(line.split()) < 6)
    private = kib["Private_Dirty"] + kib["Private_Clean"]
    return {"KiB": private, "mappings": len(maps) - anonymous, "descriptors": len(os.listdir("/proc/self/fd"))}

def growth(before, after):
    return {name: after[name] - before[name] for name in before}
"""
SOAK = (
    MEASURE
    + """
name, loads, warm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def cycle():
    with lb.load(name, namespace=lb.Namespace()) as library:
        library.symbol(sys.argv[4])
for _ in range(warm):
    cycle()
before = state()
start = time.perf_counter()
for _ in range(loads):
    cycle()
seconds = time.perf_counter() - start
print(json.dumps({**growth(before, state()), "ms per load": round(1000 * seconds / loads, 3)}))
"""
)
COPY = (
    MEASURE
    + """
name, copies, symbol = sys.argv[1], int(sys.argv[2]), sys.argv[4]
def load_all():
    return [lb.load(name, namespace=lb.Namespace()) for _ in range(copies)]
for library in load_all():
    library.close()
del library
before = state()
libraries = load_all()
assert len({library.symbol(symbol) for library in libraries}) == copies
full = growth(before, state())
for library in libraries:
    library.close()
del library, libraries
print(json.dumps({"KiB per copy": round(full["KiB"] / copies, 1), "left": growth(before, state())}))
"""
)


def run(code: str, name: str, count: int, warm: int, symbol: str) -> dict[str, object]:
    """What `code` reports of `count` loads of the library `name`, which defines `symbol`."""
    command = [sys.executable, "-c", code, name, str(count), str(warm), symbol]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(done.stdout)
    return report


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true")
    options.add_argument("--loads", type=int, default=LOADS)
    options.add_argument("--copies", type=int, default=COPIES)
    given = options.parse_args()
    report = {
        f"{given.loads} loads and closes of libsqlite3": run(
            SOAK, "libsqlite3.so.0", given.loads, WARM, "sqlite3_open"
        ),
        f"{given.copies} copies of libsqlite3": run(COPY, "libsqlite3.so.0", given.copies, WARM, "sqlite3_open"),
    }
    if given.json:
        print(json.dumps(report))
        return
    for title, row in report.items():
        print(title)
        for name, value in row.items():
            print(f"    {name:14} {value}")


if __name__ == "__main__":
    main()
