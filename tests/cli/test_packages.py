"""plugin pack, search, install, list and remove on a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path


def test_from_pack_to_remove(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "plugin.toml").write_text(
        'id = "acme.p"\nversion = "1.2.0"\nentry = "work:P"\nsummary = "Tries"\n'
    )
    (tmp_path / "p" / "work.py").write_text("class P: pass\n")
    assert latebind("plugin", "pack", "p", "index", folder=tmp_path).returncode == 0
    found = latebind("plugin", "search", "tries", "--index", "index", folder=tmp_path)
    assert [line.split() for line in found.stdout.splitlines()[1:]] == [["acme.p", "1.2.0", "Tries"]]
    run = latebind("plugin", "install", "acme.p", "--index", "index", "--dir", "in", folder=tmp_path)
    assert (run.returncode, run.stdout) == (0, f"acme.p 1.2.0: {tmp_path}/in/acme.p-1.2.0\n")
    assert "acme.p" in latebind("plugin", "list", "in", folder=tmp_path).stdout
    run = latebind("plugin", "remove", "acme.p", "--dir", "in", folder=tmp_path)
    assert (run.returncode, run.stdout) == (0, "removed in/acme.p-1.2.0\n")
    assert latebind("plugin", "remove", "acme.p", "--dir", "in", folder=tmp_path).returncode == 1


def test_a_wrong_range_and_a_missing_index_are_usage_errors(tmp_path: Path) -> None:
    run = latebind("plugin", "install", "acme.p", "--index", tmp_path, "--dir", tmp_path, "--version", "one")
    assert run.returncode == 2
    run = latebind("plugin", "search", folder=tmp_path)
    assert (run.returncode, "--index" in run.stderr) == (2, True)
