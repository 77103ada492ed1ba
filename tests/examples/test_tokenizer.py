"""examples/tokenizer, as its README says: build, run, change the separators, reload with the state kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import latebind
from support import needs

EXAMPLE = Path(__file__).parents[2] / "examples" / "tokenizer"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example's sources, in a folder of their own."""
    needs.program("cc", "gcc libc6-dev")
    place = tmp_path / "tokenizer"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("*.so", "acme_*.h", "host_*.h", "__pycache__"))
    return place


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(latebind.__file__).parents[1])}


def build(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "build.py", *flags], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


class Program:
    """host.py, talked to line by line."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "host.py"], cwd=folder, env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def say(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip()

    def end(self) -> str:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        return errors


def test_the_session_of_the_readme(folder: Path) -> None:
    assert build(folder).stdout == "built libacme_tokenizer.so\n"
    program = Program(folder)
    assert program.say("late binding, is simple") == "4 tokens; 1 texts seen"
    assert program.say("a,b c") == "2 tokens; 2 texts seen"
    assert build(folder, r'-DSEPARATORS=" ,.\t\r\n"').returncode == 0
    assert program.say("reload").startswith("reloaded acme.tokenizer 1.4.2: generation 2, calls held ")
    assert program.say("a,b c") == "3 tokens; 3 texts seen"
    (folder / "libacme_tokenizer.so").write_bytes(b"\x7fELF")
    assert program.say("reload").startswith("not reloaded: ")
    assert program.say("a,b") == "2 tokens; 4 texts seen"
    assert program.end() == "[log] the tokenizer is ready\n" * 2


def test_a_source_that_does_not_compile_leaves_the_last_build(folder: Path) -> None:
    build(folder)
    before = (folder / "libacme_tokenizer.so").read_bytes()
    (folder / "tokenizer.c").write_text("nonsense")
    failed = build(folder)
    assert failed.returncode != 0
    assert "tokenizer.c:1" in failed.stderr
    assert (folder / "libacme_tokenizer.so").read_bytes() == before


def test_the_plugin_takes_nothing_from_outside_but_the_logger(folder: Path) -> None:
    build(folder)
    names = {
        s.name
        for s in latebind.read(folder / "libacme_tokenizer.so").symbols
        if s.name and not s.defined and s.binding == 1
    }
    assert names == {"host_logger_info"}
