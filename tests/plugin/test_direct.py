"""One native plugin calls another without Python between: every kind of value, errors, locks, and reloads meanwhile."""

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind import Host, PluginError, PluginSuspended, contract, quick
from latebind._core import Link
from latebind.contracts import Contract, Version, declaration
from latebind.contracts.cdecl import by_pointer
from latebind.contracts.model import ATTRIBUTE, Method
from latebind.contracts.types import ListOf, Record
from latebind.plugin import MethodStatistics
from latebind.plugin.breaker import BackOff
from latebind.testing import everything_allowed
from support.kinds import METHODS, echo_body, values
from support.plugins import PluginFolder

MIRROR = Contract("test.mirror", Version(1, 0, 0), tuple(METHODS.values()), name="Mirror")
PASSES = Contract("test.passes", Version(1, 0, 0), tuple(METHODS.values()), name="Passes")
Mirror, Passes = (type(c.name, (), {ATTRIBUTE: c}) for c in (MIRROR, PASSES))


def links(host: Host, plugin: str) -> list[Link]:
    return list(host._slots[plugin]._links)


def counted(host: Host, plugin: str, method: str) -> MethodStatistics:
    [status] = [s for s in host.plugins() if s.id == plugin]
    [found] = [m for m in status.methods if m.method == method]
    return found


def mirror_source() -> str:
    parts = ['#include "test_mirror.h"\nLATEBIND_PLUGIN("test.mirror", "1.0.0")\nLATEBIND_PROVIDES(test_mirror)']
    for method in MIRROR.methods:
        kind: Any = method.result
        parts.append(f"{declaration(MIRROR, method)} {{ (void)ctx; {echo_body(kind, MIRROR.prefix)} }}")
    return "\n".join(parts)


def handed_on(method: Method) -> str:
    """The types of the two contracts are the same under different names."""
    value = "(const void *)value" if by_pointer(method.parameters[0].kind) else "value"
    if isinstance(method.result, ListOf) and isinstance(method.result.element, Record):
        value = f"(test_mirror_list_{method.result.element.title}){{(const void *)value.data, value.size}}"
    return f"return test_mirror_{method.name}(ctx, {value}, (void *)result);"


def passes_source() -> str:
    parts = ['#include "test_mirror.h"\n#include "test_passes.h"\nLATEBIND_PLUGIN("test.passes", "1.0.0")']
    parts.append("LATEBIND_PROVIDES(test_passes)")
    return "\n".join([*parts, *(f"{declaration(PASSES, m)} {{ {handed_on(m)} }}" for m in PASSES.methods)])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Any]]:
    plugins = PluginFolder(tmp_path_factory.mktemp("direct"))
    both = (Mirror, Passes)
    plugins.add(
        "test.mirror", mirror_source(), contracts=both, provides=[{"contract": "test.mirror", "version": "1.0.0"}]
    )
    plugins.add(
        "test.passes", passes_source(), contracts=both,
        provides=[{"contract": "test.passes", "version": "1.0.0"}],
        requires=[{"contract": "test.mirror", "version": "^1"}],
    )  # fmt: skip
    with Host(everything_allowed(), contracts=both) as host:
        host.discover(plugins.root)
        host.load("test.passes")
        yield host, host.get(Passes)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_value_comes_through_both_plugins_unchanged(
    chain: tuple[Host, Any], name: str, data: st.DataObject
) -> None:
    host, passes = chain
    value, method = data.draw(values(METHODS[name].parameters[0].kind)), METHODS[name].name
    before = counted(host, "test.mirror", method).calls
    assert getattr(passes, method)(value) == value
    assert counted(host, "test.mirror", method).calls == before + 1


def test_no_function_of_python_runs_between_the_plugins(chain: tuple[Host, Any]) -> None:
    host, passes = chain
    assert all(link.direct for link in links(host, "test.mirror"))
    method, ran = getattr(passes, METHODS["str"].name), []
    method("warm")
    sys.setprofile(lambda frame, event, _: ran.append(frame.f_code.co_name) if event == "call" else None)
    try:
        method("late binding")
    finally:
        sys.setprofile(None)
    assert ran == []


