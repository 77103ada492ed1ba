"""Which definition a reference gets: against ld.so's own trace, and the rules one by one on small libraries."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from latebind import plan, read
from latebind.linkplan import How, Kind, LinkPlan
from latebind.linkplan.binding import why

LDSO = "/lib64/ld-linux-x86-64.so.2"
LINE = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: \w+ symbol `([^']*)'(?: \[([^\]]*)\])?")


def oracle(path: str, tmp_path: Path, **variables: str) -> dict[tuple[str, str | None], set[str]]:
    """What ld.so binds each reference of `path` to, without running it (ld.so(8), LD_TRACE_LOADED_OBJECTS)."""
    logs = Path(tempfile.mkdtemp(dir=tmp_path))
    env = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "yes",
           "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(logs / "log"), **variables}  # fmt: skip
    subprocess.run([LDSO, path], env=env, check=True, capture_output=True)
    found: dict[tuple[str, str | None], set[str]] = {}
    for file in logs.iterdir():
        for m in map(LINE.search, file.read_text().splitlines()):
            if m and os.path.realpath(m[1]) == os.path.realpath(path):
                found.setdefault((m[3], m[4]), set()).add(os.path.realpath(m[2]))
    return found


def ours(made: LinkPlan) -> dict[tuple[str, str | None], set[str]]:
    found: dict[tuple[str, str | None], set[str]] = {}
    for b in made.bindings_of(0):
        if b.target is not None:
            found.setdefault((b.symbol, b.version), set()).add(os.path.realpath(made.objects[b.target].path))
    return found


def build(folder: Path, name: str, text: str, *flags: str) -> str:
    source = folder / (name + ".c")
    source.write_text(text)
    out = folder / f"lib{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", out, source, *flags], check=True)
    return str(out)


@pytest.mark.parametrize("path", ["/bin/bash", "/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/bin/ls"])
def test_every_reference_binds_as_ld_so_binds_it(path: str, tmp_path: Path) -> None:
    if not os.path.exists(path):
        pytest.fail(f"{path} is missing: Debian has it in every installation")
    expected = oracle(path, tmp_path)
    got = ours(plan(path))
    assert len(expected) > 50
    assert {k: got.get(k) for k in expected} == expected


def link(tmp_path: Path, *names: str) -> list[str]:
    return [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-Wl,--no-as-needed", *(f"-l{n}" for n in names)]


def target_of(made: LinkPlan, symbol: str) -> str:
    binding = next(b for b in made.bindings_of(0) if b.symbol == symbol)
    assert binding.target is not None
    return os.path.basename(made.objects[binding.target].path)


def test_the_first_definition_in_scope_wins(tmp_path: Path) -> None:
    build(tmp_path, "a", "int f(void){return 1;}")
    build(tmp_path, "b", "int f(void){return 2;}")
    for names in (("a", "b"), ("b", "a")):
        user = build(tmp_path, "user", "int f(void); int g(void){return f();}", *link(tmp_path, *names))
        assert target_of(plan(user), "f") == f"lib{names[0]}.so"
        assert ours(plan(user))["f", None] == oracle(user, tmp_path)["f", None]


def test_a_weak_definition_first_in_scope_wins_over_a_strong_one(tmp_path: Path) -> None:
    build(tmp_path, "a", "__attribute__((weak)) int f(void){return 1;}")
    build(tmp_path, "b", "int f(void){return 2;}")
    user = build(tmp_path, "user", "int f(void); int g(void){return f();}", *link(tmp_path, "a", "b"))
    assert target_of(plan(user), "f") == "liba.so"


def test_a_protected_symbol_is_not_preempted(tmp_path: Path) -> None:
    text = '__attribute__((visibility("%s"))) int f(void){return 1;} int (*p)(void) = f; int g(void){return f();}'
    build(tmp_path, "first", "int f(void){return 2;}")
    inner = build(tmp_path, "inner", text % "protected")
    user = build(tmp_path, "user", "int g(void); int h(void){return g();}", *link(tmp_path, "first", "inner"))
    made = plan(user)
    index = next(o.index for o in made.objects if o.path == inner)
    binding = next(b for b in made.bindings_of(index) if b.symbol == "f")
    assert binding.target == index
    assert binding.how is How.PROTECTED
    build(tmp_path, "inner", text % "default")
    made = plan(user)
    binding = next(b for b in made.bindings_of(index) if b.symbol == "f")
    assert binding.target is not None
    assert made.objects[binding.target].path == str(tmp_path / "libfirst.so")


def test_df_symbolic_puts_the_object_itself_first(tmp_path: Path) -> None:
    build(tmp_path, "first", "int v = 1;")
    inner = build(tmp_path, "inner", "int v = 2; int *p = &v;", "-Wl,-Bsymbolic")
    user = build(tmp_path, "user", "extern int v; int *h(void){return &v;}", *link(tmp_path, "first", "inner"))
    made = plan(user)
    assert target_of(made, "v") == "libfirst.so"
    index = next(o.index for o in made.objects if o.path == inner)
    assert all(b.target == index for b in made.bindings_of(index) if b.symbol == "v")


VERSIONED = """
int f_old(void){return 1;} int f_new(void){return 2;}
__asm__(".symver f_old, f@V1"); __asm__(".symver f_new, f@@V2");
"""


def test_versions_bind_exactly_and_unversioned_references_take_the_base(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("V1 { global: f; local: *; }; V2 { global: f; } V1;")
    build(tmp_path, "v", VERSIONED, f"-Wl,--version-script={tmp_path}/map", "-Wl,-soname,libv.so")
    new = build(tmp_path, "new", "int f(void); int g(void){return f();}", *link(tmp_path, "v"))
    old = build(
        tmp_path, "old", '__asm__(".symver f1,f@V1"); int f1(void); int g(void){return f1();}', *link(tmp_path, "v")
    )
    library = {s.versioned_name: s.value for s in read(tmp_path / "libv.so").symbols if s.name == "f"}
    for user, version in ((new, "f@@V2"), (old, "f@V1")):
        binding = next(b for b in plan(user).bindings_of(0) if b.symbol == "f")
        assert (binding.value, binding.how) == (library[version], How.EXACT)
        assert "exact version" in why(binding)


def test_an_unversioned_definition_satisfies_a_versioned_reference(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("V1 { global: f; };")
    build(tmp_path, "v", "int f(void){return 1;}", f"-Wl,--version-script={tmp_path}/map", "-Wl,-soname,libv.so")
    user = build(tmp_path, "user", "int f(void); int g(void){return f();}", *link(tmp_path, "v"))
    build(tmp_path, "v", "int f(void){return 1;}", "-Wl,-soname,libv.so")
    binding = next(b for b in plan(user).bindings_of(0) if b.symbol == "f")
    assert binding.how is How.UNVERSIONED


def test_a_missing_symbol_is_unresolved_and_a_weak_one_is_zero(tmp_path: Path) -> None:
    user = build(
        tmp_path, "user", "int no_such(void); __attribute__((weak)) int maybe(void);"
        "int g(void){return no_such() + (maybe ? maybe() : 0);}"
    )  # fmt: skip
    made = plan(user)
    assert [b.symbol for b in made.unresolved] == ["no_such"]
    maybe = next(b for b in made.bindings if b.symbol == "maybe")
    assert (maybe.kind, maybe.target, maybe.value) == (Kind.WEAK_UNDEFINED, None, 0)


def test_sysv_hash_and_gnu_hash_find_the_same(tmp_path: Path) -> None:
    text = "int one(void){return 1;} int two(void){return 2;} int three = 3;"
    found = []
    for style in ("sysv", "gnu"):
        build(tmp_path, "d", text, f"-Wl,--hash-style={style}")
        use = "int one(void), two(void); extern int three; int g(void){return one()+two()+three;}"
        user = build(tmp_path, "user", use, *link(tmp_path, "d"))
        found.append({b.symbol: b.value for b in plan(user).bindings_of(0) if b.target == 1})
        assert set(found[-1]) == {"one", "two", "three"}
    symbols = {s.name: s.value for s in read(tmp_path / "libd.so").symbols}
    assert found[1] == {name: symbols[name] for name in found[1]}


def test_imports_name_their_provider(tmp_path: Path) -> None:
    build(tmp_path, "d", "int one(void){return 1;}")
    user = build(tmp_path, "user", "int one(void), nowhere(void); int g(void){return one() + nowhere();}",
                 *link(tmp_path, "d"))  # fmt: skip
    providers = {i.symbol: i.provider for i in plan(user).imports}
    assert providers["one"] == str(tmp_path / "libd.so")
    assert providers["nowhere"] is None
    assert "g" not in providers


def test_a_plan_prints_objects_reasons_and_bindings() -> None:
    text = str(plan("/bin/ls"))
    assert re.search(r"own +/lib/x86_64-linux-gnu/libc\.so\.6 +\(cache: ld\.so\.cache says so; needed by /bin/ls", text)
    assert re.search(r"malloc@GLIBC_2\.2\.5 → \S*libc\.so\.6 +\(first definition in scope", text)
    assert "constructors: " in text


def test_a_variable_that_the_program_copies_is_the_programs(tmp_path: Path) -> None:
    build(tmp_path, "v", "int shared = 1; int *where(void){ return &shared; }")
    source, program = tmp_path / "p.c", tmp_path / "p"
    source.write_text("extern int shared; int main(void){ return shared; }")
    command = ["cc", "-fno-pie", "-no-pie", "-o", str(program), str(source), *link(tmp_path, "v")]
    subprocess.run(command, check=True)
    made = plan(program)
    index = next(o.index for o in made.objects if o.path.endswith("libv.so"))
    (copy,) = [b for b in made.bindings_of(0) if b.symbol == "shared"]
    assert copy.target == index  # the copy relocation itself looks past the program
    (inner,) = [b for b in made.bindings_of(index) if b.symbol == "shared"]
    assert inner.target == 0
    assert "the program's own copy" in made.why(inner)
    assert ours(made) == oracle(str(program), tmp_path)


def test_a_unique_symbol_is_the_one_that_was_bound_first_whatever_its_version(tmp_path: Path) -> None:
    """STB_GNU_UNIQUE: dependencies are relocated first, and their definition then serves everybody."""
    source = '__asm__(".type unique, @gnu_unique_object"); int unique = %d; int *f%d(void) { return &unique; }'
    for number in (1, 2):
        (tmp_path / f"map{number}").write_text(f"V{number} {{ global: *; }};")
    inner = build(tmp_path, "inner", source % (1, 1), f"-Wl,--version-script={tmp_path}/map1")
    flags = [f"-Wl,--version-script={tmp_path}/map2", "-Wl,--no-as-needed", f"-L{tmp_path}", "-linner"]
    outer = build(tmp_path, "outer", source % (2, 2), "-Wl,-rpath,$ORIGIN", *flags)
    made = plan(outer)
    assert ours(made)["unique", "V2"] == {os.path.realpath(inner)} == oracle(outer, tmp_path)["unique", "V2"]
