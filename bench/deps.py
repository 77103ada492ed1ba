"""How long `latebind deps` takes: to start, beside the interpreter, and for a whole machine, beside libtree and ld.so.

Each side is a command of its own; they take turns, so that what else the machine does hits all of them. Printed are the
medians of the time that passes and of processor time, and the ratios to the side that a bound is stated against;
absolute numbers vary between machines, ratios hold better. `--json` prints one object.

What the sides print differs: latebind and `ld.so --list` show everything that each file loads; libtree shows what a
library needs only where it first meets it in a run, and by default leaves out the C library and its like (`-vv` shows
those, too). The loop of `ld.so --list` is timed on a sample of the files and stretched to all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from latebind.elf import read
from latebind.errors import LatebindError

FOLDERS: Final = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec")
LINKER: Final = "/lib64/ld-linux-x86-64.so.2"
COMMAND: Final = str(Path(sys.executable).with_name("latebind"))
QUIET: Final = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def native_files() -> list[str]:
    """Every native dynamic ELF file of the machine, once."""
    found: dict[tuple[int, int], str] = {}
    for top in FOLDERS:
        for folder, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path) and is_native(path):
                    status = os.stat(path)
                    found.setdefault((status.st_dev, status.st_ino), path)
    return sorted(found.values())


def is_native(path: str) -> bool:
    """Whether the file at `path` is a dynamic program or shared object for this machine."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return False
        header, native = read(path).header, read(sys.executable).header
        same = (header.machine, header.elf_class, header.data) == (native.machine, native.elf_class, native.data)
        return same and header.type in {2, 3} and read(path).is_dynamic
    except (LatebindError, OSError):
        return False


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Milliseconds that passed, and of processor time, for `commands` one after the other."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    for command in commands:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env=QUIET,
        )
    passed = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def measure(sides: dict[str, tuple[list[list[str]], float]], runs: int) -> dict[str, dict[str, float]]:
    """Medians of `runs` turns; each side is its commands, and what its time is multiplied by."""
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(runs):
        for side, (commands, factor) in sides.items():
            passed, worked = timed(commands)
            times[side].append((passed * factor, worked * factor))
    return {
        side: {
            "milliseconds": statistics.median(t[0] for t in found),
            "processor_milliseconds": statistics.median(t[1] for t in found),
        }
        for side, found in times.items()
    }


def start_up(runs: int) -> dict[str, dict[str, float]]:
    """The command for one file beside the interpreter that does nothing."""
    return measure(
        {
            "python -c pass": ([[sys.executable, "-c", "pass"]], 1),
            "latebind --version": ([[COMMAND, "--version"]], 1),
            "latebind deps /bin/ls": ([[COMMAND, "deps", "/bin/ls"]], 1),
            "latebind deps --json /bin/ls": ([[COMMAND, "deps", "--json", "/bin/ls"]], 1),
        },
        runs,
    )


def machine(files: list[str], runs: int, sample: int) -> dict[str, dict[str, float]]:
    """All files in one run."""
    some = files[:: max(1, len(files) // sample)]
    sides = {
        "latebind deps": ([[COMMAND, "deps", *files]], 1.0),
        f"ld.so --list ({len(some)} of them)": ([[LINKER, "--list", file] for file in some], len(files) / len(some)),
    }
    if shutil.which("libtree"):
        sides["libtree"] = [["libtree", *files]], 1.0
        sides["libtree -vv"] = [["libtree", "-vv", *files]], 1.0
    return measure(sides, runs)


def show(title: str, sides: dict[str, dict[str, float]], base: str) -> None:
    """Print one table with ratios to `base`."""
    print(title)
    for side, found in sides.items():
        ratios = [found[name] / sides[base][name] for name in ("milliseconds", "processor_milliseconds")]
        print(
            f"  {side:32} {found['milliseconds']:9.1f} ms ×{ratios[0]:<6.2f}"
            f" processor {found['processor_milliseconds']:9.1f} ms ×{ratios[1]:<6.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sample", type=int, default=100, help="files for which ld.so is run")
    options = parser.parse_args()
    files = native_files()
    results: dict[str, Any] = {
        "files": len(files),
        "start-up": start_up(options.runs),
        "machine": machine(files, options.runs, options.sample),
    }
    if options.json:
        print(json.dumps(results))
        return
    show("start-up", results["start-up"], "python -c pass")
    show(
        f"all {len(files)} native dynamic files, each with everything that it loads",
        results["machine"],
        "latebind deps",
    )
    if not shutil.which("libtree"):
        print("  without libtree (Debian package libtree)")


if __name__ == "__main__":
    main()
