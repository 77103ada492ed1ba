"""On a terminal: colours, lines that fit, readable names, a progress bar. In a pipe and in JSON: none of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.command import latebind
from support.terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

ESCAPE = "\x1b["


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def library(cc: Compiler) -> Path:
    """Refers to a C++ function, which nobody defines, and defines another."""
    source = 'extern int made(int) __asm__("_ZN5inner4makeEi") __attribute__((weak));'
    return cc.shared(source + ' int own(void) __asm__("_ZN5outer3getEv"); int own(void) { return made(1); }')


def test_colours_are_for_terminals(library: Path) -> None:
    assert ESCAPE in on_terminal("deps", library)
    assert ESCAPE not in latebind("deps", library).stdout


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_can_ask_for_none(library: Path, environment: dict[str, str]) -> None:
    assert ESCAPE not in on_terminal("deps", library, environment=environment)
    assert ESCAPE in on_terminal("deps", "--color=always", library, environment=environment)


def test_an_empty_no_color_means_nothing(library: Path) -> None:
    assert ESCAPE in on_terminal("deps", library, environment={"NO_COLOR": ""})


def test_the_option_decides(library: Path) -> None:
    assert ESCAPE not in on_terminal("deps", "--color=never", library)
    coloured = latebind("deps", "--color=always", library).stdout
    assert ESCAPE in coloured
    assert plain(coloured) == latebind("deps", library).stdout


@pytest.mark.parametrize("verb", [["deps"], ["deps", "--list"], ["explain"], ["inspect", "--all"], ["audit"]])
def test_lines_fit_the_terminal(verb: list[str]) -> None:
    lines = plain(on_terminal(*verb, "/bin/ls", columns=80)).splitlines()
    assert len(lines) > 4
    assert [line for line in lines if len(line) > 80] == []
    assert any(line.endswith("…") for line in lines)


def test_names_are_readable_on_a_terminal_and_whole_in_a_pipe(library: Path) -> None:
    assert "inner::make(int)" in plain(on_terminal("explain", library, columns=200))
    assert "_ZN5inner4makeEi" in on_terminal("explain", "--no-demangle", library, columns=200)
    assert "_ZN5inner4makeEi" in latebind("explain", library).stdout
    assert "inner::make(int)" in latebind("explain", "--demangle", library).stdout
    assert "outer::get()" in latebind("inspect", "--symbols", "--demangle", library).stdout


@pytest.mark.parametrize("verb", [["explain"], ["inspect", "--symbols"]])
def test_json_holds_the_names_that_the_file_has(library: Path, verb: list[str]) -> None:
    text = latebind(*verb, "--json", "--demangle", "--color=always", library).stdout
    assert "_ZN5inner4makeEi" in text
    assert "inner::make" not in text
    assert ESCAPE not in text


def test_progress_is_drawn_while_many_files_are_read(library: Path) -> None:
    drawn = on_terminal("explain", *["/usr/lib/x86_64-linux-gnu/libstdc++.so.6"] * 20, only_errors=True)
    assert re.search(r"━* +\d+/20 libstdc", drawn)
    assert drawn.endswith("\r\x1b[K")  # and nothing of it stays
    assert on_terminal("explain", *[library] * 3, only_errors=True) == ""


def test_progress_is_no_matter_for_files() -> None:
    run = latebind("deps", "--list", *["/bin/cat"] * 40)
    assert run.stderr == ""
