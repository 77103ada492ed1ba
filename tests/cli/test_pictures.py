"""deps and explain as pictures and pages, and the manual page."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.cli.group import VERBS
from support import needs
from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path


def test_dot_is_what_graphviz_reads() -> None:
    lines = latebind("deps", "--dot", "/bin/cat").stdout.splitlines()
    assert lines[0] == "digraph dependencies {"
    assert lines[-1] == "}"
    assert any('label="libc.so.6"' in line for line in lines)
    assert "  n0 -> n1;" in lines


def test_svg_goes_into_a_file_or_to_standard_output(tmp_path: Path) -> None:
    picture = tmp_path / "cat.svg"
    run = latebind("deps", "--svg", picture, "/bin/cat")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert latebind("deps", "--svg", "-", "/bin/cat").stdout == picture.read_text(encoding="utf-8")
    assert ">libc.so.6</text>" in picture.read_text(encoding="utf-8")


def test_a_page_of_deps_has_all_bindings_and_one_of_explain_those_that_it_would_print(tmp_path: Path) -> None:
    for verb, more in (("deps", []), ("explain", ["malloc"])):
        assert latebind(verb, "--html", tmp_path / f"{verb}.html", "/bin/cat", *more).stdout == ""
    pages = [(tmp_path / f"{verb}.html").read_text(encoding="utf-8") for verb in ("deps", "explain")]
    assert all(page.startswith("<!doctype html>") for page in pages)
    assert ['"free"' in page for page in pages] == [True, False]
    assert all('"malloc"' in page for page in pages)


@pytest.mark.parametrize("arguments", [["deps", "--svg"], ["deps", "--html"], ["explain", "--html"]])
def test_a_picture_is_of_one_file(tmp_path: Path, arguments: list[str]) -> None:
    run = latebind(*arguments, tmp_path / "x", "/bin/cat", "/bin/ls")
    assert run.returncode == 2
    assert "one FILE" in run.stderr


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = latebind("deps", "--svg", tmp_path / "no" / "x.svg", "/bin/cat")
    assert run.returncode == 1
    assert "x.svg" in run.stderr


def test_the_manual_page_is_well_formed_and_names_every_verb(tmp_path: Path) -> None:
    page = tmp_path / "latebind.1"
    page.write_text(latebind("man").stdout, encoding="ascii")
    groff = needs.program("groff", "groff")
    checked = subprocess.run([groff, "-man", "-ww", "-z", page], capture_output=True, text=True, check=True)
    assert checked.stderr == ""
    plain = subprocess.run([groff, "-man", "-Tascii", "-P-cbu", page], capture_output=True, text=True, check=True)
    shown = plain.stdout
    for verb in VERBS:
        assert f"latebind {verb}" in shown
    assert "\n       --allow CAPABILITY\n" in shown


def test_the_shell_completes_the_verbs_and_their_options() -> None:
    def completions(*words: str) -> list[str]:
        environment = {
            "_LATEBIND_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("latebind", *words)),
            "COMP_CWORD": str(len(words)),
        }
        return [line.partition(",")[2] for line in latebind(environment=environment).stdout.splitlines()]

    assert {"audit", "abi"} <= set(completions("a"))
    assert {"--html", "--svg"} <= set(completions("deps", "--"))
    assert completions("deps", "--color", "a") == ["auto", "always"]
    assert shutil.which("bash") is None or "complete" in latebind("completion", "bash").stdout
