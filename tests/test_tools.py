"""tools/make-venv: an environment, or one clear sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

MAKE_VENV = Path(__file__).parent.parent / "tools" / "make-venv"


def fake_python(folder: Path, *refuses: str) -> str:
    """A python3 that records its arguments and fails wherever one of them contains a word of `refuses`."""
    script = folder / "python3"
    tests = "".join(f'case "$*" in *{word}*) exit 1;; esac\n' for word in refuses)
    script.write_text(
        f'#!/bin/sh\necho "$@" >>"{folder}/calls"\n{tests}[ "$1" = --version ] && echo Python 3.9\nexit 0\n'
    )
    script.chmod(0o755)
    return str(script)


def make_venv(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(MAKE_VENV), python, str(folder / "venv")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})


def test_virtualenv_stands_in_where_ensurepip_is_missing(tmp_path: Path) -> None:
    run = make_venv(fake_python(tmp_path, "ensurepip"), tmp_path)
    assert run.returncode == 0
    assert (tmp_path / "calls").read_text().splitlines()[-1] == f"-m virtualenv --quiet {tmp_path}/venv"


@pytest.mark.parametrize(("refuses", "message"), [
    (["ensurepip", "virtualenv"], "apt install python3-venv"),
    (["version_info"], "latebind needs Python 3.11 or newer"),
])  # fmt: skip
def test_what_is_missing_is_named(tmp_path: Path, refuses: list[str], message: str) -> None:
    run = make_venv(fake_python(tmp_path, *refuses), tmp_path)
    assert run.returncode == 1
    assert message in run.stderr


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "/nowhere/python3 was not found" in make_venv("/nowhere/python3", tmp_path).stderr
