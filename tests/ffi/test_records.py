"""Structures and unions by value, there and back, compared with code that the machine's compiler made."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Library, Namespace, Unsupported, load
from latebind.ffi import Header, sysv, view
from latebind.ffi.values import class_of
from support.compiler import Compiler
from support.shapes import TYPEDEFS, Shapes, random_value, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi import CType

PRELUDE = "#include <string.h>\n#include <stdalign.h>\n"


def declarations(shape: str, number: int) -> str:
    """A record and the prototypes of the functions that try it."""
    name = name_of(shape)
    return f"""
    {shape};
    {name} echo_{number}({name} value);
    void dump_{number}(int a, double b, {name} value, signed char c, float d, void *out);
    void many_{number}({name} one, int a, {name} two, double b, {name} three, float _Complex z, {name} four, void *out);
    {name} back_{number}({name} (*f)(int, {name}, double, {name}), {name} value);
    unsigned long size_{number}(int what);
    """


def definitions(shape: str, number: int) -> str:
    name = name_of(shape)
    return f"""
    {shape};
    {name} echo_{number}({name} value) {{ return value; }}
    void dump_{number}(int a, double b, {name} value, signed char c, float d, void *out)
    {{ memset(out, 0, sizeof value);
       if (a == -3 && b == 0.5 && c == -7 && d == 2.5f) memcpy(out, &value, sizeof value); }}
    void many_{number}({name} one, int a, {name} two, double b, {name} three, float _Complex z, {name} four, void *out)
    {{ {name} all[4] = {{one, two, three, four}}; memset(out, 0, sizeof all);
       if (a == 9 && b == 1e9 && z == 1.0f + 2.0fi) memcpy(out, all, sizeof all); }}
    {name} back_{number}({name} (*f)(int, {name}, double, {name}), {name} value) {{ return f(5, value, 0.25, value); }}
    unsigned long size_{number}(int what) {{ return what ? alignof({name}) : sizeof({name}); }}
    """


@dataclass
class Tried:
    library: Library
    header: Header
    count: int

    def type(self, number: int) -> CType:
        return self.header.prototypes[f"echo_{number}"].result

    def function(self, name: str) -> Any:
        return self.library.function(name, types=self.header)


def name_of(shape: str) -> str:
    """Its tag, with the keyword: "struct shape_1"."""
    return f"{shape.split(maxsplit=1)[0]} {re.findall(r'shape_[0-9]+', shape)[0]}"


def build(folder: Any, seed: int, count: int, *, attributes: bool = False) -> Tried:
    shapes = Shapes(seed, attributes=attributes)
    return build_shapes(folder, [shapes.record(f"shape_{number}") for number in range(count)])


def build_shapes(folder: Any, made: list[str]) -> Tried:
    source = PRELUDE + TYPEDEFS + "".join(definitions(shape, number) for number, shape in enumerate(made))
    path = Compiler(folder).shared(source, name="libshapes.so", flags=["-O2", "-Wno-psabi"])
    header = Header(TYPEDEFS + "".join(declarations(shape, number) for number, shape in enumerate(made)))
    return Tried(load(path, namespace=Namespace()), header, len(made))


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    made = build(tmp_path_factory.mktemp("shapes"), seed=1, count=60)
    yield made
    made.library.close()


def check_layout(tried: Tried, number: int) -> None:
    size = tried.function(f"size_{number}")
    record = tried.type(number).record
    assert record is not None
    assert (record.size, record.align) == (size(0), size(1)), record


def check_values(tried: Tried, number: int, dice: random.Random) -> None:
    type_ = tried.type(number)
    echo, dump, many, back = (tried.function(f"{name}_{number}") for name in ("echo", "dump", "many", "back"))
    one, two, three, four = (random_value(dice, type_) for _ in range(4))
    assert same(type_, echo(one), one)
    out = bytearray(type_.bytes)
    dump(-3, 0.5, one, -7, 2.5, out)
    assert same(type_, view(class_of(type_), out), one)
    out = bytearray(4 * type_.bytes)
    many(one, 9, two, 1e9, three, 1 + 2j, four, out)
    for place, value in enumerate((one, two, three, four)):
        assert same(type_, view(class_of(type_), out, place * type_.bytes), value)
    seen: list[Any] = []

    def take(*arguments: Any) -> Any:
        seen.extend(arguments)
        return two

    assert same(type_, back(take, one), two)
    assert (seen[0], seen[2]) == (5, 0.25)
    assert same(type_, seen[1], one)
    assert same(type_, seen[3], one)


def test_records_lie_as_the_compiler_lays_them_out(tried: Tried) -> None:
    for number in range(tried.count):
        check_layout(tried, number)


def test_records_of_every_small_shape_go_there_and_back(tried: Tried) -> None:
    dice = random.Random(2)
    for number in range(tried.count):
        check_values(tried, number, dice)


def check_shape(made: Tried, number: int, dice: random.Random) -> None:
    check_layout(made, number)
    try:
        check_values(made, number, dice)
    except Unsupported as error:
        assert "gcc" in str(error)


def test_packed_and_aligned_ones_and_vectors_do_so_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = build(tmp_path_factory.mktemp("attributes"), seed=3, count=60, attributes=True)
    dice = random.Random(3)
    for number in range(made.count):
        check_shape(made, number, dice)
    made.library.close()


def test_bit_fields_without_a_width_and_with_an_alignment_lie_and_travel_as_the_compilers(tmp_path: Any) -> None:
    made = build_shapes(
        tmp_path,
        [
            "union shape_0 { double m0; unsigned m1 : 4 __attribute__((aligned(16))); }",
            "union shape_1 { unsigned long m0; int : 0 __attribute__((aligned(16))); }",
            "struct shape_2 { int m0 : 24 __attribute__((packed, aligned(2))); double m1; }",
            "struct shape_3 { long m0; int : 0 __attribute__((aligned(16))); }",
            "struct shape_4 { char m0; int : 0; }",
            "struct shape_5 { int m0; char m1; int : 0; long : 0; }",
            "struct shape_6 { char m0 : 3; char : 0; char m1; }",
        ],
    )
    dice = random.Random(4)
    for number in range(made.count):
        check_layout(made, number)
        check_values(made, number, dice)
    made.library.close()


@pytest.mark.parametrize("members", ["float m0; int : 3;", "double m0; int : 0;"])
def test_unnamed_bit_fields_that_gcc_passes_otherwise_than_clang_are_refused_on_x86_64(members: str) -> None:
    header = Header(f"union shape {{ {members} }}; void take(union shape value);")
    with pytest.raises(Unsupported, match="unnamed bit-field, and gcc passes it otherwise than clang"):
        sysv.classify(header.prototypes["take"].parameters[0].type)


@pytest.mark.slow
@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("seed", range(10, 18))
def test_hundreds_of_shapes(tmp_path_factory: pytest.TempPathFactory, seed: int, *, attributes: bool) -> None:
    made = build(tmp_path_factory.mktemp("many"), seed, 200, attributes=attributes)
    dice = random.Random(seed)
    for number in range(made.count):
        check_shape(made, number, dice)
    made.library.close()
