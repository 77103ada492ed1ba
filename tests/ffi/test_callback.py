"""Python functions that C calls: arguments, life time, exceptions, threads, errno."""

from __future__ import annotations

import array
import errno
import gc
import os
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind import ffi
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = r"""
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
typedef int (*unary)(int);
int apply(unary f, int x) { return f ? f(x) : -1; }
int twice(unary f, unary g, int x) { int y = f(x); return g(y) + y; }
int repeat(unary f, int times) { int sum = 0; for (int i = 0; i < times; i++) sum += f(i); return sum; }
static unary kept;
void keep(unary f) { kept = f; }
int call_kept(int x) { return kept(x); }
struct operations { unary first; int (*second)(const char *, double); };
int run(const struct operations *o, int x) { return o->first(x) + o->second("seven", 0.5); }
static void *body(void *argument) { return (void *)(size_t)((unary)argument)(20); }
int from_thread(unary f)
{
    pthread_t t; void *result;
    pthread_create(&t, NULL, body, (void *)f); pthread_join(t, &result);
    return (int)(size_t)result;
}
int errno_after(unary f, int before) { errno = before; f(0); return errno; }
int many(int (*f)(int, long, double, const char *, void *, float, unsigned char, int), int x)
{ return f(x, 2L, 3.5, "four", NULL, 6.25f, 7, 8); }
"""
HEADER = """
typedef int (*unary)(int);
int apply(unary f, int x);
int twice(unary f, unary g, int x);
int repeat(unary f, int times);
void keep(unary f);
int call_kept(int x);
struct operations { unary first; int (*second)(const char *, double); };
int run(const struct operations *o, int x);
int from_thread(unary f);
int errno_after(unary f, int before);
int many(int (*f)(int, long, double, const char *, void *, float, unsigned char, int), int x);
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lb.Library]:
    path = Compiler(tmp_path_factory.mktemp("calls")).shared(SOURCE, flags=["-lpthread"])
    with lb.load(path, namespace=lb.Namespace()) as made:
        yield made


@pytest.fixture(scope="module")
def header() -> ffi.Header:
    return ffi.Header(HEADER)


@pytest.fixture(scope="module")
def api(library: lb.Library, header: ffi.Header) -> Any:
    return header.bind(library)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append((args.exc_value, args.object)))
    return found


def test_a_python_function_is_passed_as_it_is(api: Any) -> None:
    assert api.apply(lambda x: x + 1, 41) == 42
    assert api.apply(None, 1) == -1


def test_arguments_of_every_kind_arrive(api: Any) -> None:
    seen: list[Any] = []

    def take(*arguments: Any) -> int:
        seen.append((*arguments[:3], bytes(arguments[3]), *arguments[4:]))
        return 9

    assert api.many(take, 1) == 9
    assert seen == [(1, 2, 3.5, b"four", None, 6.25, 7, 8)]


def test_a_function_is_let_go_after_the_call(api: Any) -> None:
    class Callable:
        def __call__(self, x: int) -> int:
            return x

    function = Callable()
    gone = weakref.ref(function)
    assert api.apply(function, 3) == 3
    del function
    gc.collect()
    assert gone() is None


def test_a_callback_of_the_library_lasts_as_long_as_it(library: lb.Library, api: Any) -> None:
    api.keep(library.callback("int keep(int)", lambda x: x * 3))
    gc.collect()
    assert api.call_kept(5) == 15


def test_a_callback_that_python_let_go_of_ends_the_process_with_a_message(tmp_path: Any) -> None:
    path = Compiler(tmp_path).shared(SOURCE, flags=["-lpthread"])
    code = f"""
import latebind
library = latebind.load({str(path)!r})
library.function("void keep(int (*f)(int))")(lambda x: x)
library.function("int call_kept(int)")(1)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == -6
    assert run.stderr.splitlines()[0] == "latebind: C code called a callback that Python has let go of"


def test_functions_in_a_structure_are_kept_with_it(api: Any, header: ffi.Header) -> None:
    operations = header.operations(lambda x: x + 1, lambda text, number: len(bytes(text)) + int(number * 2))
    gc.collect()
    assert api.run(operations, 10) == 11 + 6


