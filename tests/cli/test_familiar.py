"""nm, objdump and ldd as verbs: their options, several files, the exit status and messages of the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.command import latebind
from support.reference import reference

if TYPE_CHECKING:
    from pathlib import Path

LIBM = "/lib/x86_64-linux-gnu/libm.so.6"


@pytest.mark.parametrize("arguments", [["nm", "-D"], ["nm", "-DgS"], ["objdump", "-T"], ["objdump", "-R", "-p"]])
def test_the_answer_of_the_real_tool(arguments: list[str], tmp_path: Path) -> None:
    tool, *options = arguments
    files = [LIBM, str(tmp_path / "absent"), "/bin/ls"]
    wanted = reference(tool, "binutils", *options, *files)
    run = latebind(tool, *options, *files)
    assert (run.stdout, run.stderr, run.returncode) == wanted


def test_ldd_counts_what_it_cannot_answer(tmp_path: Path) -> None:
    run = latebind("ldd", "/bin/ls", tmp_path / "absent")
    assert run.returncode == 1
    assert "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x" in run.stdout
    assert run.stderr == f"ldd: {tmp_path}/absent: No such file or directory\n"


def test_without_anything_to_do_they_say_how_to_ask() -> None:
    assert latebind("ldd").stderr == "ldd: missing file arguments\nTry `ldd --help' for more information.\n"
    run = latebind("objdump", LIBM)
    assert run.returncode == 2
    assert run.stderr.startswith("Usage: latebind objdump OPTION")
