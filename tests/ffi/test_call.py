"""Calls through a prototype: values there and back, and every wrong argument refused before the call."""

from __future__ import annotations

import array
import ctypes
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import ClosedLibrary, _core
from latebind.ffi import parse_prototype

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from latebind.ffi import Function

SOURCE = r"""
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define ECHO(type, name) type echo_##name(type value) { return value; }
ECHO(int8_t, int8_t) ECHO(uint8_t, uint8_t) ECHO(int16_t, int16_t) ECHO(uint16_t, uint16_t)
ECHO(int32_t, int32_t) ECHO(uint32_t, uint32_t) ECHO(int64_t, int64_t) ECHO(uint64_t, uint64_t)
ECHO(float, float) ECHO(double, double) ECHO(bool, bool) ECHO(const char *, text) ECHO(void *, pointer)
int calls;
void count(void) { calls++; }
double mix(int a, double b, float c, int64_t d, uint8_t e, double f, const char *g, int h, int i, float j, short k)
{ return a + b + c + d + e + f + g[0] + h + i + j + k; }
unsigned sum(const void *data, size_t size)
{ unsigned s = 0; for (size_t i = 0; i < size; i++) s += ((const unsigned char *)data)[i]; return s; }
void fill(void *data, size_t size, int value) { for (size_t i = 0; i < size; i++) ((char *)data)[i] = value; }
int twice(int x) { return 2 * x; }
int apply(int (*f)(int), int x) { return f(x); }
"""


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Function]:
    """Binds a prototype to the function of that name in a library that the system's linker loaded."""
    from support.compiler import Compiler

    library = load(Compiler(tmp_path_factory.mktemp("echo")).shared(SOURCE, name="libecho.so"))

    def bind(text: str) -> Function:
        prototype = parse_prototype(text)
        address = ctypes.cast(library[prototype.name], ctypes.c_void_p).value
        assert address
        return prototype.bind(address, "libecho.so")

    return bind


