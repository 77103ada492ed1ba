"""Start-up stays near the interpreter's own: what is not needed for a verb is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"pycparser", "msgspec", "yaml", "ctypes", "json", "latebind.linker", "latebind.linkplan", "latebind.plugin"}


def imported_by(*arguments: str) -> set[str]:
    """Which modules of interest are there after the command line ran."""
    code = (
        "import sys\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "from latebind.cli import main\n"
        "main()\n"
        "print('modules:', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_the_version_needs_not_even_click() -> None:
    assert imported_by("--version") & (HEAVY | {"click", "typing", "dataclasses"}) == set()


def test_the_command_itself_adds_next_to_nothing_to_the_interpreter() -> None:
    """The installed script, as a person calls it: no module that the bare interpreter does not have, but our own."""
    script = Path(sys.executable).with_name("latebind")
    timed = [sys.executable, "-X", "importtime"]
    ours = subprocess.run([*timed, script, "--version"], capture_output=True, text=True, check=True)
    bare = subprocess.run([*timed, "-c", "pass"], capture_output=True, text=True, check=True)

    def modules(log: str) -> set[str]:
        return {line.rpartition("|")[2].strip() for line in log.splitlines()}

    assert modules(ours.stderr) - modules(bare.stderr) == {"__future__", "latebind", "latebind.cli"}


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "--help"], ["deps", "--help"], ["inspect", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) & HEAVY - {"json"} == set()


@pytest.mark.parametrize("arguments", [["deps"], ["inspect"], ["explain"]])
def test_pictures_and_disassemblers_are_imported_by_those_who_draw_and_disassemble(arguments: list[str]) -> None:
    late = {"capstone", "elftools", "ctypes", "shutil", "latebind.sandbox"}
    late |= {f"latebind.view.{name}" for name in ("audit", "abi", "demangle", "draw", "graph", "report", "rustname")}
    assert imported_by(*arguments, "/bin/ls") & late == set()


def test_reading_a_file_needs_no_linker() -> None:
    assert imported_by("deps", "/bin/ls") & {"latebind.linker", "latebind.ffi", "pycparser", "msgspec"} == set()
