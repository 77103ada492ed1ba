"""deps, explain and inspect: text for people, one JSON document a line for programs, bad files among good ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def folder(cc: Compiler, tmp_path: Path) -> Path:
    """libouter.so needs libinner.so beside it; libbroken.so needs libgone.so, which is then removed."""
    cc.shared("int inner(void) { return 1; }", name="libinner.so", flags=["-Wl,-soname,libinner.so"])
    outer = "extern int inner(void); extern int nowhere(void) __attribute__((weak)); int puts(const char *);"
    outer += 'int outer(void) { puts(""); return nowhere ? nowhere() : inner(); }'
    here = [f"-L{tmp_path}", "-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags"]
    cc.shared(outer, name="libouter.so", flags=[*here, "-linner"])
    cc.shared("int gone(void) { return 1; }", name="libgone.so", flags=["-Wl,-soname,libgone.so"])
    broken = "extern int gone(void); int broken(void) { return gone(); }"
    cc.shared(broken, name="libbroken.so", flags=[*here, "-lgone"])
    (tmp_path / "libgone.so").unlink()
    return tmp_path


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_tree_says_where_from_and_why(folder: Path) -> None:
    run = latebind("deps", folder / "libouter.so")
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert lines[0] == f"{folder}/libouter.so"
    reason = f"[runpath: DT_RUNPATH $ORIGIN of {folder}/libouter.so]"
    assert lines[1] == f"├─ libinner.so → {folder}/libinner.so  {reason}"
    assert lines[2].startswith("└─ libc.so.6 → ")


def test_the_list_is_in_load_order(folder: Path) -> None:
    lines = latebind("deps", "--list", folder / "libouter.so").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["libinner.so", "libc.so.6", "ld-linux-x86-64.so.2"]


def test_a_missing_library_is_shown_with_every_place_that_was_tried(folder: Path) -> None:
    run = latebind("deps", folder / "libbroken.so")
    assert run.returncode == 1
    assert "libgone.so is missing\n" in run.stdout
    assert f"tried {folder}/libgone.so: no such file" in run.stdout


def test_deps_as_json(folder: Path) -> None:
    outer, inner, broken = (f"{folder}/{name}" for name in ("libouter.so", "libinner.so", "libbroken.so"))
    run = latebind("deps", "--json", outer, broken)
    assert run.returncode == 1
    first, second = documents(run.stdout)
    assert (first["schema"], first["file"], first["interpreter"], first["missing"]) == (1, outer, None, [])
    found = first["objects"][0]
    assert (found["name"], found["path"], found["via"], found["needed_by"]) == (
        "libinner.so",
        inner,
        "runpath",
        [outer],
    )
    missing = second["missing"][0]
    assert (missing["name"], missing["needed_by"]) == ("libgone.so", [broken])
    assert {"path": f"{folder}/libgone.so", "why": "no such file"} in missing["tried"]


@pytest.mark.parametrize("verb", ["deps", "explain", "inspect"])
def test_a_bad_file_does_not_stop_the_others(verb: str, folder: Path) -> None:
    (folder / "text").write_text("no ELF file")
    (folder / "cut").write_bytes((folder / "libouter.so").read_bytes()[:100])
    good = [str(folder / "libinner.so"), str(folder / "libouter.so")]
    run = latebind(verb, "--json", good[0], folder / "text", folder / "absent", folder / "cut", good[1])
    assert run.returncode == 1
    assert [document["file"] for document in documents(run.stdout)] == good
    reported = [line for line in run.stderr.splitlines() if line.startswith("latebind: ")]
    assert len(reported) == 3
    for name, line in zip(("text", "absent", "cut"), reported, strict=True):
        assert f"{folder}/{name}" in line


def test_explain_groups_by_definer_and_says_why(folder: Path) -> None:
    run = latebind("explain", folder / "libouter.so")
    assert run.returncode == 0
    assert f"→ {folder}/libinner.so" in run.stdout
    assert "undefined, weak" in run.stdout
    line = next(line for line in run.stdout.splitlines() if line.split()[:1] == ["inner"])
    assert line.split()[:3] == ["inner", "function", "R_X86_64_JUMP_SLOT"]
    assert "first definition in scope, place 2" in line


def test_explain_one_symbol(folder: Path) -> None:
    run = latebind("explain", folder / "libouter.so", "inner")
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert lines[0] == f"inner, referred to by {folder}/libouter.so through R_X86_64_JUMP_SLOT"
    assert lines[1].startswith(f"  → {folder}/libinner.so, function at 0x")
    assert lines[3] == f"  not defined in: {folder}/libouter.so"


def test_explain_a_symbol_that_is_not_referred_to(folder: Path) -> None:
    near = latebind("explain", folder / "libouter.so", "--symbol", "iner")
    assert near.returncode == 1
    assert "does not refer to iner\n  did you mean inner?" in near.stdout
    own = latebind("explain", folder / "libouter.so", "outer")
    assert own.returncode == 1
    assert "it exports outer itself, FUNC at 0x" in own.stdout


def test_an_overview_names_what_comes_close_to_an_undefined_reference(cc: Compiler) -> None:
    there = cc.shared_cpp("void h(int) {}", name="libthere.so")
    path = cc.shared_cpp("void h(long); void f() { h(1); }", flags=["-Wl,--no-as-needed", str(there)])
    run = latebind("explain", path)
    assert run.returncode == 1
    assert f"    near _Z1hl: _Z1hi in {there} is the same function with other parameters\n" in run.stdout


def test_an_undefined_reference_is_a_finding(cc: Compiler) -> None:
    path = cc.shared("extern int nowhere(void); int f(void) { return nowhere(); }")
    run = latebind("explain", path, "nowhere")
    assert run.returncode == 1
    assert "→ nothing: loading fails here" in run.stdout


def test_explain_as_json(folder: Path) -> None:
    outer = f"{folder}/libouter.so"
    (document,) = documents(latebind("explain", "--json", outer).stdout)
    assert (document["schema"], document["file"]) == (1, outer)
    bindings = {b["symbol"]: b for b in document["bindings"]}
    assert {b["from"] for b in document["bindings"]} == {outer}
    assert bindings["inner"]["to"] == f"{folder}/libinner.so"
    assert bindings["inner"]["version"] is None
    assert bindings["puts"]["version"] == "GLIBC_2.2.5"
    assert bindings["nowhere"]["to"] is None


def test_explain_the_closure(folder: Path) -> None:
    (document,) = documents(latebind("explain", "--json", "--closure", folder / "libouter.so").stdout)
    assert {f"{folder}/libouter.so", f"{folder}/libinner.so"} < {b["from"] for b in document["bindings"]}


def test_a_library_path_is_searched_first(folder: Path, cc: Compiler) -> None:
    other = cc.shared("int inner(void) { return 2; }", name="other/libinner.so", flags=["-Wl,-soname,libinner.so"])
    (document,) = documents(latebind("deps", "--json", "-L", other.parent, folder / "libouter.so").stdout)
    assert (document["objects"][0]["path"], document["objects"][0]["via"]) == (str(other), "env")


@pytest.mark.parametrize("verb", ["deps", "explain", "inspect"])
def test_a_bare_name_is_a_library_to_search_for(verb: str) -> None:
    run = latebind(verb, "--json", "libm.so.6", "no_such_library.so.9")
    assert run.returncode == 1
    (document,) = documents(run.stdout)
    assert document["file"].endswith("/libm.so.6")
    assert "latebind: no_such_library.so.9: not found" in run.stderr
    assert "tried /etc/ld.so.cache: has no entry for it" in run.stderr


def test_inspect_shows_the_first_tables(folder: Path) -> None:
    run = latebind("inspect", folder / "libouter.so")
    assert run.returncode == 0
    for text in ("ET_DYN, x86-64, 64-bit, little-endian", "needs: libinner.so, libc.so.6", "runpath: $ORIGIN",
                 "segments: ", "  LOAD ", "dynamic: ", "  NEEDED "):  # fmt: skip
        assert text in run.stdout


@pytest.mark.parametrize(("table", "text"), [
    ("header", "ET_DYN"), ("segments", "GNU_RELRO"), ("sections", ".dynsym"), ("dynamic", "RUNPATH"),
    ("symbols", "puts@GLIBC_2.2.5"), ("relocations", "R_X86_64_JUMP_SLOT"), ("versions", "GLIBC_2.2.5"),
    ("notes", "GNU"),
])  # fmt: skip
def test_inspect_shows_the_table_that_is_asked_for(folder: Path, table: str, text: str) -> None:
    run = latebind("inspect", f"--{table}", folder / "libouter.so")
    assert run.returncode == 0
    assert text in run.stdout


def test_inspect_as_json_has_every_table(folder: Path) -> None:
    (document,) = documents(latebind("inspect", "--all", "--json", folder / "libouter.so").stdout)
    assert document["schema"] == 1
    assert document["header"]["needed"] == ["libinner.so", "libc.so.6"]
    assert [s["type"] for s in document["segments"] if s["access"] == "r-x"] == ["LOAD"]
    symbols = {s["name"]: s for s in document["symbols"]}
    assert (symbols["outer"]["defined"], symbols["puts"]["version"]) == (True, "GLIBC_2.2.5")
    place = next(r for r in document["relocations"] if r["symbol"] == symbols["inner"]["index"])
    assert place["type"] == "R_X86_64_JUMP_SLOT"
    assert {n["owner"] for n in document["notes"]} == {"GNU"}
    assert document["versions"]["needs"][0]["file"] == "libc.so.6"


def test_a_name_that_is_no_utf_8_passes_through(folder: Path) -> None:
    path = str(folder / "lib\udcff.so")
    (folder / "libinner.so").rename(path)
    assert latebind("deps", path).stdout.splitlines()[0] == path
