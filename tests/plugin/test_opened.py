"""Handles and iterators: opened by a plugin's method, used, and closed exactly once, whoever lets them go."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

import enum
import gc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from latebind import Host, LifecycleError, NotProvided, PluginError
from latebind.contracts import Handle, contract
from latebind.testing import everything_allowed
from support.plugins import PluginFolder


class Kind(enum.Enum):
    ROOT = 0
    LEAF = 1


@dataclass
class Entry:
    name: str
    kind: Kind


@contract("test.cursor", version="1.0.0")
class Cursor(Handle, Protocol):
    """A place in the store."""

    def next(self, step: int = 1) -> int:
        """Move on."""
        ...

    def double(self) -> int:
        """Later than the plugin."""
        return self.next() * 2

    def missing(self) -> int: ...


@contract("test.store", version="1.0.0")
class Store(Protocol):
    """A store with cursors."""

    def open(self, start: int) -> Cursor: ...

    def find(self, start: int) -> Cursor | None: ...

    def count(self, upto: int, fail_at: int = -1) -> Iterator[int]: ...

    def entries(self, how: int) -> Iterator[Entry]: ...

    def balance(self) -> int:
        """Opened minus closed."""
        ...


SOURCE = r"""
#include "test_store.h"
#include <stdlib.h>
LATEBIND_PLUGIN("test.store", "1.0.0")
LATEBIND_PROVIDES(test_store)
static int64_t balance;
struct test_cursor { int64_t at; };

lb_status test_store_open(lb_context *ctx, int64_t start, test_cursor **result)
{
    if (start == -1) { *result = 0; return LB_OK; }
    if (start == -2) return LB_END;
    if (!(*result = malloc(sizeof **result)))
        return lb_fail(ctx, "no memory");
    (*result)->at = start;
    balance++;
    return LB_OK;
}
lb_status test_store_find(lb_context *ctx, int64_t start, test_cursor **result)
{ return test_store_open(ctx, start, result); }
lb_status test_cursor_next(lb_context *ctx, test_cursor *self, int64_t step, int64_t *result)
{
    if (step < 0)
        return lb_fail(ctx, "cursors do not go back");
    *result = self->at += step;
    return LB_OK;
}
lb_status test_cursor_double(lb_context *ctx, test_cursor *self, int64_t *result)
{ (void)ctx, (void)self, (void)result; return lb_fail(ctx, "never called"); }
lb_status test_cursor_missing(lb_context *ctx, test_cursor *self, int64_t *result)
{ (void)self, (void)result, (void)ctx; return LB_NOT_PROVIDED; }
lb_status test_cursor_close(lb_context *ctx, test_cursor *self)
{
    int64_t at = self->at;
    balance--;
    free(self);
    return at == 666 ? lb_fail(ctx, "the beast stays") : LB_OK;
}
struct test_store_count_iterator { int64_t at, end, fail; };
lb_status test_store_count(lb_context *ctx, int64_t upto, int64_t fail_at, test_store_count_iterator **result)
{
    (void)ctx;
    *result = malloc(sizeof **result);
    (*result)->at = 0, (*result)->end = upto, (*result)->fail = fail_at;
    balance++;
    return LB_OK;
}
lb_status test_store_count_next(lb_context *ctx, test_store_count_iterator *self, int64_t *item)
{
    if (self->at == self->fail)
        return lb_fail(ctx, "it broke at %d", (int)self->at);
    if (self->at == self->end)
        return LB_END;
    *item = self->at++;
    return LB_OK;
}
lb_status test_store_count_close(lb_context *ctx, test_store_count_iterator *self)
{ (void)ctx; free(self); balance--; return LB_OK; }
struct test_store_entries_iterator { int64_t how, at; };
lb_status test_store_entries(lb_context *ctx, int64_t how, test_store_entries_iterator **result)
{
    (void)ctx;
    *result = malloc(sizeof **result);
    (*result)->how = how, (*result)->at = 0;
    balance++;
    return LB_OK;
}
lb_status test_store_entries_next(lb_context *ctx, test_store_entries_iterator *self, test_store_Entry *item)
{
    (void)ctx;
    if (self->at == 2)
        return LB_END;
    item->name = lb_text(self->at++ ? "leaf" : "root");
    item->kind = self->at == 1 ? TEST_STORE_KIND_ROOT : TEST_STORE_KIND_LEAF;
    switch (self->how) {
    case 1: item->kind = 7; return LB_OK;
    case 2: item->name.data = 0; return LB_OK;
    case 3: return 77;
    case 4: lb_fail(ctx, "and yet"); return LB_END;
    }
    return LB_OK;
}
lb_status test_store_entries_close(lb_context *ctx, test_store_entries_iterator *self)
{ (void)ctx; free(self); balance--; return LB_OK; }
lb_status test_store_balance(lb_context *ctx, int64_t *result)
{ (void)ctx; *result = balance; return LB_OK; }
"""
MANIFEST: dict[str, Any] = {"provides": [{"contract": "test.store", "version": "1.0.0"}]}

PYTHON = """
class Cursor:
    def __init__(self, plugin, start):
        self.plugin, self.at = plugin, start
        plugin.opened += 1
    def next(self, step=1):
        if step < 0:
            raise ValueError("cursors do not go back")
        self.at += step
        return self.at
    def missing(self):
        return "not an int"
    def close(self):
        self.plugin.opened -= 1
        if self.at == 666:
            raise ValueError("the beast stays")

