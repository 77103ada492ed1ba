"""Many references bound at once: as one by one and as by ld.so; what is wrong with one is told."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf, _core, plan, read
from latebind.elf.dynamic import DF_BIND_NOW, DF_SYMBOLIC, DT_FLAGS, DT_JMPREL, DT_SYMTAB
from latebind.linkplan import How
from latebind.linkplan.resolve import references
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from latebind.linkplan import LinkPlan
    from support.compiler import Compiler

COUNT = 12
MANY = 1500
"""References of one object: several blocks of those that are bound at a time (bindings.c), by two threads."""

LDSO = "/lib64/ld-linux-x86-64.so.2"
LINE = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: \w+ symbol `([^']*)'(?: \[(.*)\])?")


@pytest.fixture
def chain(cc: Compiler) -> list[Path]:
    """Libraries that each need the one before, the last of them first."""
    made: list[Path] = []
    for n in range(COUNT):
        below, call = (f"int f{n - 1}(int);", f"f{n - 1}(x) + ") if n else ("", "")
        text = f'#include <string.h>\n{below} int f{n}(int x) {{ return {call}strlen("x"); }}'
        flags = [*map(str, made[-1:]), "-Wl,-rpath,$ORIGIN", "-fno-builtin"]
        made.append(cc.shared(text, name=f"lib{n}.so", flags=flags))
    return made[::-1]


def rows(made: LinkPlan) -> list[object]:
    return [made.bindings_of(o.index) for o in made.loaded]


def test_many_at_once_are_bound_as_one_by_one(chain: list[Path]) -> None:
    together, alone = plan(str(chain[0])), plan(str(chain[0]))
    together.bind_all()
    expected = [alone.bound(o.index).packed({}) for o in alone.loaded]
    assert [together.bound(o.index).packed({}) for o in together.loaded] == expected
    assert rows(together) == rows(alone)
    assert together.unresolved == ()


def test_what_is_wrong_with_one_of_them_is_told(chain: list[Path]) -> None:
    damaged = chain[5]
    elf = read(damaged)
    slots = elf.addresses.offset(elf.dynamic.values[DT_JMPREL], "DT_JMPREL")
    data = bytearray(damaged.read_bytes())
    struct.pack_into("<I", data, slots + 12, 10_000)  # the symbol of its first record
    damaged.write_bytes(data)
    with pytest.raises(MalformedElf, match=rf"{damaged.name}.*symbol"):
        _ = plan(str(chain[0])).unresolved


def test_the_core_gives_none_for_what_it_cannot_bind(chain: list[Path]) -> None:
    table = symbol_table(read(chain[0]))
    rest = (), (8, (7,), 5), (table,), -1, ()
    good, outside = ((), *rest), (((1 << 40, 24, True),), *rest)
    found = _core.bind_all(((table, good), (table, outside), (table, good)))
    assert [one is None for one in found] == [False, True, False]
    with pytest.raises(ValueError, match="outside the file"):
        table.bind(*outside)
    with pytest.raises(TypeError):
        _core.bind_all(((table, "nothing"),))  # type: ignore[arg-type]
    assert _core.bind_all(()) == []


# ---- the same names in many objects ---------------------------------------------------------------------------------

VERSIONED = """
int f_old(void) { return 1; } int f_new(void) { return 2; } int g(void) { return 3; }
__asm__(".symver f_old, f@V1"); __asm__(".symver f_new, f@@V2");
"""
USES = "int f(void); int g(void); int %s(void) { return f() + g(); }"
OWN = """__attribute__((visibility("%s"))) int f(void) { return 4; } int g(void);
int (*%s_f)(void) = f; int %s(void) { return f() + g(); }"""


@pytest.fixture
def family(cc: Compiler) -> Path:
    """A library that needs others which all refer to `f`, each to another one."""
    folder = cc.folder
    (folder / "map").write_text("V1 { global: f; g; local: *; }; V2 { global: f; } V1;")
    cc.shared(VERSIONED, name="libv.so", flags=[f"-Wl,--version-script={folder}/map", "-Wl,-soname,libv.so"])
    old = '__asm__(".symver f, f@V1");' + USES % "old"
    members = {
        "new": (USES % "new", ("-lv",)),
        "old": (old, ("-lv",)),
        "unversioned": (USES % "unversioned", ("-Wl,--allow-shlib-undefined",)),
        "weak": ("__attribute__((weak)) int f(void); int weak(void) { return f ? f() : 0; }", ()),
        "plain": (OWN % ("default", "plain", "plain"), ()),
        "protected": (OWN % ("protected", "protected", "protected"), ()),
        "hidden": (OWN % ("hidden", "hidden", "hidden"), ()),
        "symbolic": (OWN % ("default", "symbolic", "symbolic"), ("-Wl,-z,now",)),
        "last": (USES % "last", ("-lv",)),
    }
    for name, (text, flags) in members.items():
        cc.shared(
            text, name=f"lib{name}.so", flags=[f"-L{folder}", "-Wl,-rpath,$ORIGIN", f"-Wl,-soname,lib{name}.so", *flags]
        )
    make_symbolic(folder / "libsymbolic.so")
    needed = [f"-l{name}" for name in members]
    all_of_them = [f"-L{folder}", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", "-lv", *needed]
    return cc.shared("int nothing;", name="libroot.so", flags=all_of_them)


def make_symbolic(path: Path) -> None:
    """Set DF_SYMBOLIC in DT_FLAGS, which is DF_BIND_NOW: -Bsymbolic would leave no reference to be bound."""
    data, now = path.read_bytes(), struct.pack("<QQ", DT_FLAGS, DF_BIND_NOW)
    assert data.count(now) == 1
    path.write_bytes(data.replace(now, struct.pack("<QQ", DT_FLAGS, DF_BIND_NOW | DF_SYMBOLIC)))


def as_ld_so_binds(path: Path) -> set[tuple[str, str, str | None, str]]:
    """(file, symbol, version, the definition's file) of all that ld.so binds, without running it (ld.so(8))."""
    logs = path.parent / "logs"
    logs.mkdir()
    env = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "yes", "LD_DEBUG": "bindings",
           "LD_DEBUG_OUTPUT": str(logs / "log")}  # fmt: skip
    subprocess.run([LDSO, str(path)], env=env, check=True, capture_output=True)
    lines = [line for file in logs.iterdir() for line in file.read_text().splitlines()]
    return {(Path(m[1]).name, m[3], m[4], Path(m[2]).name) for m in map(LINE.search, lines) if m}


