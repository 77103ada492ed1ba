"""Calls of every kind, many times: nothing is left behind, neither references nor memory, also where they fail."""

from __future__ import annotations

import array
import gc
import resource
import sys
from typing import TYPE_CHECKING, Any

import pytest

import latebind as lb
from latebind import ffi
from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = r"""
#include <stddef.h>
struct pair { long a, b; }; struct large { long a[8]; };
int plain(int a, double b) { return a + (int)b; }
size_t text(const char *a, char *b) { return (size_t)(a[0] + b[0]); }
long buffer(const void *data, long size) { return ((const char *)data)[size - 1]; }
struct pair swap(struct pair p) { return (struct pair){p.b, p.a}; }
struct large grow(struct large l) { l.a[7]++; return l; }
void store(int *a, struct pair *p) { *a = 5; p->b = 6; }
int variable(int n, ...) { return n; }
int call(int (*f)(const char *, struct pair), int x) { return f("text", (struct pair){x, x}); }
const char *name(void) { return "a name"; }
"""
HEADER = """
struct pair { long a, b; }; struct large { long a[8]; };
int plain(int a, double b);
size_t text(const char *a, char *b);
long buffer(const void *data, long size);
struct pair swap(struct pair p);
struct large grow(struct large l);
void store(int *a, struct pair *p);
int variable(int n, ...);
int call(int (*f)(const char *, struct pair), int x);
const char *name(void);
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lb.Library]:
    with lb.load(Compiler(tmp_path_factory.mktemp("leaks")).shared(SOURCE), namespace=lb.Namespace()) as made:
        yield made


@pytest.fixture(scope="module")
def cases(library: lb.Library) -> dict[str, tuple[Callable[[], object], list[object]]]:
    """What is done again and again, and objects whose reference counts must not grow by it."""
    header = ffi.Header(HEADER)
    api = header.bind(library)
    store = library.function("store", types=header, out=["a", "p"])
    big, words, data = 1 << 70, "text " * 9, bytearray(100)
    numbers, pair = array.array("l", range(50)), header.pair(1, 2)

    def fails(function: Callable[..., object], *arguments: Any) -> Callable[[], object]:
        def run() -> None:
            with pytest.raises((TypeError, ValueError, OverflowError, ZeroDivisionError)):
                function(*arguments)

        return run

    def broken(_text: object, _pair: object) -> int:
        return 1 // 0

    return {
        "numbers": (lambda: api.plain(1000, 2.5), []),
        "text": (lambda: api.text(words, words), [words]),
        "buffers": (lambda: (api.buffer(data, 100), api.buffer(numbers, 400)), [data, numbers]),
        "records": (lambda: (api.swap(pair), api.swap((1, 2)), api.grow(header.large())), [pair, header.pair]),
        "out": (store, [header.pair]),
        "variable": (lambda: api.variable(1, words, 2.5, data, None, big >> 8), [words, data]),
        "callback": (lambda: api.call(lambda text, p: len(bytes(text)) + p.a, 3), [header.pair]),
        "result": (api.name, []),
        "refused": (fails(api.text, words, 2.5), [words]),
        "too large": (fails(api.plain, big, 1.0), [big]),
        "late refusal": (fails(api.text, bytearray(b"a"), memoryview(b"b")), []),
        "exception": (fails(api.call, broken, 1), [broken, header.pair]),
        "binding": (lambda: library.function("int plain(int, double)"), [library]),
        "values": (lambda: header.pair(1, 2) == header.pair(1, b=2), [header.pair]),
    }


CASES = (
    "numbers", "text", "buffers", "records", "out", "variable", "callback", "result", "refused", "too large",
    "late refusal", "exception", "binding", "values",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_references_are_left(cases: Any, case: str) -> None:
    run, watched = cases[case]
    run()
    gc.collect()
    before = [sys.getrefcount(o) for o in (*watched, None, True)]
    objects = len(gc.get_objects())
    for _ in range(300):
        run()
    gc.collect()
    after = [sys.getrefcount(o) for o in (*watched, None, True)]
    assert all(abs(a - b) < 20 for a, b in zip(after, before, strict=True)), (before, after)
    assert abs(len(gc.get_objects()) - objects) < 100


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_memory_is_left_after_many_calls(cases: Any, case: str) -> None:
    run, _ = cases[case]
    times = 1_000_000 if case in {"numbers", "text", "buffers", "result", "callback"} else 20_000
    for _ in range(times // 10):
        run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(times):
        run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # KiB; one byte a call would be seen
