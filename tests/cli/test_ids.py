"""The shell completes the ids of plugins: of those around, in an index, installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path


def completions(*words: str, **environment: str) -> list[str]:
    asked = {
        "_LATEBIND_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("latebind", *words)),
        "COMP_CWORD": str(len(words)),
        **environment,
    }
    run = latebind(environment=asked)
    assert run.stderr == ""
    return [line for line in run.stdout.splitlines() if line]


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Two plugins of Python, and a folder that holds none."""
    folder = tmp_path / "plugins"
    for name in ("one", "other"):
        assert latebind("plugin", "new", folder / name, "--id", f"acme.{name}", "-l", "python").returncode == 0
    (folder / "broken").mkdir()
    (folder / "broken" / "plugin.yaml").write_text("id: acme.broken\nversion: [\n")
    return folder


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_plugin_is_a_folder_or_one_of_those_around(plugins: Path, verb: str) -> None:
    assert completions("plugin", verb, "-d", str(plugins), "acme.") == [
        "dir,acme.",
        "plain,acme.one",
        "plain,acme.other",
    ]
    assert completions("plugin", verb, "acme.ot", LATEBIND_PLUGINS=str(plugins)) == ["dir,acme.ot", "plain,acme.other"]
    assert completions("plugin", verb, "-d", f"{plugins}/nowhere", "acme.") == ["dir,acme."]


def test_what_is_removed_is_installed_and_what_is_installed_is_offered(plugins: Path, tmp_path: Path) -> None:
    index, installed = str(tmp_path / "index"), str(tmp_path / "installed")
    assert latebind("plugin", "pack", plugins / "one", index).returncode == 0
    assert completions("plugin", "install", "--index", index, "a") == ["plain,acme.one"]
    assert completions("plugin", "install", "a", LATEBIND_INDEX=f"{index}/nowhere") == []
    assert completions("plugin", "remove", "--dir", installed, "a") == []
    assert latebind("plugin", "install", "--index", index, "--dir", installed, "acme.one").returncode == 0
    assert completions("plugin", "remove", "--dir", installed, "a") == ["plain,acme.one"]
    assert completions("plugin", "remove", "a", LATEBIND_PLUGINS=installed) == ["plain,acme.one"]
    assert completions("plugin", "remove", "--dir", installed, "b") == []


def test_a_broken_index_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{")
    assert os.path.exists(tmp_path / "index.json")
    assert completions("plugin", "install", "--index", str(tmp_path), "a") == []