@contract("test.base", version="1.0.0")
class Base(Protocol):
    """What one plugin provides."""

    def add(self, amount: int) -> int:
        """Add, and answer the sum."""
        ...

    def text(self, text: str) -> str:
        """A text of the plugin's own, which the next call changes."""
        ...

    def inside(self, turns: int) -> int:
        """The most threads that were inside at once."""
        ...

    def many(
        self,
        a: int,
        b: float,
        c: str,
        d: bytes,
        e: int,
        f: float,
        g: str,
        h: int,
        i: list[int],
        j: bool,  # noqa: FBT001
    ) -> str:
        """Their values."""
        ...


@contract("test.user", version="1.0.0")
class User(Protocol):
    """What uses it."""

    def add(self, amount: int) -> int:
        """By the other one."""
        ...

    @quick
    def add_quickly(self, amount: int) -> int:
        """By the other one, with the interpreter lock."""
        ...

    def twice(self, text: str) -> str:
        """Both answers of the other one."""
        ...

    def inside(self, turns: int) -> int:
        """By the other one."""
        ...

    def many(self) -> str:
        """By the other one."""
        ...

    def broken(self, how: int) -> str:
        """Something that must fail."""
        ...


BASE = r"""
#include "test_base.h"
#include <stdio.h>
#include <string.h>
LATEBIND_PLUGIN("test.base", "1.0.0")
LATEBIND_PROVIDES(test_base)
static int64_t sum;
static int now, most;
static char own[64];
lb_status test_base_add(lb_context *ctx, int64_t amount, int64_t *result)
{
    if (amount < 0)
        return amount == -2 ? LB_NOT_PROVIDED : lb_fail(ctx, "%d is negative", (int)amount);
    *result = __atomic_add_fetch(&sum, amount, __ATOMIC_SEQ_CST);
    return LB_OK;
}
lb_status test_base_text(lb_context *ctx, lb_str text, lb_str *result)
{
    if (!text.data || text.data[text.size])
        return lb_fail(ctx, "no terminated text");
    if (text.size == 4 && !memcmp(text.data, "wild", 4)) {
        result->data = (const char *)16;
        result->size = 3;
        return LB_OK;
    }
    if (text.size == 4 && !memcmp(text.data, "long", 4)) {
        result->data = own;
        result->size = (size_t)1 << 40;
        return LB_OK;
    }
    snprintf(own, sizeof own, "%s%d", text.data, (int)++sum);
    *result = lb_text(own);
    return LB_OK;
}
lb_status test_base_inside(lb_context *ctx, int64_t turns, int64_t *result)
{
    int here = __atomic_add_fetch(&now, 1, __ATOMIC_SEQ_CST), seen = most;
    (void)ctx;
    while (here > seen && !__atomic_compare_exchange_n(&most, &seen, here, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    while (turns-- && __atomic_load_n(&most, __ATOMIC_SEQ_CST) < 2)
        ;
    __atomic_sub_fetch(&now, 1, __ATOMIC_SEQ_CST);
    *result = __atomic_load_n(&most, __ATOMIC_SEQ_CST);
    return LB_OK;
}
lb_status test_base_many(lb_context *ctx, int64_t a, double b, lb_str c, lb_bytes d, int64_t e, double f, lb_str g,
                         int64_t h, lb_list_i64 i, bool j, lb_str *result)
{
    char *text = lb_alloc(ctx, 200);
    snprintf(text, 200, "%d %g %s %d %d %g %s %d %d %d", (int)a, b, c.data, d.data[1], (int)e, f, g.data, (int)h,
             (int)i.data[i.size - 1], j);
    *result = lb_text(text);
    return LB_OK;
}
lb_status lb_save(lb_context *ctx, uint32_t *schema, lb_bytes *state)
{ (void)ctx, (void)schema; state->data = (const uint8_t *)&sum; state->size = sizeof sum; return LB_OK; }
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{ (void)ctx, (void)schema; memcpy(&sum, state.data, sizeof sum); return LB_OK; }
"""
USER = r"""
#include "test_base.h"
#include "test_user.h"
#include <string.h>
LATEBIND_PLUGIN("test.user", "1.0.0")
LATEBIND_PROVIDES(test_user)
lb_status test_user_add(lb_context *ctx, int64_t amount, int64_t *result) { return test_base_add(ctx, amount, result); }
lb_status test_user_add_quickly(lb_context *ctx, int64_t amount, int64_t *result)
{ return test_base_add(ctx, amount, result); }
lb_status test_user_inside(lb_context *ctx, int64_t turns, int64_t *result)
{ return test_base_inside(ctx, turns, result); }
lb_status test_user_twice(lb_context *ctx, lb_str text, lb_str *result)
{
    lb_str part = {text.data, text.size - 1}, one, two; /* not terminated */
    char *both = lb_alloc(ctx, 128);
    if (test_base_text(ctx, part, &one) || test_base_text(ctx, part, &two))
        return lb_fail(ctx, "no text");
    memcpy(both, one.data, one.size);
    memcpy(both + one.size, two.data, two.size);
    result->data = both;
    result->size = one.size + two.size;
    return LB_OK;
}
lb_status test_user_many(lb_context *ctx, lb_str *result)
{
    static const uint8_t data[] = {7, 8};
    static const int64_t numbers[] = {1, 99};
    lb_bytes bytes = {data, 2};
    lb_list_i64 list = {numbers, 2};
    return test_base_many(ctx, 1, 0.5, lb_text("c"), bytes, -5, 0.25, lb_text("g"), 6, list, true, result);
}
lb_status test_user_broken(lb_context *ctx, int64_t how, lb_str *result)
{
    lb_str nowhere = {0, 5}, nothing = {0, 0};
    int64_t number;
    switch (how) {
    case 0: return test_base_text(ctx, nowhere, result);
    case 1: return test_base_text(ctx, lb_text("wild"), result);
    case 2: return test_base_text(ctx, lb_text("x"), 0);
    case 3: return test_base_add(0, 1, &number);
    case 4: return test_base_add(ctx, -2, &number);
    case 5:
        *result = lb_text("lives");
        return test_base_add(ctx, -1, &number) == LB_FAILED ? LB_OK : LB_FAILED;
    case 7: return test_base_text(ctx, lb_text("long"), result);
    default: return test_base_text(ctx, nothing, result);
    }
}
"""
PYTHON_BASE = """
class Plugin:
    def __init__(self, context): self.sum = 0
    def add(self, amount):
        self.sum += amount
        return 1000 + self.sum
    def text(self, text): return text
    def inside(self, turns): return 1
    def many(self, *values): return str(values)
"""


