"""How long reading an ELF file takes, and how much memory: latebind beside pyelftools and LIEF.

Each run is a process of its own that imports its library first; the clock then runs over the question alone. The
libraries take turns, so that what else the machine does hits all of them. Printed are medians of the time, the peak
of the memory that the question added (VmHWM above what the imports had left), and ratios; absolute numbers vary
between machines, ratios hold better. `--json` prints one object; `--library PATH` asks other files than those found.
"""

from __future__ import annotations

import sys

# As a script's folder, bench/ is searched first, and this file would hide the standard library's `inspect`.
sys.path[:] = [entry for entry in sys.path if not entry.endswith("bench")]

import argparse  # noqa: E402  (after the line above)
import glob  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402

WANTED = ("libQt6Widgets.so.6", "libLLVM-*.so.1", "libclang-cpp.so.*", "libstdc++.so.6")
FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib")

# Each side answers the same question and prints how many symbols and relocations it saw.
TABLES = {
    "latebind": """
from latebind.elf import read
def ask(path):
    elf = read(path)
    return (sum(1 for s in elf.symbols if s.name or s.value or not s.section),
            sum(1 for r in elf.relocations if r.offset or r.type or r.symbol))
""",
    "pyelftools": """
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
def ask(path):
    with open(path, "rb") as file:
        elf = ELFFile(file)
        symbols = sum(1 for s in elf.get_section_by_name(".dynsym").iter_symbols()
                      if s.name or s["st_value"] or not s["st_shndx"] != "SHN_UNDEF")
        relocations = sum(1 for section in elf.iter_sections() if isinstance(section, RelocationSection)
                          for r in section.iter_relocations() if r["r_offset"] or r["r_info_type"] or r["r_info_sym"])
        return symbols, relocations
""",
    "LIEF": """
import lief
def ask(path):
    elf = lief.ELF.parse(path)
    return (sum(1 for s in elf.dynamic_symbols if s.name or s.value or not s.shndx),
            sum(1 for r in elf.relocations if r.address or r.type or r.symbol))
""",
}
# Opening a file and listing its dynamic symbols; from LIEF only its parse is asked, which lists nothing yet.
SYMBOLS = {
    "latebind": """
from latebind.elf import read
def ask(path):
    elf = read(path)
    return sum(1 for s in elf.symbols if s.name or s.value or not s.section), 0
""",
    "LIEF": """
import lief
def ask(path):
    return len(lief.ELF.parse(path).dynamic_symbols), 0
""",
}
QUESTIONS = {"all dynamic symbols and relocations": TABLES, "open and list the dynamic symbols": SYMBOLS}
NEEDS = {"latebind": "latebind", "pyelftools": "elftools", "LIEF": "lief"}
MEASURE = """
import re, sys, time
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
start = time.perf_counter()
counts = ask(sys.argv[1])
print(time.perf_counter() - start, peak() - before, *counts)
"""


def find_libraries() -> list[str]:
    """The first file of each wanted name that this machine has, two at most: a large one and one that is larger."""
    found = []
    for name in WANTED:
        paths = [path for folder in FOLDERS for path in sorted(glob.glob(f"{folder}/{name}"))]
        found += paths[:1]
    return found[:2]


def run(code: str, path: str) -> tuple[float, int, tuple[int, int]]:
    """Seconds, kibibytes and counts of one question in a fresh process."""
    command = [sys.executable, "-c", code + MEASURE, path]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(words[0]), int(words[1]), (int(words[2]), int(words[3]))


def measure(sides: dict[str, str], path: str, runs: int) -> dict[str, dict[str, float]]:
    """Median time and memory of every side that is installed."""
    present = {side: code for side, code in sides.items() if importlib.util.find_spec(NEEDS[side])}
    times: dict[str, list[float]] = {side: [] for side in present}
    memory: dict[str, list[int]] = {side: [] for side in present}
    counts: dict[str, tuple[int, int]] = {}
    for _ in range(runs):
        for side, code in present.items():
            seconds, kibibytes, counts[side] = run(code, path)
            times[side].append(seconds)
            memory[side].append(kibibytes)
    return {
        side: {
            "milliseconds": statistics.median(times[side]) * 1e3,
            "mebibytes": statistics.median(memory[side]) / 1024,
            "symbols": counts[side][0],
            "relocations": counts[side][1],
        }
        for side in present
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--library", action="append", default=[])
    options = parser.parse_args()
    results = {
        path: {question: measure(sides, path, options.runs) for question, sides in QUESTIONS.items()}
        for path in options.library or find_libraries()
    }
    if options.json:
        print(json.dumps(results))
        return
    for path, questions in results.items():
        for question, sides in questions.items():
            print(f"{path}: {question}")
            own = sides["latebind"]
            for side, found in sides.items():
                faster = found["milliseconds"] / own["milliseconds"]
                smaller = found["mebibytes"] / own["mebibytes"] if own["mebibytes"] else float("inf")
                print(
                    f"  {side:10} {found['milliseconds']:8.1f} ms ×{faster:<5.1f} {found['mebibytes']:7.1f} MiB"
                    f" ×{smaller:<5.1f} {found['symbols']:.0f} symbols, {found['relocations']:.0f} relocations"
                )


if __name__ == "__main__":
    main()
