"""`latebind inspect` beyond shared objects: archives, relocatable files, a process's memory, the less common tables."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import needs
from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

SOURCE = """
extern int puts(const char *);
volatile int done;
__attribute__((constructor)) void begin(void) { done = puts("x"); }
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "part.c").write_text("extern int other(void); int part(void) { return other(); }")
    subprocess.run([needs.program("cc", "gcc"), "-c", "part.c"], cwd=tmp_path, check=True)
    subprocess.run([needs.program("ar", "binutils"), "qcs", "libpart.a", "part.o"], cwd=tmp_path, check=True)
    return tmp_path / "libpart.a"


def test_an_archive_lists_its_members(archive: Path) -> None:
    run = latebind("inspect", archive)
    assert run.returncode == 0
    assert "static archive, 1 members" in run.stdout
    assert "part.o" in run.stdout
    document = json.loads(latebind("inspect", "--json", archive).stdout)
    assert [m["name"] for m in document["members"]] == ["part.o"]
    assert [s["name"] for s in document["symbols"]] == ["part"]


def test_one_member_is_inspected_by_name(archive: Path) -> None:
    run = latebind("inspect", "--section-relocations", "--static-symbols", f"{archive}(part.o)")
    assert run.returncode == 0
    assert "R_X86_64_PLT32" in run.stdout
    assert ".text" in run.stdout
    whole = latebind("inspect", "--section-relocations", archive)
    assert "R_X86_64_PLT32" in whole.stdout


def test_a_member_that_is_not_there_is_a_finding(archive: Path) -> None:
    run = latebind("inspect", f"{archive}(none.o)")
    assert run.returncode == 1
    assert "no member 'none.o'" in run.stderr


def test_the_less_common_tables_are_shown(cc: Compiler) -> None:
    path = cc.shared(SOURCE, flags=["-Wl,-z,lazy", "-fcf-protection=none"])
    text = latebind("inspect", "--hash", "--init", "--got", "--plt", "--notes", path).stdout
    assert "GNU_HASH" in text
    assert "begin" in text
    assert "R_X86_64_JUMP_SLOT" in text
    assert "BUILD_ID" in text
    document = json.loads(latebind("inspect", "--json", "--all", path).stdout)
    assert [e["name"].partition("@")[0] for e in document["plt"] if e["section"] == ".plt"] == ["puts"]
    assert document["hash"][0]["kind"] == "GNU_HASH"
    assert document["core"] is None


def test_the_objects_of_a_process_are_listed_and_read() -> None:
    listed = latebind("inspect", "--pid", str(os.getpid()))
    assert listed.returncode == 0
    assert "libc.so.6" in listed.stdout
    one = latebind("inspect", "--pid", str(os.getpid()), "libc.so.6", "--header")
    assert "soname: libc.so.6" in one.stdout
    objects = json.loads(latebind("inspect", "--json", "--pid", str(os.getpid())).stdout)["objects"]
    (vdso,) = [o for o in objects if o["path"] == "[vdso]"]
    by_address = latebind("inspect", "--pid", str(os.getpid()), hex(vdso["start"]), "--symbols")
    assert "time" in by_address.stdout


def test_a_process_or_an_object_that_is_not_there_is_a_finding() -> None:
    assert latebind("inspect", "--pid", str(2**22 - 1)).returncode == 1
    run = latebind("inspect", "--pid", str(os.getpid()), "libnone.so")
    assert run.returncode == 1
    assert "libnone.so: not found" in run.stderr


def test_without_a_file_it_is_a_usage_error() -> None:
    run = latebind("inspect")
    assert run.returncode == 2
    assert "Missing argument 'FILE...'" in run.stderr