class Pair:
    """The two plugins in a host."""

    def __init__(self, plugins: PluginFolder, host: Host) -> None:
        self.plugins, self.host = plugins, host

    def base(self, **manifest: Any) -> None:
        provides = [{"contract": "test.base", "version": "1.0.0"}]
        self.plugins.add("test.base", BASE, contracts=(Base,), provides=provides, **manifest)

    def start(self) -> User:
        provides = [{"contract": "test.user", "version": "1.0.0"}]
        requires = [{"contract": "test.base", "version": "^1"}]
        self.plugins.add(
            "test.user", USER, contracts=(Base, User), provides=provides, requires=requires, concurrency="parallel"
        )
        self.host.discover(self.plugins.root)
        self.host.load("test.user")
        return self.host.get(User)


@pytest.fixture
def pair(plugins: PluginFolder) -> Iterator[Pair]:
    with Host(everything_allowed(), contracts=[Base, User]) as host:
        yield Pair(plugins, host)


@pytest.fixture
def user(pair: Pair) -> User:
    pair.base()
    return pair.start()


def test_texts_are_terminated_and_answers_outlive_the_next_call(user: User) -> None:
    assert user.twice("abcX") == "abc1abc2"


def test_an_answer_that_leaves_the_plugins_image_is_refused(user: User) -> None:
    with pytest.raises(PluginError, match="its result breaks the contract"):
        user.broken(7)


