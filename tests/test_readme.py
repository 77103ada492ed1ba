"""The pages are true: their console sessions and Python programs run, in order, and answer what the page says.

`…` in an expected output stands for anything, and on a line of its own for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs
from support.command import PROGRAM

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/contracts.md", "docs/linker.md", "docs/plugins.md", "docs/running.md")


def blocks(language: str, page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def sessions(block: str) -> list[tuple[str, str, str]]:
    """(command, input, expected output) for each `$ command` of a console block; `> ` lines are its input."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, rest = part.partition("\n")
        lines = rest.splitlines(keepends=True)
        typed = "".join(line[2:] for line in lines if line.startswith("> "))
        expected = "".join(line for line in lines if not line.startswith("> "))
        found.append((command, typed, expected))
    return found


def pattern(expected: str) -> str:
    """The regular expression for an expected output."""
    lines = expected.splitlines()
    return "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines)


def run(command: list[str], folder: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "LATEBIND_CACHE": str(folder / ".cache")}
    return subprocess.run(
        command, cwd=folder, env=environment, input=text, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    """Where each page's console blocks have been run."""
    return {}


def folder_of(page: str, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole page, where the console blocks have been run, so that later ones find their files."""
    if page in folders:
        return folders[page]
    needs.program("make", "make")
    needs.program("cc", "gcc libc6-dev")
    needs.program("gdb", "gdb")
    made = folders[page] = tmp_path_factory.mktemp("page")
    wrong = []
    for block in blocks("console", page):
        for command, typed, expected in sessions(block):
            answer = run(["bash", "-c", command], made, typed)
            if answer.returncode or not re.fullmatch(pattern(expected), answer.stdout):
                wrong.append(f"$ {command}\nexpected:\n{expected}\nexit {answer.returncode}:\n{answer.stdout}")
    assert wrong == []
    return made


@pytest.mark.parametrize("page", PAGES)
def test_the_console_sessions_answer_what_the_page_says(
    page: str, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(page, folders, tmp_path_factory)
    assert any(folder.iterdir())  # and nothing was wrong on the way


@pytest.mark.parametrize(("page", "program"), [(page, program) for page in PAGES for program in blocks("python", page)])
def test_the_python_programs_run(
    page: str, program: str, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(page, folders, tmp_path_factory)
    answer = run([sys.executable, "-W", "error", "-c", program], folder)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("page", "sessions_", "programs"),
    [
        ("README.md", 4, 4),
        ("docs/contracts.md", 1, 4),
        ("docs/linker.md", 3, 3),
        ("docs/plugins.md", 12, 0),
        ("docs/running.md", 1, 5),
    ],
)
def test_both_kinds_are_there(page: str, sessions_: int, programs: int) -> None:
    assert len(blocks("console", page)) >= sessions_
    assert len(blocks("python", page)) >= programs


def test_an_extension_system_takes_ten_lines(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = next(p for p in blocks("python", "README.md") if "host.discover" in p)
    assert len([line for line in program.splitlines() if line.strip()]) == 10
    folder = folder_of("README.md", folders, tmp_path_factory)
    assert run([sys.executable, "-c", program], folder).stdout == "Hello, world\n"
