"""Values of every type through a compiled plugin and back; and what a plugin may answer wrongly, caught."""

from __future__ import annotations

import array
import math
import struct
import sys
from collections import UserList
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind import LatebindError, NotProvided, PluginError
from latebind.contracts import Contract, Method, Owner, Parameter, Version, declaration, header
from latebind.contracts.types import BOOL, FLOAT64, INT64, SCALARS, UINT8, UINT64, Bytes, DataKind, ListOf, Scalar, Text
from latebind.linker import Namespace, load
from support.compiler import Compiler
from support.kinds import ECHO, METHODS, Everything, Level, Mode, Place, echo_body, values
from support.natives import Natives

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Place(flag=True, number=-3, at=1 << 63, tiny=-128)
EVERYTHING = Everything(1, "text", PLACE, b"", [], [], [], [])
WRONG_PLACES: Any = [PLACE, 3]
OWNER = Owner("test.plugin", "1.2.3")


def echo_source() -> str:
    """Each method answers its argument."""
    parts = [header(ECHO)]
    for method in ECHO.methods:
        assert isinstance(method.result, get_args(DataKind))
        parts.append(f"{declaration(ECHO, method)} {{ (void)ctx; {echo_body(method.result, ECHO.prefix)} }}")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Natives]:
    path = Compiler(tmp_path_factory.mktemp("echo")).shared(echo_source(), flags=["-Werror"])
    with load(path, namespace=Namespace()) as library:
        yield Natives(OWNER, library, ECHO)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_value_comes_back_unchanged(echo: Natives, name: str, data: st.DataObject) -> None:
    value = data.draw(values(METHODS[name].parameters[0].kind))
    answer = echo.call(METHODS[name].name, value)
    assert answer == value
    assert type(answer) is type(value)


def test_a_nan_and_a_signed_zero_survive(echo: Natives) -> None:
    assert math.isnan(echo.call(METHODS["float64"].name, math.nan))
    assert math.copysign(1, echo.call(METHODS["float32"].name, -0.0)) == -1


@pytest.mark.parametrize("kind", [s for s in SCALARS if s.family != "bool"], ids=lambda k: k.name)
def test_a_fitting_buffer_is_a_list(echo: Natives, kind: Scalar) -> None:
    numbers = array.array(kind.code, [1, 2, 3])
    for buffer in (numbers, memoryview(numbers), memoryview(numbers).toreadonly()):
        assert echo.call(METHODS[f"list[{kind.name}]"].name, buffer) == [1, 2, 3]


def test_buffers_are_bytes(echo: Natives) -> None:
    name = METHODS["bytes"].name
    for buffer in (bytearray(b"abc"), memoryview(b"abc"), memoryview(bytearray(b"abc")), array.array("B", b"abc")):
        assert echo.call(name, buffer) == b"abc"
    assert echo.call(METHODS["list[uint8]"].name, b"\1\2") == [1, 2]


