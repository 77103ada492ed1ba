"""`latebind ldd` beside glibc's ldd: the same lines but for the addresses, messages and exit status."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from latebind.compat.ldd import ldd
from support.compiler import Compiler
from support.reference import Answer, ours, reference

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = re.compile(r"\(0x[0-9a-f]{16}\)")


def both(*files: str | Path, folder: Path | None = None) -> tuple[Answer, Answer]:
    """Both answers for `files`, seen from `folder`, with the addresses made equal."""
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        answer = ours("ldd", lambda output: ldd([str(file) for file in files], output, os.environ))
    finally:
        os.chdir(before)
    wanted = reference("ldd", "libc-bin", *files, folder=folder)
    return plain(answer), plain(wanted)


def plain(answer: Answer) -> Answer:
    return answer._replace(out=ADDRESS.sub("(ADDRESS)", answer.out))


def test_every_kind_of_file(sample: Path) -> None:
    if sample.name == "cut":  # ld.so crashes on it, and ldd reports the number of the signal: we do not
        assert ours("ldd", lambda output: ldd([str(sample)], output, {})).errors == "\tnot a dynamic executable\n"
        return
    answer, wanted = both(sample)
    assert answer == wanted


@pytest.mark.parametrize("path", ["/bin/ls", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"])
def test_files_of_the_system(path: str) -> None:
    answer, wanted = both(path)
    assert answer == wanted


def test_the_versions_that_objects_need(samples: Path) -> None:
    files = [str(samples / "program"), "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", str(samples / "static")]
    answer = plain(ours("ldd", lambda output: ldd(files, output, os.environ, verbose=True)))
    wanted = plain(reference("ldd", "libc-bin", "-v", *files))
    assert answer == wanted


def test_several_files_at_once(samples: Path) -> None:
    answer, wanted = both("program", "absent", "./libsample.so", "/bin/ls", folder=samples)
    assert answer == wanted


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `top` needs libmiddle.so and libgone.so; libmiddle.so needs libgone.so and libend.so."""
    here = tmp_path_factory.mktemp("built")
    cc = Compiler(here)
    own = ["-nostdlib", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", f"-L{here}"]
    gone = cc.shared("int gone(void) { return 1; }", name="libgone.so", flags=["-nostdlib"])
    cc.shared("int end(void) { return 1; }", name="libend.so", flags=["-Wl,-soname,libend.so"])
    cc.shared("int middle(void) { return 1; }", name="libmiddle.so", flags=[*own, "-lgone", "-lend"])
    cc.program("int main(void) { return 0; }", name="top", flags=[*own[1:], "-lmiddle", "-lgone"])
    cc.shared("int bare(void) { return 1; }", name="bare.so", flags=["-nostdlib"])
    cc.shared("int two(void) { return 1; }", name="two.so", flags=[*own, "-l:bare.so", "-lgone"])
    gone.unlink()
    return here


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of these files to change."""
    return shutil.copytree(built, tmp_path / "copy")


@pytest.mark.parametrize("name", ["top", "./top", "libmiddle.so", "bare.so", "two.so"])
def test_missing_libraries_stand_where_they_were_looked_for(folder: Path, name: str) -> None:
    answer, wanted = both(name, folder=folder)
    assert answer == wanted


def test_an_origin_is_the_folder_that_the_file_was_named_in(folder: Path) -> None:
    (folder / "link").mkdir()
    (folder / "link" / "top").symlink_to(folder / "top")
    answer, wanted = both(folder / "link" / "top")
    assert answer == wanted
    assert "libmiddle.so => not found" in answer.out


@pytest.mark.parametrize("script", ["V2 { global: f; };", "V1 { global: g; };", ""])
def test_versions_that_are_not_there(cc: Compiler, tmp_path: Path, script: str) -> None:
    (tmp_path / "map").write_text("V1 { global: f; };")
    soname = "-Wl,-soname,libver.so"
    library = cc.shared(
        "int f(void) { return 1; }", name="libver.so", flags=[soname, f"-Wl,--version-script={tmp_path}/map"]
    )
    program = cc.program("int f(void); int main(void) { return f(); }", flags=[str(library), "-Wl,-rpath,$ORIGIN"])
    (tmp_path / "map").write_text(script or "{};")
    source = "int f(void) { return 1; } int g(void) { return 2; }"
    flags = [soname, f"-Wl,--version-script={tmp_path}/map"] if script else [soname]
    cc.shared(source, name="libver.so", flags=flags)
    answer, wanted = both(program)
    assert answer == wanted


@pytest.mark.parametrize("contents", [b"", b"short", b"x" * 100, b"\x7fELF" + bytes(100)])
def test_a_library_that_is_no_elf_file_ends_the_search(folder: Path, contents: bytes) -> None:
    (folder / "libgone.so").write_bytes(contents)
    answer, wanted = both(folder / "top")
    assert answer == wanted


def test_preloaded_objects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("/lib/x86_64-linux-gnu/libm.so.6", folder / "libpre.so")
    monkeypatch.setenv("LD_PRELOAD", f"{folder}/libpre.so /absent.so")
    answer, wanted = both(folder / "top")
    assert answer.out == wanted.out


def test_addresses_are_made_up_of_whole_pages_and_do_not_overlap() -> None:
    answer = ours("ldd", lambda output: ldd(["/bin/ls"], output, {}))
    addresses = [int(text, 16) for text in re.findall(r"\((0x[0-9a-f]{16})\)", answer.out)]
    assert len(addresses) >= 3
    assert all(address % 4096 == 0 for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_nothing_is_executed(cc: Compiler, tmp_path: Path) -> None:
    """A program that names another interpreter: the real ldd would not run it either, but its own linker."""
    marker = tmp_path / "marker"
    early = f'__attribute__((constructor)) void early(void) {{ fopen("{marker}", "w"); }}'
    source = f"#include <stdio.h>\n{early}\nint main(void) {{ return 0; }}"
    program = cc.program(source, flags=["-Wl,--dynamic-linker=/lib/ld-other.so.1"])
    answer, wanted = both(program)
    assert answer == wanted
    assert not marker.exists()
    assert "/lib/ld-other.so.1 => /lib64/ld-linux-x86-64.so.2 (ADDRESS)" in answer.out
