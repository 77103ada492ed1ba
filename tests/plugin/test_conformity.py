"""`mismatches`: everything in which a compiled plugin is not what it should be, as expected and found."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from latebind.contracts import Handle, contract, contract_of, header
from latebind.elf import read
from latebind.plugin import read_manifest
from latebind.plugin.conformity import mismatches
from support import needs
from support.command import latebind


@dataclass
class Point:
    x: int
    y: int


@contract("test.shape", version="1.0.0")
class Shape(Handle, Protocol):
    def area(self) -> float: ...


@contract("test.geometry", version="1.0.0")
class Geometry(Protocol):
    def length(self, points: list[Point], scale: float | None = None) -> float: ...

    def middle(self, a: Point, b: Point) -> Point: ...

    def shape(self, name: str) -> Shape: ...


SOURCE = r"""
LATEBIND_PLUGIN("test.geometry", "1.0.0")
LATEBIND_PROVIDES(test_geometry)
lb_status test_geometry_length(lb_context *ctx, test_geometry_list_Point points, const lb_optional_f64 *scale,
                               double *result)
{ (void)ctx, (void)points, (void)scale; *result = 0; return LB_OK; }
lb_status test_geometry_middle(lb_context *ctx, const test_geometry_Point *a, const test_geometry_Point *b,
                               test_geometry_Point *result)
{ (void)ctx, (void)a; *result = *b; return LB_OK; }
lb_status test_geometry_shape(lb_context *ctx, lb_str name, test_shape **result)
{ (void)ctx, (void)name; *result = 0; return LB_OK; }
lb_status test_shape_area(lb_context *ctx, test_shape *self, double *result)
{ (void)ctx, (void)self; *result = 0; return LB_OK; }
lb_status test_shape_close(lb_context *ctx, test_shape *self)
{ (void)ctx, (void)self; return LB_OK; }
lb_status lb_init(lb_context *ctx, lb_str config)
{ (void)ctx, (void)config; return LB_OK; }
"""
MANIFEST: dict[str, Any] = {
    "id": "test.geometry",
    "version": "1.0.0",
    "entry": "plugin.so",
    "provides": [{"contract": "test.geometry", "version": "1.0.0"}],
}
COMPILERS = [("gcc", "gcc"), ("g++", "g++"), ("clang", "clang")]


class Built:
    """A plugin made of a text, in a folder of its own. What is changed is changed before the header is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(
        self, *changes: tuple[str, str], flags: tuple[str, ...] = ("-g",), compiler: str = "gcc", **manifest: Any
    ) -> tuple[list[str], str | None]:
        declared, source = header(contract_of(Geometry)), SOURCE
        for before, after in changes:
            assert before in declared + source
            declared, source = declared.replace(before, after), source.replace(before, after)
        (self.folder / "test_geometry.h").write_text(declared)
        (self.folder / "plugin.c").write_text('#include "test_geometry.h"\n' + source)
        output, text = str(self.folder / "plugin.so"), str(self.folder / "plugin.c")
        command = [compiler, "-shared", "-fPIC", *flags, "-o", output, text]
        subprocess.run(command, check=True)
        (self.folder / "plugin.yaml").write_text(yaml.safe_dump({**MANIFEST, **manifest}))
        found = read_manifest(str(self.folder / "plugin.yaml"))
        problems, why_not = mismatches(found, read(found.entry_path), [contract_of(Geometry)])
        return [str(p) for p in problems], why_not


@pytest.fixture
def built(tmp_path: Path) -> Built:
    needs.program("gcc", "gcc")
    return Built(tmp_path)


@pytest.mark.parametrize(("compiler", "package"), COMPILERS)
def test_a_good_plugin_has_none(built: Built, compiler: str, package: str) -> None:
    needs.program(compiler, package)
    assert built.check(compiler=compiler) == ([], None)


def test_without_debug_information_it_says_what_was_not_compared(built: Built) -> None:
    found, why_not = built.check(flags=())
    assert found == []
    assert why_not == "the file has no debug information; compile it with -g"


