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


def imported_by_the_command(*arguments: str) -> set[str]:
    """All modules that the installed script imports, beyond the bare interpreter's."""
    script = Path(sys.executable).with_name("latebind")
    timed = [sys.executable, "-X", "importtime"]
    ours = subprocess.run([*timed, script, *arguments], capture_output=True, text=True, check=True)
    bare = subprocess.run([*timed, "-c", "pass"], capture_output=True, text=True, check=True)

    def modules(log: str) -> set[str]:
        return {line.rpartition("|")[2].strip() for line in log.splitlines()}

    return modules(ours.stderr) - modules(bare.stderr)


def test_the_command_itself_adds_next_to_nothing_to_the_interpreter() -> None:
    """The installed script, as a person calls it: no module that the bare interpreter does not have, but our own."""
    assert imported_by_the_command("--version") == {"__future__", "latebind", "latebind.cli"}


@pytest.mark.parametrize("style", ["--tree", "--list", "--json"])
def test_deps_in_its_plain_form_needs_nothing_of_the_standard_library_but_struct(style: str) -> None:
    """And JSON needs json. Each of enum, re, typing, dataclasses and click takes longer than the answer."""
    others = {name for name in imported_by_the_command("deps", style, "/bin/ls") if not name.startswith("latebind")}
    if style == "--json":
        assert "json" in others
        assert others & {"typing", "dataclasses", "inspect", "click", "importlib", "contextlib"} == set()
    else:
        assert others == {"__future__", "gc", "struct", "_struct"}


def test_deps_in_its_plain_form_reads_summaries_alone() -> None:
    own = {name for name in imported_by_the_command("deps", "/bin/ls") if name.startswith("latebind.")}
    assert not {name for name in own if name.startswith(("latebind.elf.", "latebind.linkplan"))} - {
        "latebind.elf.summary", "latebind.elf.numbers",
    }  # fmt: skip


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
