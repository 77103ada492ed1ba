"""The fuzz targets themselves: every seed is read, and a short run of each finds nothing; `make fuzz` runs longer."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import needs

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
CORE = HERE.parent.parent / "src" / "core"


def load(name: str) -> ModuleType:
    """The program tests/fuzz/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


target, tools, seeds = load("elf_target"), load("tools_target"), load("seeds")
SEEDS: dict[str, bytes] = dict(seeds.elf_seeds())


@pytest.mark.parametrize("name", SEEDS)
def test_every_seed_is_read(name: str) -> None:
    with target.harness.Limit():
        target._read(SEEDS[name])  # nothing about it is malformed
    for action in range(len(tools.ACTIONS)):
        tools.test_one_input(bytes([action]) + SEEDS[name])


def test_every_action_has_its_seeds() -> None:
    assert len(tools.ACTIONS) == seeds._ACTIONS


def test_the_seeds_hold_every_kind_of_table() -> None:
    from latebind.elf import read

    elves = [read(data) for data in SEEDS.values() if not data.startswith(b"!<arch>")]
    missing = [q for q in target.QUESTIONS if q not in {"interpreter", "package", "section_notes"}]
    for elf in elves:
        missing = [q for q in missing if not _has(elf, q)]
    assert missing == []


def _has(elf: object, question: str) -> bool:
    from latebind import MalformedElf

    try:
        return bool(getattr(elf, question))
    except MalformedElf:
        return False


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_answered_or_diagnosed(seed: int) -> None:
    dice = random.Random(seed)
    files = sorted(SEEDS.values(), key=len)[:-2]  # without the large ones
    for _ in range(250):
        data = bytearray(dice.choice(files))
        target.harness.mutate(data, dice)
        target.test_one_input(bytes(data))


@pytest.mark.parametrize("seed", range(2))
def test_mutated_files_are_shown_by_every_tool_and_planned(seed: int) -> None:
    dice = random.Random(seed)
    files = sorted(SEEDS.values(), key=len)[:-2]
    for _ in range(20):
        data = bytearray(dice.choice(files))
        tools.harness.mutate(data, dice)
        for action in range(len(tools.ACTIONS)):
            tools.test_one_input(bytes([action]) + data)


CORE_TARGETS = {
    "match": ("match", ["match.c", "many.c", "references.c", "bindings.c", "layout.c"]),
    "summary": ("elf", ["summary.c", "folders.c"]),
}
"""Target → the corpus that it starts from, and the core's files that it reads with."""


@pytest.mark.parametrize("target", CORE_TARGETS)
def test_the_core_under_sanitizers(target: str, tmp_path: Path) -> None:
    corpus, sources = CORE_TARGETS[target]
    flags = ["-std=gnu11", "-O1", "-g", f"-I{CORE}", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    cc, objects = needs.program("cc", "gcc"), []
    for source in (*(CORE / name for name in sources), HERE / f"{target}_target.c"):
        objects.append(str(tmp_path / f"{source.stem}.o"))
        command = [cc, *flags, "-fsanitize-coverage=trace-pc", "-c", "-o", objects[-1], str(source)]
        subprocess.run(command, check=True)
    program = tmp_path / "fuzzer"
    subprocess.run([cc, *flags, "-o", str(program), *objects, str(HERE / "driver.c")], check=True)
    subprocess.run([sys.executable, str(HERE / "seeds.py"), str(tmp_path)], check=True)
    command = [str(program), str(tmp_path / corpus), "0", "20000", str(tmp_path / "finding")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "no finding" in run.stdout
