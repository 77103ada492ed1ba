"""Damaged libraries: a plan or an error, never a crash of the linker; how it is told stands in flips.py and crash.c."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES  # type: ignore[import-not-found]  # beside this test

from latebind import NotFound, plan
from support import needs
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
KINDS = ("tls", "tls-static", "tls-descriptor", "ifunc", "plain", "lazy", "textrel", "c++")
REAL = ("libz.so.1", "libexpat.so.1", "libgomp.so.1", "libsqlite3.so.0")


def flips(cc: Compiler, what: str, count: int, seed: int, real: Sequence[str] = ()) -> tuple[int, int, int]:
    """(loaded or planned, refused, ended by the library's own code) of `count` damaged files."""
    crash, paths = cc.folder / "crash.so", []
    compiler = needs.program("cc", "gcc libc6-dev")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", str(crash), str(HERE / "crash.c")]
    subprocess.run(command, check=True)
    for kind in KINDS:
        CASES[kind].prepare(Compiler(cc.folder / kind))
        paths.append(str(cc.folder / kind / "libcase.so"))
    for name in real:
        try:
            paths.append(plan(name).root.path)
        except NotFound:
            continue  # a machine without it has the others
    program = [sys.executable, "-X", "faulthandler", str(HERE / "flips.py"), what, str(count), str(seed), str(crash)]
    done = subprocess.run([*program, *paths], capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr[-3000:]
    well, refused, ended = map(int, done.stdout.split())
    assert well + refused + ended == count
    return well, refused, ended


@pytest.mark.parametrize("what", ["plan", "load"])
def test_damage_is_refused_or_harmless(cc: Compiler, what: str) -> None:
    well, refused, _ = flips(cc, what, {"plan": 600, "load": 200}[what], 1)
    assert well > 0
    assert refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_a_hundred_thousand_plans_of_damaged_files(cc: Compiler, seed: int) -> None:
    well, refused, _ = flips(cc, "plan", 25_000, seed, REAL)
    assert well > 1000
    assert refused > 1000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 10))
def test_loads_of_damaged_files(cc: Compiler, seed: int) -> None:
    well, refused, _ = flips(cc, "load", 4000, seed, REAL)
    assert well > 400
    assert refused > 400