@pytest.mark.parametrize(
    ("kind", "value", "error", "what"),
    [
        ("int64", "1", TypeError, "expected int, not str"),
        ("int64", 1.0, TypeError, "expected int, not float"),
        ("int64", None, TypeError, "expected int, not NoneType"),
        ("int64", 1 << 63, OverflowError, "outside of int64"),
        ("int8", -129, OverflowError, "outside of int8"),
        ("uint32", -1, OverflowError, "outside of uint32"),
        ("uint64", 1 << 1000, OverflowError, "about 302 digits"),
        ("bool", 1, TypeError, "expected bool, not int"),
        ("float64", "1", TypeError, "expected float, not str"),
        ("float64", 10**400, OverflowError, "outside of float64"),
        ("float32", 1e300, OverflowError, "outside of float32"),
        ("str", b"x", TypeError, "expected str, not bytes"),
        ("str", "a\ud800", ValueError, "index 1 has no UTF-8"),
        ("bytes", "x", TypeError, "expected bytes or a buffer, not str"),
        ("bytes", memoryview(b"abcd")[::2], ValueError, "not contiguous"),
        ("list[int64]", "12", TypeError, r"expected list\[int64\], not str"),
        ("list[int64]", {1}, TypeError, r"expected list\[int64\], not set"),
        ("list[int64]", [1, "2"], TypeError, "element 1: expected int"),
        ("list[int8]", [1, 200], OverflowError, "element 1: 200 is outside"),
        ("list[float32]", [1e300], OverflowError, "element 0"),
        ("list[bool]", [True, 1], TypeError, "element 1: expected bool"),
        ("list[int64]", array.array("i", [1]), TypeError, "a buffer of format 'i'"),
        ("list[int64]", b"12345678", TypeError, "a buffer of format 'B'"),
        ("list[str]", ["a", 1], TypeError, "element 1: expected str"),
        ("Mode", "fast", TypeError, "expected Mode, not str"),
        ("Mode", Level.LOW, TypeError, "expected Mode, not Level"),
        ("list[Mode]", [Mode.FAST, 0], TypeError, "element 1: expected Mode"),
        ("Place", (True, 1, 2, 3), TypeError, "expected Place, not tuple"),
        ("Place", Place(flag=True, number=1 << 20, at=1, tiny=1), OverflowError, "Place.number: 1048576 is outside"),
        ("list[Place]", [PLACE, None], TypeError, "element 1: expected Place, not NoneType"),
        (
            "Everything",
            replace(EVERYTHING, places=WRONG_PLACES),
            TypeError,
            "Everything.places: element 1: expected Place",
        ),
        ("optional[int64]", "1", TypeError, "expected int, not str"),
        ("optional[Mode]", False, TypeError, "expected Mode, not bool"),
    ],
)
def test_a_wrong_argument_is_the_callers_mistake(
    echo: Natives, kind: str, value: object, error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what) as caught:
        echo.call(METHODS[kind].name, value)
    assert f"test.echo.{METHODS[kind].name}(), parameter value: " in str(caught.value)


def test_numbers_that_are_no_int_but_stand_for_one_are_taken(echo: Natives) -> None:
    class Index:
        def __index__(self) -> int:
            return 7

    class Real:
        def __float__(self) -> float:
            return 0.5

    assert echo.call(METHODS["int64"].name, Index()) == 7
    assert echo.call(METHODS["float64"].name, Real()) == 0.5
    assert echo.call(METHODS["float64"].name, 2) == 2.0