def load(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


@given(data=st.data())
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("signed", [True, False])
def test_every_integer_that_fits_comes_back_and_no_other_is_passed(
    bind: Callable[[str], Function], data: st.DataObject, bits: int, *, signed: bool
) -> None:
    name = f"{'' if signed else 'u'}int{bits}_t"
    echo = bind(f"{name} echo_{name}({name})")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    inside = data.draw(st.integers(low, high))
    assert echo(inside) == inside
    outside = data.draw(st.integers(max_value=low - 1) | st.integers(min_value=high + 1))
    with pytest.raises(OverflowError, match=f"echo_{name}, parameter 1 .*does not fit: {name} holds {low} to {high}"):
        echo(outside)


@given(value=st.floats(allow_nan=False))
def test_a_double_comes_back(bind: Callable[[str], Function], value: float) -> None:
    assert bind("double echo_double(double)")(value) == value


@given(value=st.floats(allow_nan=False, width=32))
def test_a_float_comes_back(bind: Callable[[str], Function], value: float) -> None:
    assert bind("float echo_float(float)")(value) == value


def test_a_float_that_is_too_large_is_refused(bind: Callable[[str], Function]) -> None:
    with pytest.raises(OverflowError, match=r"echo_float, parameter 1 \(float x\): 1e\+39 does not fit"):
        bind("float echo_float(float x)")(1e39)


def test_a_bool_is_true_false_0_or_1(bind: Callable[[str], Function]) -> None:
    echo = bind("bool echo_bool(bool)")
    assert [echo(value) for value in (True, False, 1, 0)] == [True, False, True, False]
    for wrong in (2, 1.0, "yes", None):
        with pytest.raises(TypeError, match="expected True or False"):
            echo(wrong)


@given(value=st.binary().filter(lambda b: b"\0" not in b))
def test_text_is_bytes_up_to_the_nul(bind: Callable[[str], Function], value: bytes) -> None:
    assert bind("const char *echo_text(const char *)")(value) == value


def test_text_may_be_str_bytes_a_buffer_an_address_or_null(bind: Callable[[str], Function]) -> None:
    echo = bind("char *echo_text(char *)")
    buffer = ctypes.create_string_buffer(b"from memory")
    assert echo("grün") == "grün".encode()
    assert echo(bytearray(b"abc\0def")) == b"abc"
    assert echo(ctypes.addressof(buffer)) == b"from memory"
    assert echo(None) is None
    assert echo(0) is None


def test_a_str_that_would_be_cut_off_is_refused(bind: Callable[[str], Function]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        bind("const char *echo_text(const char *)")("a\0b")


def test_a_pointer_is_an_address_or_none(bind: Callable[[str], Function]) -> None:
    echo = bind("void *echo_pointer(void *)")
    assert echo(2**64 - 1) == 2**64 - 1
    assert echo(0) is None
    assert echo(None) is None
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError, match="is not an address"):
            echo(wrong)
    for value in ("text", 1.5, True, object()):
        with pytest.raises(TypeError, match="expected an address, None or a buffer"):
            echo(value)


@pytest.mark.parametrize("data", [
    b"\1\2\3", bytearray(b"\1\2\3"), memoryview(b"\0\1\2\3")[1:], array.array("H", [1, 2, 3]),
    (ctypes.c_uint8 * 3)(1, 2, 3),
])  # fmt: skip
def test_any_buffer_can_be_read(bind: Callable[[str], Function], data: Any) -> None:
    assert bind("unsigned sum(const void *, size_t)")(data, memoryview(data).nbytes) == 6


def test_a_function_writes_into_the_buffer_itself(bind: Callable[[str], Function]) -> None:
    data = bytearray(6)
    bind("void fill(void *, size_t, int)")(memoryview(data)[1:5], 4, 7)
    assert data == bytes([0, 7, 7, 7, 7, 0])


def test_a_read_only_buffer_is_not_handed_to_who_may_write(bind: Callable[[str], Function]) -> None:
    with pytest.raises(TypeError, match=r"fill, parameter 1 \(void \*\): the function may write"):
        bind("void fill(void *, size_t, int)")(b"constant", 8, 0)


def test_a_buffer_with_gaps_is_refused(bind: Callable[[str], Function]) -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        bind("unsigned sum(const void *, size_t)")(memoryview(bytearray(8))[::2], 4)


def test_more_arguments_than_registers_of_every_class(bind: Callable[[str], Function]) -> None:
    mix = bind("double mix(int, double, float, int64_t, uint8_t, double, const char *, int, int, float, short)")
    assert mix(-1, 0.5, 0.25, 2**40, 255, 1e3, "A", 7, 8, 2.0, -3) == -1 + 0.75 + 2**40 + 255 + 1e3 + 65 + 15 + 2 - 3


def test_a_void_function_gives_none_and_is_called_once(bind: Callable[[str], Function]) -> None:
    count = bind("void count(void)")
    calls = ctypes.c_int.from_address(bind("int calls(void)").address)  # the address of the variable
    before = calls.value
    assert count() is None
    assert calls.value == before + 1


def test_a_wrong_number_of_arguments_is_refused(bind: Callable[[str], Function]) -> None:
    with pytest.raises(TypeError, match=r"libecho.so: unsigned int sum\(.*\) takes 2 arguments, not 1"):
        bind("unsigned sum(const void *, size_t)")(b"")
    with pytest.raises(TypeError, match=r"takes 0 arguments, not 1"):
        bind("void count(void)")(1)


def test_numbers_are_not_guessed_from_other_types(bind: Callable[[str], Function]) -> None:
    with pytest.raises(TypeError, match=r"libecho.so: twice, parameter 1 \(int x\): expected an integer, not float"):
        bind("int twice(int x)")(1.5)
    with pytest.raises(TypeError, match="expected a number, not str 'abc'"):
        bind("float echo_float(float)")("abc")
    with pytest.raises(TypeError, match="expected a number, not NoneType"):
        bind("double echo_double(double)")(None)


def test_a_bound_function_can_be_passed_to_a_function(bind: Callable[[str], Function]) -> None:
    apply, twice = bind("int apply(int (*f)(int), int x)"), bind("int twice(int)")
    assert apply(twice, 21) == 42
    assert apply(lambda x: x + 1, 1) == 2
    with pytest.raises(TypeError, match="a Python function has no C type"):
        bind("int apply(void *f, int x)")(lambda x: x, 1)
    assert apply(parse_prototype("int triple(int)").callback(lambda x: 3 * x), 14) == 42


def test_a_closed_library_is_noticed_before_the_call(bind: Callable[[str], Function]) -> None:
    lifetime = _core.Lifetime(ClosedLibrary, "libecho.so")
    twice = parse_prototype("int twice(int)").bind(bind("int twice(int)").address, "libecho.so", lifetime=lifetime)
    assert twice(4) == 8
    assert lifetime.end(lambda: None)  # no call is under way
    with pytest.raises(ClosedLibrary):
        twice(4)


def test_nothing_is_bound_to_address_0() -> None:
    with pytest.raises(ValueError, match="its address is 0"):
        parse_prototype("int f(void)").bind(0, "libx.so")


def test_a_function_says_what_it_is(bind: Callable[[str], Function]) -> None:
    twice = bind("int twice(int x)")
    assert repr(twice) == f"<int twice(int x) in libecho.so at {twice.address:#x}>"
