"""plugin keygen, sign and verify, as an author and an operator use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a plugin in `p`, a key in `key` and its public half in `trust`."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "plugin.toml").write_text('id = "acme.p"\nversion = "1.2.0"\nentry = "work:P"\n')
    (tmp_path / "p" / "work.py").write_text("class P: pass\n")
    made = latebind("plugin", "keygen", tmp_path / "key")
    assert made.returncode == 0, made.stderr
    (tmp_path / "trust").write_text(f"acme.* {made.stdout.strip()} Acme\n")
    return tmp_path


def test_what_is_signed_is_verified_until_it_changes(place: Path) -> None:
    run = latebind("plugin", "sign", "p", "--key", "key", folder=place)
    assert run.returncode == 0, run.stderr
    assert "acme.p 1.2.0, signed by ed25519:" in run.stdout
    run = latebind("plugin", "verify", "p", "--trust", "trust", folder=place)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("acme.p 1.2.0 is as it was signed: 2 files\n  by ed25519:")
    assert run.stdout.endswith("(Acme), trusted for acme.*\n")
    assert "signature: by ed25519:" in latebind("plugin", "show", "p", folder=place).stdout
    (place / "p" / "work.py").write_text("class P: evil = True\n")
    run = latebind("plugin", "verify", "p", "--trust", "trust", folder=place)
    assert run.returncode == 1
    assert "latebind: plugin acme.p: it cannot be trusted\n  work.py has changed" in run.stderr


def test_verify_as_json(place: Path) -> None:
    latebind("plugin", "sign", "p", "--key", "key", folder=place)
    document = json.loads(latebind("plugin", "verify", "--json", "p", "--trust", "trust", folder=place).stdout)
    assert (document["schema"], document["id"], document["comment"]) == (1, "acme.p", "Acme")
    assert sorted(document["files"]) == ["plugin.toml", "work.py"]


def test_a_plugin_without_signature_is_not_verified(place: Path) -> None:
    run = latebind("plugin", "verify", "p", "--trust", "trust", folder=place)
    assert run.returncode == 1
    assert "plugin.sig is missing" in run.stderr


def test_a_key_is_never_overwritten(place: Path) -> None:
    before = (place / "key").read_text()
    run = latebind("plugin", "keygen", place / "key")
    assert run.returncode == 1
    assert "File exists" in run.stderr
    assert (place / "key").read_text() == before


def test_signing_takes_a_key(place: Path) -> None:
    assert latebind("plugin", "sign", "p", folder=place).returncode == 2
    run = latebind("plugin", "sign", "p", "--key", "trust", folder=place)
    assert run.returncode == 1
    assert "trust: holds no private key in PEM; latebind plugin keygen makes one" in run.stderr


def test_show_tells_of_a_broken_signature(place: Path) -> None:
    (place / "p" / "plugin.sig").write_text("{")
    run = latebind("plugin", "show", "p", folder=place)
    assert run.returncode == 0
    assert "signature: broken: line 1: not JSON" in run.stdout