WRONG = r"""
static const char text[] = "ab\xff";
static const lb_str broken[] = {{"fine", 4}, {0, 9}};
static const uint8_t bools[] = {0, 1, 2};
lb_status test_wrong_text(lb_context *ctx, int64_t how, lb_str *result)
{
    char *memory = lb_alloc(ctx, 16);
    for (int i = 0; i < 16; i++)
        memory[i] = 'x';
    switch (how) {
    case 0: result->data = 0; result->size = 5; return LB_OK;
    case 1: result->data = memory; result->size = 100000; return LB_OK;
    case 2: result->data = text; result->size = 3; return LB_OK;
    case 3: result->data = (const char *)(uintptr_t)8; result->size = 8; return LB_OK;
    case 4: result->data = memory; result->size = (size_t)-1; return LB_OK;
    case 5: return 77;
    case 6: *result = lb_text("late"); lb_fail(ctx, "too %s", "late"); return LB_OK;
    case 7: return lb_fail(ctx, "no \"%s\" at %d: %s", "word", 3, "größe");
    case 8: return LB_FAILED;
    case 9: return LB_NOT_PROVIDED;
    case 10: return lb_fail(ctx, "%s", "\xff\xfe");
    case 11: return lb_fail(ctx, "%5000d", 1);
    default: result->data = 0; result->size = 0; return LB_OK;
    }
}
lb_status test_wrong_truth(lb_context *ctx, bool *result) { (void)ctx; *(uint8_t *)result = 2; return LB_OK; }
lb_status test_wrong_texts(lb_context *ctx, lb_list_str *result)
{ (void)ctx; result->data = broken; result->size = 2; return LB_OK; }
lb_status test_wrong_bools(lb_context *ctx, lb_list_bool *result)
{ (void)ctx; result->data = (const bool *)bools; result->size = 3; return LB_OK; }
lb_status test_wrong_huge(lb_context *ctx, lb_list_i64 *result)
{ result->data = lb_alloc(ctx, 8); result->size = (size_t)1 << 62; return LB_OK; }
"""
WRONG_CONTRACT = Contract(
    "test.wrong",
    Version(1, 0, 0),
    (
        Method("text", (Parameter("how", INT64),), Text()),
        Method("truth", (), BOOL),
        Method("texts", (), ListOf(Text())),
        Method("bools", (), ListOf(BOOL)),
        Method("huge", (), ListOf(INT64)),
    ),
)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Natives]:
    path = Compiler(tmp_path_factory.mktemp("wrong")).shared(header(WRONG_CONTRACT) + WRONG)
    with load(path, namespace=Namespace()) as library:
        yield Natives(OWNER, library, WRONG_CONTRACT)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (0, "null pointer with a length of 5"),
        (1, "reach beyond what lb_alloc handed out"),
        (2, "not UTF-8: invalid start byte at byte 2"),
        (3, "not readable memory"),
        (4, "more than memory can hold"),
        (5, "unknown status 77"),
        (6, "LB_OK after lb_fail: too late"),
        (7, 'no "word" at 3: größe'),
        (8, "without saying why"),
        (10, "\N{REPLACEMENT CHARACTER}"),
        (11, "   "),
    ],
)
def test_a_wrong_answer_is_the_plugins_mistake(wrong: Natives, how: int, what: str) -> None:
    with pytest.raises(PluginError) as caught:
        wrong.call("text", how)
    assert what in caught.value.message
    assert (caught.value.plugin, caught.value.version, caught.value.method) == (
        "test.plugin",
        "1.2.3",
        "test.wrong.text",
    )
    assert wrong.call("text", 99) == "", "the plugin goes on"


def test_not_provided_has_its_own_error(wrong: Natives) -> None:
    with pytest.raises(NotProvided, match="it is not provided"):
        wrong.call("text", 9)