def test_each_object_gets_its_own_definition_of_a_name_that_all_refer_to(family: Path) -> None:
    made = plan(str(family))
    made.bind_all()
    files = {o.index: Path(o.path).name for o in made.objects}
    referrers = {o.index: files[o.index] for o in made.loaded if Path(o.path).parent == family.parent}
    rows = [b for index in referrers for b in made.bindings_of(index) if b.target is not None]
    found = {(files[b.referrer], b.symbol, b.version, files[b.target or 0]) for b in rows}
    expected = {one for one in as_ld_so_binds(family) if one[0] in referrers.values()}
    assert len([one for one in expected if one[1] == "f"]) == 8
    assert found == expected


def test_versions_visibility_and_order_tell_definitions_of_one_name_apart(family: Path) -> None:
    made = plan(str(family))
    made.bind_all()
    names = {o.index: Path(o.path).stem.removeprefix("lib") for o in made.objects}
    values = {s.versioned_name: s.value for s in read(family.parent / "libv.so").symbols if s.name == "f"}
    got = {
        names[o.index]: (names[b.target], b.how, b.value)
        for o in made.loaded
        for b in made.bindings_of(o.index)
        if b.symbol == "f" and b.target is not None
    }
    old, new = values["f@V1"], values["f@@V2"]
    own = {name: value for name, (_, how, value) in got.items() if how in (How.PROTECTED, How.UNVERSIONED)}
    assert got == {
        "new": ("v", How.EXACT, new),
        "old": ("v", How.EXACT, old),
        "unversioned": ("v", How.BASE, old),
        "weak": ("v", How.BASE, old),
        "plain": ("v", How.BASE, old),
        "protected": ("protected", How.PROTECTED, own["protected"]),
        "symbolic": ("symbolic", How.UNVERSIONED, own["symbolic"]),
        "last": ("v", How.EXACT, new),
    }


# ---- one object with many references ---------------------------------------------------------------------------------


@pytest.fixture
def crowd(cc: Compiler) -> Path:
    """A library with MANY calls and some addresses, of functions of three others that define every third each."""
    for n in range(3):
        text = "".join(f"int f{i}(void) {{ return {i}; }}" for i in range(n, MANY, 3))
        cc.shared(text, name=f"lib{n}.so", flags=[f"-Wl,-soname,lib{n}.so"])
    calls = "".join(f"int f{i}(void);" for i in range(MANY)) + "int all(void) { return 0"
    calls += "".join(f"+ f{i}()" for i in range(MANY)) + "; }"
    addresses = "int (*some[])(void) = {" + ",".join(f"f{i}" for i in range(0, MANY, 7)) + "};"
    flags = [f"-L{cc.folder}", "-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy", *(f"-l:lib{n}.so" for n in range(3))]
    return cc.shared(calls + addresses, name="libcrowd.so", flags=flags)


def test_many_references_of_one_object_are_each_bound_to_their_own(crowd: Path) -> None:
    made = plan(str(crowd))
    made.bind_all()
    definers = [read(crowd.parent / f"lib{n}.so") for n in range(3)]
    values = [{s.name: s.value for s in definer.symbols} for definer in definers]
    rows = [b for b in made.bindings_of(0) if re.fullmatch(r"f\d+", b.symbol)]
    assert len(rows) == MANY + len(range(0, MANY, 7))
    for b in rows:
        n = int(b.symbol[1:]) % 3
        assert (b.target is not None, b.value) == (True, values[n][b.symbol])
        assert Path(made.objects[b.target or 0].path).name == f"lib{n}.so"


def test_addresses_come_before_calls_and_each_in_the_order_of_the_tables(crowd: Path) -> None:
    found = [b.symbol_index for b in plan(str(crowd)).bindings_of(0)]
    named = [(symbol, type_) for symbol, type_ in references(read(crowd)) if symbol]
    calls = [symbol for symbol, type_ in named if type_ == 7]
    assert len(calls) == MANY
    assert found == [*dict.fromkeys(symbol for symbol, type_ in named if type_ != 7), *calls]


def test_the_first_of_several_symbols_that_are_not_in_the_file_is_named(crowd: Path) -> None:
    elf, data = read(crowd), bytearray(crowd.read_bytes())
    slots = elf.addresses.offset(elf.dynamic.values[DT_JMPREL], "DT_JMPREL")
    assert elf.addresses.offset(elf.dynamic.values[DT_SYMTAB], "DT_SYMTAB") >= 72
    last = len(data) // 24 - 1  # as many fit into the file, but the table does not start where the file does
    for row, symbol in ((MANY - 1, last), (1100, last - 1), (700, last - 2)):
        struct.pack_into("<I", data, slots + 24 * row + 12, symbol)
    crowd.write_bytes(data)
    made = plan(str(crowd))
    for _ in range(5):
        made.bind_all()
        with pytest.raises(MalformedElf, match=f"symbol {last - 2}, which is not in the file"):
            made.bound(0)
