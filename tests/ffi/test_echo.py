"""Values of every type through compiled code and back: as argument, as result, on the stack, and through a callback."""

from __future__ import annotations

import functools
import math
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latebind as lb
from latebind import ffi
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterator


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else st.integers(0, (1 << bits) - 1)


FLOATS = st.floats(width=32)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "signed char": integers(8, signed=True),
    "unsigned char": integers(8, signed=False),
    "short": integers(16, signed=True),
    "unsigned short": integers(16, signed=False),
    "int": integers(32, signed=True),
    "unsigned int": integers(32, signed=False),
    "long": integers(64, signed=True),
    "unsigned long": integers(64, signed=False),
    "long long": integers(64, signed=True),
    "__int128": integers(128, signed=True),
    "unsigned __int128": integers(128, signed=False),
    "_Bool": st.booleans(),
    "float": FLOATS,
    "double": st.floats(),
    "long double": st.floats(),
    "float _Complex": st.builds(complex, FLOATS, FLOATS),
    "double _Complex": st.builds(complex, st.floats(), st.floats()),
    "long double _Complex": st.builds(complex, st.floats(), st.floats()),
    "void *": st.integers(1, 2**64 - 1) | st.none(),
    "enum color": st.sampled_from([-1, 0, 7]),
}
PRELUDE = "enum color { BLACK = -1, RED, BLUE = 7 };\n"


def functions(number: int, type_: str) -> str:
    fill = (
        "int a, double b, int c, double d, int e, double f, int g, double h, int i, double j, float k, float l, float m"
    )
    return f"""
    {type_} echo_{number}({type_} value) {{ return value; }}
    {type_} deep_{number}({fill}, int n, int o, {type_} value) {{ return value; }}
    {type_} back_{number}({type_} (*f)({type_}), {type_} value) {{ return f(value); }}
    void store_{number}({type_} value, {type_} *to) {{ *to = value; }}
    """


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`(way, type)` → a function of the compiled library."""
    text = "".join(functions(number, type_) for number, type_ in enumerate(TYPES))
    path = Compiler(tmp_path_factory.mktemp("echo")).shared(PRELUDE + text, flags=["-O2"])
    header = ffi.Header(PRELUDE + text.replace("{ return value; }", ";").replace("{ return f(value); }", ";").replace(
        "{ *to = value; }", ";"))  # fmt: skip
    with lb.load(path, namespace=lb.Namespace()) as library:
        numbers = {type_: number for number, type_ in enumerate(TYPES)}

        @functools.cache
        def bound(way: str, type_: str, out: tuple[str, ...] = ()) -> ffi.Function:
            return library.function(f"{way}_{numbers[type_]}", types=header, out=out)

        yield bound


def same(one: Any, other: Any) -> bool:
    if isinstance(one, complex) and isinstance(other, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and bool(one == other)


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("type_", TYPES)
def test_every_value_comes_back(echo: Any, type_: str, data: st.DataObject) -> None:
    try_value(echo, type_, data.draw(TYPES[type_]))


@pytest.mark.slow
@settings(max_examples=1000)
@given(data=st.data())
@pytest.mark.parametrize("type_", TYPES)
def test_many_values_come_back(echo: Any, type_: str, data: st.DataObject) -> None:
    try_value(echo, type_, data.draw(TYPES[type_]))


def try_value(echo: Any, type_: str, value: Any) -> None:
    assert same(echo("echo", type_)(value), value)
    assert same(echo("deep", type_)(*[0] * 15, value), value)  # every register is taken
    seen: list[Any] = []

    def back(given: Any) -> Any:
        seen.append(given)
        return value

    assert same(echo("back", type_)(back, value), value)
    assert same(seen[0], value)
    assert same(echo("store", type_, out=("to",))(value), value)
    box = ffi.new(type_.replace("enum color", "int"))
    echo("store", type_)(value, box)
    assert same(box.value, value)


@settings(max_examples=10)
@given(value=st.integers())
@pytest.mark.parametrize("type_", [t for t, s in TYPES.items() if "int" in t or t in {"short", "long", "signed char"}])
def test_no_other_integer_is_passed(echo: Any, type_: str, value: int) -> None:
    bits = 128 if "128" in type_ else 8 * ffi.size_of(type_)
    low, high = (0, 2**bits - 1) if "unsigned" in type_ else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if low <= value <= high:
        assert echo("echo", type_)(value) == value
    for wrong in (low - 1 - abs(value), high + 1 + abs(value)):
        with pytest.raises(OverflowError, match=f"does not fit: {type_} holds {low} to {high}"):
            echo("echo", type_)(wrong)


@settings(max_examples=30)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_that_rounds_to_a_float_is_passed_and_no_other(echo: Any, value: float) -> None:
    try:
        expected = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        with pytest.raises(OverflowError, match="float ends at"):
            echo("echo", "float")(value)
    else:
        assert echo("echo", "float")(value) == expected


@pytest.mark.parametrize("type_", TYPES)
def test_what_is_no_value_of_the_type_is_refused(echo: Any, type_: str) -> None:
    for wrong in ("text", object(), [1], *([1.5] if "int" in type_ else [])):
        with pytest.raises(TypeError, match=r"libtest.so: echo_\d+, parameter 1 \(.*value\): expected .*, not "):
            echo("echo", type_)(wrong)