def test_an_exception_is_raised_by_the_call(api: Any, reported: list[Any]) -> None:
    calls: list[int] = []

    def fails(x: int) -> int:
        calls.append(x)
        raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError, match="in the callback"):
        api.repeat(fails, 1000)
    assert calls == [0]  # not entered again
    assert reported == []
    assert api.apply(lambda x: x, 1) == 1  # and nothing is left of it


def test_other_callbacks_of_the_call_go_on_and_their_exceptions_are_reported(api: Any, reported: list[Any]) -> None:
    def first(_x: int) -> int:
        raise KeyError("first")

    def second(x: int) -> int:
        raise IndexError(x)

    with pytest.raises(KeyError, match="first"):
        api.twice(first, second, 1)
    assert [(type(e), e.args, f) for e, f in reported] == [(IndexError, (0,), second)]


def test_a_result_that_does_not_fit_is_raised_too(api: Any) -> None:
    with pytest.raises(OverflowError, match=r"int \(\*\)\(int\), result of <function .*: 1099511627776 does not fit"):
        api.apply(lambda _x: 1 << 40, 1)
    with pytest.raises(TypeError, match="expected an integer, not NoneType"):
        api.apply(lambda _x: None, 1)


def test_an_exception_passes_through_nested_calls(api: Any) -> None:
    def inner(x: int) -> int:
        return int(api.apply(outer, x)) if x else 1 // x

    def outer(x: int) -> int:
        return inner(x - 1)

    with pytest.raises(ZeroDivisionError):
        api.apply(outer, 5)


def test_a_callback_without_a_call_reports_its_exceptions(api: Any, reported: list[Any]) -> None:
    def fails(_x: int) -> int:
        raise ZeroDivisionError("alone")

    callback = ffi.parse_prototype("int f(int)").callback(fails)
    assert api.apply(callback, 1) == 0
    assert [str(e) for e, _ in reported] == ["alone"]
    assert api.from_thread(fails) == 0  # and so does one that another thread calls
    assert [str(e) for e, _ in reported] == ["alone"] * 2


def test_another_thread_may_call(api: Any) -> None:
    seen: list[int] = []

    def take(x: int) -> int:
        seen.append(threading.get_native_id())
        return x + 2

    assert api.from_thread(take) == 22
    assert seen[0] != threading.get_native_id()


def test_errno_is_the_callers_unless_the_callback_sets_it(api: Any) -> None:
    assert api.errno_after(lambda _x: int(os.path.exists("/nowhere")), errno.EDOM) == errno.EDOM  # which is ENOENT
    assert api.errno_after(lambda _x: ffi.set_errno(errno.EPERM), errno.EDOM) == errno.EPERM
    assert ffi.errno() == errno.EPERM


def test_a_callback_is_called_a_million_times_without_a_leak(api: Any) -> None:
    before = sys.getrefcount(None)
    assert api.repeat(lambda _x: 1, 100_000) == 100_000
    api.repeat(lambda x: x, 100_000)
    assert abs(sys.getrefcount(None) - before) < 100


def test_more_callbacks_than_one_page_of_stubs_can_live_at_once(api: Any) -> None:
    prototype = ffi.parse_prototype("int f(int)")
    made = [prototype.callback(lambda x, n=n: x + n) for n in range(1000)]
    assert len({c.address for c in made}) == 1000
    assert [api.apply(c, 1) for c in made] == [n + 1 for n in range(1000)]


def test_qsort_sorts_by_a_python_function() -> None:
    with lb.load("libc.so.6") as libc:
        qsort = libc.function("void qsort(void *, size_t, size_t, int (*)(const void *, const void *))")
        numbers = array.array("i", [5, -3, 9, 1])
        read = ffi.reader("int")
        qsort(numbers, len(numbers), 4, lambda a, b: read(a) - read(b))
        assert list(numbers) == [-3, 1, 5, 9]


def test_a_callback_says_what_it_is() -> None:
    callback = ffi.parse_prototype("int f(int x)").callback(abs)
    assert repr(callback) == f"<Callback int f(int x): <built-in function abs> at {callback.address:#x}>"


def test_a_variadic_callback_is_refused() -> None:
    with pytest.raises(lb.Unsupported, match="variable arguments"):
        ffi.parse_prototype("int f(const char *, ...)").callback(print)