class Plugin:
    def __init__(self, context):
        self.opened = 0
    def open(self, start):
        return None if start == -1 else 3 if start == -2 else Cursor(self, start)
    find = open
    def count(self, upto, fail_at=-1):
        self.opened += 1
        try:
            for i in range(upto if upto >= 0 else 1 << 62):
                if i == fail_at:
                    raise ValueError(f"it broke at {i}")
                yield i
        finally:
            self.opened -= 1
    def entries(self, how):
        return [1, 2]
    def balance(self):
        return self.opened
"""


@pytest.fixture(params=["native", "python"])
def store(request: pytest.FixtureRequest, plugins: PluginFolder) -> Iterator[tuple[Host, Store]]:
    if request.param == "native":
        plugins.add("test.store", SOURCE, contracts=(Store,), **MANIFEST)
    else:
        plugins.python("test.store", PYTHON, **MANIFEST)
    with Host(everything_allowed(), contracts=[Store]) as host:
        host.discover(plugins.root)
        host.load("test.store")
        yield host, host.get(Store)


@pytest.fixture
def native(plugins: PluginFolder) -> Iterator[tuple[Host, Store]]:
    plugins.add("test.store", SOURCE, contracts=(Store,), **MANIFEST)
    with Host(everything_allowed(), contracts=[Store]) as host:
        host.discover(plugins.root)
        host.load("test.store")
        yield host, host.get(Store)


Opened = tuple[Host, Store]


def test_a_handle_has_the_methods_of_its_contract(store: Opened) -> None:
    with store[1].open(10) as cursor:
        assert cursor.next() == 11
        assert cursor.next(step=5) == 16
        assert store[1].balance() == 1
        assert "open Cursor of plugin test.store 1.0.0" in repr(cursor)
        assert {"next", "double"} <= set(dir(cursor))
        with pytest.raises(AttributeError):
            cursor.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert store[1].balance() == 0


def test_two_handles_are_two(store: Opened) -> None:
    first, second = store[1].open(0), store[1].open(100)
    assert (first.next(), second.next(), first.next()) == (1, 101, 2)
    first.close()
    assert second.next() == 102
    second.close()
    assert store[1].balance() == 0


def test_a_closed_handle_says_so(store: Opened) -> None:
    cursor = store[1].open(1)
    method = cursor.next
    cursor.close()
    cursor.close()
    with pytest.raises(LifecycleError, match=r"cannot call test\.cursor\.next: it is closed"):
        method()
    assert store[1].balance() == 0
    assert "<closed" in repr(cursor)


def test_a_wrong_argument_and_a_failure_of_a_handle(store: Opened) -> None:
    with store[1].open(1) as cursor:
        with pytest.raises(TypeError, match=r"test\.cursor\.next\(\), parameter step: expected int"):
            cursor.next("x")  # type: ignore[arg-type]
        with pytest.raises(PluginError, match=r"test\.store 1\.0\.0, test\.cursor\.next: .*cursors do not go back"):
            cursor.next(-1)
        assert cursor.next() == 2


def test_a_failing_close_is_told_and_the_handle_is_closed(store: Opened) -> None:
    cursor = store[1].open(666)
    with pytest.raises(PluginError, match="the beast stays"):
        cursor.close()
    cursor.close()
    with pytest.raises(KeyError, match="first") as caught, store[1].open(666):
        raise KeyError("first")
    assert any("the beast stays" in note for note in caught.value.__notes__)


def test_an_optional_handle_may_be_none(store: Opened) -> None:
    assert store[1].find(-1) is None
    found = store[1].find(3)
    assert found is not None
    assert found.next() == 4
    found.close()


def test_a_handle_that_must_not_be_none(store: Opened) -> None:
    with pytest.raises(PluginError, match="its result breaks the contract"):
        store[1].open(-1)
    with pytest.raises(PluginError):
        store[1].open(-2)
    assert store[1].balance() == 0


def test_a_dropped_handle_is_closed_at_the_next_call(store: Opened) -> None:
    cursor = store[1].open(1)
    cursor.next()
    items = store[1].count(5)
    next(items)
    del cursor, items
    gc.collect()
    assert store[1].balance() == 0


def test_the_methods_of_a_handle_are_counted(store: Opened) -> None:
    host, plugin = store
    with plugin.open(10) as cursor:
        cursor.next()
        cursor.next(step=5)
    cursor.close()
    with pytest.raises(LifecycleError, match="it is closed"):
        cursor.next()
    [status] = host.plugins()
    assert [(m.calls, m.errors) for m in status.methods if m.method == "next"] == [(3, 1)]


def test_unloading_closes_what_is_open(native: Opened) -> None:
    host, store = native
    cursor, items = store.open(1), store.count(3)
    next(items)
    assert host.unload("test.store") == ()
    with pytest.raises(LifecycleError, match="unloaded or replaced"):
        cursor.next()
    with pytest.raises(LifecycleError, match="unloaded or replaced"):
        next(items)
    cursor.close()


def test_a_failing_close_does_not_keep_a_plugin_loaded(native: Opened) -> None:
    host, store = native
    cursor = store.open(666)
    problems = host.unload("test.store")
    assert [str(p).rpartition(": ")[2] for p in problems] == ["the beast stays"]
    assert "closed" in repr(cursor)


def test_a_reload_closes_what_is_open(native: Opened) -> None:
    host, store = native
    cursor, items = store.open(1), store.count(3)
    cursor.next()
    report = host.reload("test.store")
    assert report.problems == ()
    with pytest.raises(LifecycleError, match="unloaded or replaced"):
        cursor.next()
    with pytest.raises(LifecycleError, match="unloaded or replaced"):
        list(items)
    with store.open(5) as fresh:
        assert fresh.next() == 6


def test_an_iterator_is_pulled_one_at_a_time(store: Opened) -> None:
    items = store[1].count(3)
    assert [next(items), store[1].balance(), *items] == [0, 1, 1, 2]
    assert store[1].balance() == 0, "it closed itself at its end"
    assert list(items) == []


def test_an_iterator_that_never_ends_can_be_left(store: Opened) -> None:
    with store[1].count(-1) as items:  # type: ignore[attr-defined]
        assert list(itertools.islice(items, 1000)) == list(range(1000))
    assert store[1].balance() == 0
    assert list(items) == []


def test_an_iterator_that_fails_midway_ends_there(store: Opened) -> None:
    items = store[1].count(10, 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(PluginError, match=r"test\.store\.count_next: .*it broke at 2"):
        next(items)
    assert store[1].balance() == 0
    assert list(items) == []


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (1, "7 is no member of Kind"),
        (2, "Entry.name: a null pointer with a length of 4"),
        (3, "unknown status 77"),
        (4, "LB_END, .*: and yet"),
    ],
)
def test_a_wrong_item_is_the_plugins_mistake(native: Opened, how: int, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        list(native[1].entries(how))
    assert native[1].balance() == 0
    assert [entry.name for entry in native[1].entries(0)] == ["root", "leaf"]


def test_items_are_records(native: Opened) -> None:
    assert list(native[1].entries(0)) == [Entry("root", Kind.ROOT), Entry("leaf", Kind.LEAF)]


def test_not_provided_by_a_handle(native: Opened) -> None:
    with native[1].open(1) as cursor, pytest.raises(NotProvided):
        cursor.missing()
