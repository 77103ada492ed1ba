"""abi: text, JSON and exit status."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import needs
from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def builds(cc: Compiler) -> tuple[Path, Path]:
    """The second build lost a function, got one, and takes another type; both have debug information."""
    old = cc.shared("int keep(int a) { return a; } void gone(void) {}", name="old.so", flags=["-g"])
    new = cc.shared("int keep(long a) { return a; } void more(void) {}", name="new.so", flags=["-g"])
    return old, new


def test_the_report_says_what_breaks_and_which_version_it_needs(builds: tuple[Path, Path]) -> None:
    run = latebind("abi", *builds)
    assert run.returncode == 1
    assert run.stderr == ""
    assert run.stdout.splitlines()[1:] == [
        "  removed: 1",
        "    gone  FUNC   ← breaks",
        "  changed in signature: 1",
        "    keep: int (int) → int (long)   ← breaks",
        "  added: 1",
        "    more  FUNC",
        "  needs a new major version: what was linked with the old one may fail",
    ]


def test_json(builds: tuple[Path, Path]) -> None:
    found = json.loads(latebind("abi", "--json", *builds).stdout)
    assert (found["schema"], found["breaks"], found["bump"], found["declarations_compared"]) == (1, True, "major", True)
    assert {"kind": "removed", "what": "gone", "before": "FUNC", "after": None, "breaks": True} in found["changes"]


def test_symbols_alone(builds: tuple[Path, Path]) -> None:
    found = json.loads(latebind("abi", "--json", "--symbols-only", *builds).stdout)
    assert [c["kind"] for c in found["changes"]] == ["removed", "added"]


def test_debug_information_in_separate_files(builds: tuple[Path, Path], tmp_path: Path) -> None:
    objcopy = needs.program("objcopy", "binutils")
    options: list[str | Path] = []
    for side, path in zip(("old", "new"), builds, strict=True):
        debug = tmp_path / f"{side}.debug"
        shutil.copy(path, debug)
        subprocess.run([objcopy, "--strip-debug", str(path)], check=True)
        options += [f"--debug-{side}", debug]
    bare = latebind("abi", *builds)
    assert "old.so has no debug information" in bare.stderr
    assert "signature" not in bare.stdout
    assert "keep: int (int) → int (long)" in latebind("abi", *options, *builds).stdout


def test_the_same_file_is_a_patch(builds: tuple[Path, Path]) -> None:
    run = latebind("abi", builds[0], builds[0])
    assert run.returncode == 0
    assert run.stdout.splitlines()[1:] == ["  a patch version will do: the interface is the same"]


def test_readable_names(cc: Compiler) -> None:
    old = cc.shared('int f(void) __asm__("_ZN1a1fEv"); int f(void) { return 1; }', name="old.so")
    new = cc.shared("", name="new.so")
    assert "a::f()" in latebind("abi", "--demangle", old, new).stdout
    assert "_ZN1a1fEv" in latebind("abi", old, new).stdout
    assert "a::f()" not in latebind("abi", "--json", "--demangle", old, new).stdout
