"""`campaign.py FOLDER`: 100,000 damaged libraries, all planned and a part loaded; goes on where it stopped.

The work is cut into batches, each a run of flips.py with a seed of its own, and so the same whenever it is run. What
came of a batch is kept in FOLDER, below a name for the code and the files that it came of; a batch that is there is not
run again, so that a campaign may be stopped at any time, and several may run at once: each batch is locked by whoever
runs it. Prints a line for each finding and, at the end, how
many files were planned or loaded, refused, and ended by their own code; the exit status is 1 if there was a finding.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from cases import CASES  # type: ignore[import-not-found]  # beside this program

import latebind
from latebind import NotFound, plan
from support import needs
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KINDS: Final = ("tls", "tls-static", "tls-descriptor", "ifunc", "plain", "lazy", "textrel", "c++")
REAL: Final = ("libz.so.1", "libexpat.so.1", "libgomp.so.1", "libsqlite3.so.0", "libstdc++.so.6", "libssl.so.3")
BATCH: Final = {"plan": 2000, "load": 500}
PATIENCE: Final = 3600  # seconds, for a batch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some damaged files: how many were planned or loaded, refused, and ended by their own code."""

    well: int
    refused: int
    ended: int
    finding: str = ""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.well + other.well, self.refused + other.refused, self.ended + other.ended)

    @property
    def count(self) -> int:
        """Of files."""
        return self.well + self.refused + self.ended


def package() -> list[Path]:
    """The files of latebind."""
    folder = Path(latebind.__file__).parent
    return sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".so"})


def digest(paths: Iterable[Path]) -> str:
    """A name for what the files at `paths` say."""
    found = hashlib.sha256()
    for path in paths:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


class Campaign:
    """Batches of damaged copies of `paths`, kept in `folder`."""

    def __init__(self, folder: Path, real: Sequence[str] = REAL) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.crash, self.paths = self._prepare(real)
        self.outcomes = folder / digest([*map(Path, self.paths), *sorted(HERE.glob("*.py")), *package()])
        self.outcomes.mkdir(exist_ok=True)

    def _prepare(self, real: Sequence[str]) -> tuple[Path, list[str]]:
        """crash.c and the small libraries compiled, if they are not there yet; the machine's own found."""
        crash, paths = self.folder / "crash.so", []
        for kind in KINDS:
            path = self.folder / kind / "libcase.so"
            if not path.exists():
                CASES[kind].prepare(Compiler(path.parent))
            paths.append(str(path))
        for name in real:
            try:
                paths.append(plan(name).root.path)
            except NotFound:
                continue  # a machine without it has the others
        if not crash.exists():
            compiler = needs.program("cc", "gcc libc6-dev")
            options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra"]
            subprocess.run([compiler, *options, "-o", str(crash), str(HERE / "crash.c")], check=True)
        return crash, paths

    def batch(self, what: str, size: int, seed: int) -> Outcome | None:
        """One batch, run unless its outcome is kept; None: another campaign is at it."""
        kept = self.outcomes / f"{what}-{size}-{seed}.json"
        with kept.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            if not kept.exists():
                found = self._run(what, size, seed)
                new = kept.with_suffix(".new")
                new.write_text(json.dumps([found.well, found.refused, found.ended, found.finding]))
                new.replace(kept)
            return Outcome(*json.loads(kept.read_text()))

    def _run(self, what: str, size: int, seed: int) -> Outcome:
        program = [sys.executable, "-X", "faulthandler", str(HERE / "flips.py"), what, str(size), str(seed)]
        try:
            done = subprocess.run(
                [*program, str(self.crash), *self.paths], capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return Outcome(0, 0, 0, f"{what}, seed {seed}: no end within {PATIENCE} s")
        if done.returncode != 0:
            return Outcome(0, 0, 0, f"{what}, seed {seed}: status {done.returncode}\n{done.stderr[-3000:]}")
        well, refused, ended = map(int, done.stdout.split())
        return Outcome(well, refused, ended)

    def all(self, what: str, total: int, seed: int, jobs: int) -> Iterator[Outcome]:
        """Batches until `total` files were damaged; those that another campaign runs are left to it."""
        batches = -(-total // BATCH[what])
        sizes = [min(BATCH[what], total - BATCH[what] * number) for number in range(batches)]
        with ThreadPoolExecutor(jobs) as pool:
            done = pool.map(self.batch, repeat(what), sizes, count(seed * 1_000_000))
            yield from (outcome for outcome in done if outcome is not None)


def main() -> int:
    """Plan, then load; 0: no finding."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plans", type=int, default=100_000, help="how many damaged files to plan")
    parser.add_argument("--loads", type=int, default=10_000, help="and how many to load, each in a child")
    parser.add_argument("--seed", type=int, default=1, help="of the whole campaign")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="batches at once")
    options = parser.parse_args()
    campaign, findings = Campaign(options.folder), 0
    for what, total, verb in (("plan", options.plans, "planned"), ("load", options.loads, "loaded")):
        all_of_them = Outcome(0, 0, 0)
        for outcome in campaign.all(what, total, options.seed, options.jobs):
            all_of_them += outcome
            if outcome.finding:
                findings += 1
                print(f"finding: {outcome.finding}", flush=True)
        print(
            f"{all_of_them.count} damaged files: {all_of_them.well} {verb}, {all_of_them.refused} refused,"
            f" {all_of_them.ended} ended by their own code",
            flush=True,
        )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