@pytest.mark.parametrize(
    ("method", "what"),
    [("truth", "the byte 2 is neither"), ("texts", "null pointer with a length of 9"),
     ("bools", "the byte 2 in the list"),
     ("huge", "more than memory can hold")],
)  # fmt: skip
def test_a_result_that_breaks_its_type_is_the_plugins_mistake(wrong: Natives, method: str, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        wrong.call(method)


def test_a_call_that_fails_leaves_nothing_behind(wrong: Natives) -> None:
    for how in range(12):
        with pytest.raises(LatebindError):
            wrong.call("text", how)
    call = wrong.pool.begin()
    assert (call.message, call.cause, call.running) == (None, None, True)
    wrong.pool.end(call)
    assert (call.running, wrong.pool.find(call.address)) == (False, None)


def test_the_interpreter_lock_is_free_during_a_call_unless_it_is_quick(cc: Compiler) -> None:
    """A call that waits for another thread to set a flag can only end if that thread can run."""
    import threading

    methods = tuple(
        Method(name, (Parameter("flag", ListOf(UINT8)),), FLOAT64, quick=quick)
        for name, quick in (("slow", False), ("brief", True))
    )
    contract = Contract("test.waits", Version(1, 0, 0), methods)
    body = """
    #define _POSIX_C_SOURCE 199309L
    #include <time.h>
    static lb_status wait(lb_list_u8 flag, double *result)
    {
        struct timespec pause = {0, 1000000};
        int i;
        for (i = 0; i < 300 && !*(const volatile uint8_t *)flag.data; i++)
            nanosleep(&pause, 0);
        *result = i < 300;
        return LB_OK;
    }
    lb_status test_waits_slow(lb_context *ctx, lb_list_u8 flag, double *result)
    { (void)ctx; return wait(flag, result); }
    lb_status test_waits_brief(lb_context *ctx, lb_list_u8 flag, double *result)
    { (void)ctx; return wait(flag, result); }
    """
    with load(cc.shared(header(contract) + body), namespace=Namespace()) as library:
        plugin = Natives(OWNER, library, contract)
        for name, expected in (("slow", 1.0), ("brief", 0.0)):
            flag = bytearray(1)
            timer = threading.Timer(0.05, flag.__setitem__, (0, 1))
            timer.start()
            assert plugin.call(name, flag) == expected
            timer.join()


def test_the_layout_of_a_list_of_texts_is_the_headers() -> None:
    assert struct.calcsize("NN") == 16


def test_a_buffer_is_not_copied(cc: Compiler) -> None:
    """The plugin is told the addresses: writable or read-only, they are the buffer's own."""
    methods = tuple(
        Method(f"at_{n}", (Parameter("data", k),), UINT64) for n, k in (("b", Bytes()), ("l", ListOf(INT64)))
    )
    contract = Contract("test.where", Version(1, 0, 0), methods)
    body = """
    lb_status test_where_at_b(lb_context *ctx, lb_bytes data, uint64_t *result)
    { (void)ctx; *result = (uintptr_t)data.data; return LB_OK; }
    lb_status test_where_at_l(lb_context *ctx, lb_list_i64 data, uint64_t *result)
    { (void)ctx; *result = (uintptr_t)data.data; return LB_OK; }
    """
    with load(cc.shared(header(contract) + body), namespace=Namespace()) as library:
        plugin = Natives(OWNER, library, contract)
        numbers = array.array("q", [1, 2, 3])
        address = numbers.buffer_info()[0]
        for buffer in (numbers, memoryview(numbers), memoryview(numbers).toreadonly()):
            assert plugin.call("at_b", buffer) == plugin.call("at_l", buffer) == address
        assert plugin.call("at_l", memoryview(numbers)[1:]) == address + 8
        assert plugin.call("at_l", array.array("q")) != 0


def test_a_finished_message_is_taken_as_it_is(cc: Compiler) -> None:
    contract = Contract("test.says", Version(1, 0, 0), (Method("no", (Parameter("text", Text()),), INT64),))
    body = "lb_status test_says_no(lb_context *ctx, lb_str text, int64_t *result)"
    body += "{ (void)result; return lb_fail_text(ctx, text); }"
    with load(cc.shared(header(contract) + body), namespace=Namespace()) as library:
        plugin = Natives(OWNER, library, contract)
        for text in ("100 %s größe", "é" * 5000):
            with pytest.raises(PluginError) as caught:
                plugin.call("no", text)
            assert caught.value.message == text[:1023]
        with pytest.raises(PluginError, match="without saying why"):
            plugin.call("no", "")


class Special(Place):
    """A record that is a Place, and more."""


def test_values_that_are_not_exactly_of_their_type_are_taken_too(echo: Natives) -> None:
    special = Special(flag=False, number=1, at=2, tiny=3)
    answer = echo.call(METHODS["Place"].name, special)
    assert answer == Place(flag=False, number=1, at=2, tiny=3)
    assert type(answer) is Place
    assert echo.call(METHODS["list[Place]"].name, [PLACE, special]) == [PLACE, answer]
    assert echo.call(METHODS["list[str]"].name, UserList(["a", "b"])) == ["a", "b"]
    assert echo.call(METHODS["optional[bytes]"].name, bytearray(b"abc")) == b"abc"
    assert echo.call(METHODS["list[int64]"].name, [1, True]) == [1, 1]


def test_arguments_and_answers_leak_no_references(echo: Natives) -> None:
    words = ["late binding"]
    record = Everything(1, words[0], PLACE, b"b" * 40, [1], words, [PLACE], [Mode.FAST])
    for name, value in (("Everything", record), ("list[str]", words), ("list[Place]", [PLACE]), ("Mode", Mode.FAST)):
        echo.call(METHODS[name].name, value)
        counts = [sys.getrefcount(v) for v in (value, words[0], PLACE, Place, Everything, Mode.FAST)]
        for _ in range(50):
            echo.call(METHODS[name].name, value)
        assert [sys.getrefcount(v) for v in (value, words[0], PLACE, Place, Everything, Mode.FAST)] == counts
