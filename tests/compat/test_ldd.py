"""`latebind ldd` beside glibc's ldd: the same lines but for the addresses, messages and exit status."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from latebind.compat.ldd import LddOptions, ldd
from support.command import latebind
from support.compiler import Compiler
from support.reference import Answer, ours, reference

ADDRESS = re.compile(r"\(0x[0-9a-f]{16}\)")
PROCESS = re.compile(r"(?m)^ *\d+:(?=\t)")


def both(
    *files: str | Path, folder: Path | None = None, arguments: str = "", options: LddOptions | None = None
) -> tuple[Answer, Answer]:
    """Both answers for `files`, seen from `folder`, with the addresses made equal; `options` says `arguments`."""
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        answer = ours(
            "ldd", lambda output: ldd([str(file) for file in files], output, os.environ, options or LddOptions())
        )
    finally:
        os.chdir(before)
    wanted = reference("ldd", "libc-bin", *arguments.split(), *files, folder=folder)
    return plain(answer), plain(wanted)


def plain(answer: Answer) -> Answer:
    return answer._replace(out=PROCESS.sub("PID:", ADDRESS.sub("(ADDRESS)", answer.out)))


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
    answer = plain(ours("ldd", lambda output: ldd(files, output, os.environ, LddOptions(verbose=True))))
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


RELOCATING = {
    "-d": LddOptions(relocate=True),
    "-r": LddOptions(relocate=True, bind_now=True),
    "-u": LddOptions(unused=True),
    "-d -v": LddOptions(relocate=True, verbose=True),
    "-r -u -v": LddOptions(relocate=True, bind_now=True, unused=True, verbose=True),
}


@pytest.fixture(scope="module")
def wanting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects that refer to what is not there, by data and by calls, lazily and not, in versions and without."""
    here = tmp_path_factory.mktemp("wanting")
    cc = Compiler(here)
    (here / "map").write_text("V1 { global: gone; also; }; V2 { global: stays; };")
    versioned = ["-Wl,-soname,libver.so", f"-Wl,--version-script={here}/map"]
    cc.shared("int gone(void) { return 1; } int also = 1; int stays = 2;", name="libver.so", flags=versioned)
    source = """
        extern int nodata, also, stays; extern int nosuch(void), gone(void), cosm(int);
        int puts(const char *text);
        extern int weak(void) __attribute__((weak));
        extern int hidden(void) __attribute__((weak, visibility("hidden")));
        int *data = &nodata; int (*pointer)(void) = nosuch; int *more = &also, *twice = &also;
        int call(void) { return nosuch() + cosm(1) + gone() + (weak ? weak() : 0) + (hidden ? hidden() : 0) + stays; }
        int say(void) { return puts(""); }
    """
    here_too = [f"-L{here}", "-lver", "-Wl,-rpath,$ORIGIN", "-Wl,--unresolved-symbols=ignore-all"]
    cc.shared(source, name="libwant.so", flags=[*here_too, "-Wl,-z,lazy"])
    cc.shared(source, name="libnow.so", flags=[*here_too, "-Wl,-z,now"])
    cc.shared(source, name="alone.so", flags=["-nostdlib", "-Wl,-z,lazy"])
    main = "extern int call(void), table[4]; int main(void) { return call() + table[1]; }"
    cc.shared("int table[4] = {1};", name="libtable.so")
    both = ["-Wl,--no-as-needed", "-lwant", "-lnow", "-ltable", "-lm", "-no-pie", "-Wl,-z,lazy"]
    cc.program(main, name="top", flags=[*here_too, *both])
    cc.shared("int table[2] = {1};", name="libtable.so")
    (here / "map").write_text("V2 { global: stays; local: *; };")
    cc.shared("int stays = 2;", name="libver.so", flags=versioned)
    return here


@pytest.mark.parametrize("arguments", RELOCATING)
@pytest.mark.parametrize("name", ["top", "libwant.so", "libnow.so", "alone.so", "libver.so"])
def test_undefined_symbols_and_unused_objects(wanting: Path, name: str, arguments: str) -> None:
    answer, wanted = both(name, folder=wanting, arguments=arguments, options=RELOCATING[arguments])
    assert answer == wanted


@pytest.mark.parametrize("arguments", RELOCATING)
def test_what_a_missing_object_would_define_is_undefined(wanting: Path, tmp_path: Path, arguments: str) -> None:
    folder = shutil.copytree(wanting, tmp_path / "copy")
    (folder / "libver.so").unlink()
    answer, wanted = both("top", folder=folder, arguments=arguments, options=RELOCATING[arguments])
    assert answer == wanted


@pytest.mark.parametrize("kind", [0, 99])
@pytest.mark.parametrize("arguments", RELOCATING)
def test_a_relocation_type_that_glibc_does_not_apply(wanting: Path, tmp_path: Path, kind: int, arguments: str) -> None:
    from latebind.elf import read

    data = bytearray((wanting / "alone.so").read_bytes())
    for table in read(bytes(data)).relocation_tables:
        data[table.offset + 8] = kind
        broken = tmp_path / f"broken-{table.tag}"
        broken.write_bytes(data)
        answer, wanted = both(broken, arguments=arguments, options=RELOCATING[arguments])
        assert answer == wanted


@pytest.mark.slow
@pytest.mark.parametrize("arguments", RELOCATING)
def test_libraries_of_the_system_that_cannot_stand_alone(arguments: str) -> None:
    files = sorted(Path("/usr/lib/x86_64-linux-gnu").glob("*.so*"))[:150]
    answer, wanted = both(*files, arguments=arguments, options=RELOCATING[arguments])
    assert answer == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "v"],
        ["--fun", "v"],
        ["--unu", "--verb", "v"],
        ["--", "-v"],
        ["-dr", "v"],
        ["--v", "v"],
        ["-z"],
        [],
        ["-r"],
    ],
)
def test_the_command_line_is_ldds(wanting: Path, tmp_path: Path, arguments: list[str]) -> None:
    for name in ("v", "-v"):
        shutil.copy(wanting / "alone.so", tmp_path / name)
    run = latebind("ldd", *arguments, folder=tmp_path)
    wanted = plain(reference("ldd", "libc-bin", *arguments, folder=tmp_path))
    assert plain(Answer(run.stdout, run.stderr, run.returncode)) == wanted