@pytest.mark.parametrize(
    ("changes", "what", "expected", "found"),
    [
        ([("test_shape *self, double *result)", "test_shape *self, float *result)")],
         "test_shape_area", "struct test_shape *, double *)", "struct test_shape *, float *)"),
        ([("lb_optional_f64 *scale", "lb_optional_i64 *scale")],
         "test_geometry_length", "struct lb_optional_f64 const *", "struct lb_optional_i64 const *"),
        ([("test_geometry_Point *b,", "test_geometry_Point *b, int more,")],
         "test_geometry_middle", "test_geometry_Point *)", "test_geometry_Point const *, int, "),
        ([("lb_status test_geometry_shape", "int64_t test_geometry_shape")],
         "test_geometry_shape", "int (struct lb_context *", "long (struct lb_context *"),
        ([("int64_t x;", "int32_t x;")],
         "struct test_geometry_Point", "16 bytes; long x at 0", "16 bytes; int x at 0"),
        ([("int64_t x;\n    int64_t y;", "int64_t y;\n    int64_t x;")],
         "struct test_geometry_Point", "long x at 0; long y at 8", "long y at 0; long x at 8"),
        ([("lb_init(lb_context *ctx, lb_str config)", "lb_init(lb_context *ctx, const char *config)")],
         "lb_init", "int (struct lb_context *, struct lb_str)", "int (struct lb_context *, char const *)"),
    ],
)  # fmt: skip
def test_what_the_compiler_made_is_compared(
    built: Built, changes: list[tuple[str, str]], what: str, expected: str, found: str
) -> None:
    problems, why_not = built.check(*changes)
    assert why_not is None
    texts = [p for p in problems if p.startswith(f"{what}\n")]
    assert len(texts) == 1, problems
    lines = texts[0].split("\n")
    assert lines[1].startswith("  expected: ")
    assert expected in lines[1]
    assert lines[2].startswith("  found:    ")
    assert found in lines[2]


def test_a_packed_structure_is_found_out(built: Built) -> None:
    problems, _ = built.check(flags=("-g", "-fpack-struct"))
    assert any(p.startswith("struct lb_optional_f64\n  expected: 16 bytes; double value at 8") for p in problems)


def test_every_mismatch_is_told_at_once(built: Built) -> None:
    problems, _ = built.check(
        ("lb_status test_geometry_middle", "lb_status test_geometry_midle"),
        ('"test.geometry", "1.0.0"', '"test.geometry", "1.0.1"'),
        ("static inline", "static __inline__"),
        version="1.0.2",
    )
    assert "plugin note of plugin.so\n  expected: test.geometry 1.0.2\n  found:    test.geometry 1.0.1" in problems
    assert any("did you mean test_geometry_midle?" in p for p in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("manifest", "what"),
    [
        ({"provides": [{"contract": "test.geometry", "version": "1.1.0"}]},
         "version of test.geometry\n  expected: 1.1.0 (manifest)\n  found:    1.0.0 (note)"),
        ({"provides": [{"contract": "test.other", "version": "1.0.0"}]},
         "note that provides test.other\n  expected: 1.0.0\n  found:    none; add LATEBIND_PROVIDES(test_other)"),
        ({"provides": []},
         "provides in the manifest: test.geometry\n  expected: 1.0.0\n  found:    nothing"),
    ],
)  # fmt: skip
def test_the_manifest_is_compared_with_the_note(built: Built, manifest: dict[str, Any], what: str) -> None:
    assert what in built.check(**manifest)[0]


def test_a_file_without_note(built: Built) -> None:
    problems, _ = built.check(
        ('LATEBIND_PLUGIN("test.geometry", "1.0.0")', ""), ("LATEBIND_PROVIDES(test_geometry)", "")
    )
    assert problems[0].endswith("found:    none; add LATEBIND_PLUGIN")


def test_a_contract_that_changed_without_a_new_version(built: Built) -> None:
    @contract("test.geometry", version="1.0.0")
    class Changed(Protocol):
        def length(self, points: list[Point], scale: float | None = None) -> int: ...

        def middle(self, a: Point, b: Point) -> Point: ...

        def more(self) -> None: ...

    built.check()
    manifest = read_manifest(str(built.folder / "plugin.yaml"))
    problems, _ = mismatches(manifest, read(manifest.entry_path), [contract_of(Changed)])
    texts = {p.what: p for p in problems}
    assert texts["test.geometry.length"].expected.endswith("->int64")
    assert texts["test.geometry.length"].found.startswith("compiled from another declaration")
    assert texts["test.geometry.more"].found == "compiled against a 1.0.0 without it"
    assert texts["test.geometry.shape"].found == "compiled against a 1.0.0 that has it"


def test_the_command_prints_them_and_fails(built: Built, tmp_path: Path) -> None:
    built.check(("lb_optional_f64 *scale", "lb_optional_i64 *scale"))
    text = """
from dataclasses import dataclass
from typing import Protocol
from latebind import contract

@dataclass
class Point:
    x: int
    y: int

@contract("test.shape", version="1.0.0")
class Shape(Protocol):
    def area(self) -> float: ...

@contract("test.geometry", version="1.0.0")
class Geometry(Protocol):
    def length(self, points: list[Point], scale: float | None = None) -> float: ...
    def middle(self, a: Point, b: Point) -> Point: ...
    def shape(self, name: str) -> Shape: ...
"""
    (tmp_path / "contract.py").write_text(text)
    run = latebind("plugin", "check", tmp_path, f"{tmp_path}/contract.py:Geometry")
    assert run.returncode == 1
    assert run.stdout.startswith("test.geometry 1.0.0: 1 mismatch\ntest_geometry_length\n  expected: int (")
