"""`latebind cache`: what is kept, whether it is whole, and away with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import latebind
from latebind.cli.group import latebind as group

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def library(cc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with a kept plan."""
    monkeypatch.setenv("LATEBIND_CACHE", str(tmp_path / "cache"))
    path = cc.shared("int f(void) { return 1; }", name="libkept.so")
    latebind.load(path, namespace=latebind.Namespace()).close()
    return path


def run(*arguments: str) -> tuple[object, str]:
    result = CliRunner().invoke(group, ["cache", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout


def test_list_names_library_objects_and_state(library: Path) -> None:
    status, text = run("list")
    assert status == 0
    assert f"{library}  objects 1, " in text
    assert text.splitlines()[-1].endswith("plans: 1 good")


def test_the_document_says_the_same(library: Path) -> None:
    document = json.loads(run("list", "--json")[1])
    (row,) = document["plans"]
    assert document["schema"] == 1
    assert (row["library"], row["objects"], row["state"], row["why"]) == (str(library), 1, "good", None)


def test_verify_tells_what_is_stale_and_that_is_no_fault(library: Path) -> None:
    library.write_bytes(library.read_bytes() + b" ")
    status, text = run("verify")
    assert status == 0
    assert f"{library}: stale: {library} is not as it was" in text


@pytest.mark.usefixtures("library")
def test_verify_fails_where_one_is_damaged(tmp_path: Path) -> None:
    (kept,) = (tmp_path / "cache" / "plans").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    status, text = run("verify")
    assert status == 1
    assert f"{kept}: damaged: " in text


@pytest.mark.usefixtures("library")
def test_clear_removes_them() -> None:
    assert run("clear")[1].startswith("1 plan removed from ")
    assert run("list")[1].endswith("plans: no plans\n")


def test_without_a_folder_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATEBIND_CACHE", "off")
    with pytest.raises(Exception, match="no plans are kept"):
        run("list")