def test_arguments_on_the_stack_and_in_every_register_arrive(user: User) -> None:
    assert user.many() == "1 0.5 c 8 -5 0.25 g 6 99 1"


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (0, "ValueError: parameter text: a null pointer with a length of 5"),
        (1, "its result breaks the contract: 3 bytes at 0x10 are not readable memory"),
        (2, "ValueError: the plugin gave a null pointer for the result"),
        (3, "it failed without saying why"),
        (4, "it is not provided"),
    ],
)
def test_what_cannot_be_passed_on_is_told_as_by_way_of_python(user: User, how: int, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        user.broken(how)


def test_a_caller_may_live_with_a_failure(user: User) -> None:
    assert user.broken(5) == "lives"


def test_the_empty_text_has_an_address(user: User) -> None:
    assert user.broken(6) == "1"


def test_an_error_names_both_plugins(pair: Pair, user: User) -> None:
    with pytest.raises(PluginError, match=r"test\.base\.add: PluginError: plugin test\.base 1\.0\.0") as caught:
        user.add(-1)
    cause = caught.value.__cause__
    assert isinstance(cause, PluginError)
    assert (cause.plugin, cause.method, str(cause)[-13:]) == ("test.base", "test.base.add", "-1 is negative"[-13:])
    found = counted(pair.host, "test.base", "add")
    assert (found.calls, found.errors, found.running) == (1, 1, 0)


def test_a_caller_that_keeps_the_interpreter_lock_goes_by_way_of_python(pair: Pair, user: User) -> None:
    assert [user.add_quickly(2), user.add(3)] == [2, 5]
    assert counted(pair.host, "test.base", "add").calls == 2


def test_a_python_plugin_is_reached_by_way_of_python(pair: Pair) -> None:
    pair.plugins.python("test.base", PYTHON_BASE, provides=[{"contract": "test.base", "version": "1.0.0"}])
    user = pair.start()
    assert user.add(3) == 1003
    assert not any(link.direct for link in links(pair.host, "test.base"))


def test_a_time_limit_of_the_provider_is_not_passed_by(pair: Pair) -> None:
    pair.base(limits={"call_time": "1m"})
    user = pair.start()
    assert user.add(3) == 3
    assert not any(link.direct for link in links(pair.host, "test.base"))


def test_a_breaker_that_counts_calls_is_not_passed_by(plugins: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Base, User], back_off=BackOff(calls=2, delay=60)) as host:
        pair = Pair(plugins, host)
        pair.base()
        user = pair.start()
        assert not any(link.direct for link in links(host, "test.base"))
        assert user.broken(5) == user.broken(5) == "lives"
        with pytest.raises(PluginSuspended, match=r"test\.base"):
            host.get(Base).add(1)


@pytest.mark.parametrize("concurrency", ["serial", "parallel"])
def test_a_serial_plugin_is_called_by_one_thread_at_a_time(pair: Pair, concurrency: str) -> None:
    pair.base(concurrency=concurrency)
    user, seen = pair.start(), []
    turns = 1000 if concurrency == "serial" else 1 << 33  # until another one is inside

    def call() -> None:
        seen.append(user.inside(turns))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(seen) == (1 if concurrency == "serial" else 2)


@pytest.mark.parametrize("concurrency", ["serial", "parallel"])
def test_each_call_is_answered_once_while_the_provider_is_reloaded(pair: Pair, concurrency: str) -> None:
    pair.base(concurrency=concurrency)
    user, stop, failures = pair.start(), threading.Event(), []  # type: tuple[User, threading.Event, list[Exception]]
    answers: list[list[int]] = [[] for _ in range(4)]

    def call(mine: list[int], method: Any) -> None:
        try:
            while not stop.wait(0.0001):
                mine.extend(method(1) for _ in range(10))
        except Exception as e:  # noqa: BLE001 - told below
            failures.append(e)

    other = pair.host.get(Base)
    ways = [user.add, user.add, user.add_quickly, other.add]
    threads = [threading.Thread(target=call, args=pairing) for pairing in zip(answers, ways, strict=True)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        pair.host.reload("test.base")
    stop.set()
    for thread in threads:
        thread.join(20)
    sums = sorted(n for mine in answers for n in mine)
    assert failures == []
    assert sums == list(range(1, len(sums) + 1))
    assert all(answers)
    assert other.add(0) == len(sums)
    assert counted(pair.host, "test.base", "add").calls == len(sums) + 1
    assert all(link.direct for link in links(pair.host, "test.base"))


def test_calls_wait_while_the_provider_is_held(pair: Pair, user: User) -> None:
    gate, answered = pair.host._slots["test.base"].gate, threading.Event()

    def call() -> None:
        user.add(1)
        answered.set()

    thread = threading.Thread(target=call)
    with gate.hold("test", 10):
        thread.start()
        assert not answered.wait(0.05)
    assert answered.wait(10)
    thread.join()


def test_links_end_with_the_plugin_that_uses_them(pair: Pair, user: User) -> None:
    user.add(1)
    found = [weakref.ref(link) for link in links(pair.host, "test.base")]
    pair.host.reload("test.user")
    gc.collect()
    assert found
    assert [ref() for ref in found] == [None] * len(found)
    assert user.add(1) == 2
