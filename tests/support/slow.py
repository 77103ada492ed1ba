"""A contract whose methods take as long as a test wants, and a plugin in C and one in Python that provide it."""

# The annotations below are read when the contracts are defined, so this module does without `from __future__`.
from collections.abc import Iterator
from typing import Any, Protocol

from latebind.contracts import Handle, contract


@contract("test.session", version="1.0.0")
class Session(Handle, Protocol):
    """A handle."""

    def ask(self, text: str) -> str:
        """The text, again."""
        ...


@contract("test.slow", version="1.0.0")
class Slow(Protocol):
    """Waits."""

    def wait(self, milliseconds: int) -> int:
        """Wait so long, or until nobody wants the answer; how long that was, in milliseconds."""
        ...

    def sleep(self, milliseconds: int) -> int:
        """Wait so long, whoever wants the answer."""
        ...

    def left(self) -> int:
        """Milliseconds until the deadline, or -1."""
        ...

    def numbers(self, count: int) -> Iterator[int]:
        """From 0 on."""
        ...

    def open(self, name: str) -> Session:
        """A session."""
        ...

    def running(self) -> int:
        """How many iterators and sessions are open."""
        ...


SOURCE = r"""
#define _GNU_SOURCE
#include "test_slow.h"
#include <stdlib.h>
#include <time.h>
LATEBIND_PLUGIN("test.slow", "1.0.0")
LATEBIND_PROVIDES(test_slow)
static int64_t open_things;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void nap(void)
{
    struct timespec t = {0, 1000000};
    nanosleep(&t, 0);
}

lb_status test_slow_wait(lb_context *ctx, int64_t milliseconds, int64_t *result)
{
    int64_t begun = now();
    while (now() - begun < milliseconds * 1000000) {
        if (lb_cancelled(ctx))
            return lb_fail(ctx, "gave up");
        nap();
    }
    *result = (now() - begun) / 1000000;
    return LB_OK;
}

lb_status test_slow_sleep(lb_context *ctx, int64_t milliseconds, int64_t *result)
{
    int64_t begun = now();
    (void)ctx;
    while (now() - begun < milliseconds * 1000000)
        nap();
    *result = (now() - begun) / 1000000;
    return LB_OK;
}

lb_status test_slow_left(lb_context *ctx, int64_t *result)
{
    int64_t at = lb_deadline(ctx);
    *result = at == INT64_MAX ? -1 : (at - now()) / 1000000;
    return LB_OK;
}

struct test_slow_numbers_iterator { int64_t next, end; };

lb_status test_slow_numbers(lb_context *ctx, int64_t count, test_slow_numbers_iterator **result)
{
    (void)ctx;
    *result = malloc(sizeof **result);
    (*result)->next = 0;
    (*result)->end = count;
    __atomic_add_fetch(&open_things, 1, __ATOMIC_RELAXED);
    return LB_OK;
}

lb_status test_slow_numbers_next(lb_context *ctx, test_slow_numbers_iterator *it, int64_t *result)
{
    if (it->next == it->end)
        return LB_END;
    if (it->next == 13)
        return lb_fail(ctx, "13 brings bad luck");
    *result = it->next++;
    return LB_OK;
}

lb_status test_slow_numbers_close(lb_context *ctx, test_slow_numbers_iterator *it)
{
    (void)ctx;
    free(it);
    __atomic_sub_fetch(&open_things, 1, __ATOMIC_RELAXED);
    return LB_OK;
}

struct test_session { int unused; };

lb_status test_slow_open(lb_context *ctx, lb_str name, test_session **result)
{
    if (!name.size)
        return lb_fail(ctx, "a session needs a name");
    *result = malloc(sizeof **result);
    __atomic_add_fetch(&open_things, 1, __ATOMIC_RELAXED);
    return LB_OK;
}

lb_status test_session_ask(lb_context *ctx, test_session *session, lb_str text, lb_str *result)
{
    (void)ctx, (void)session;
    *result = text;
    return LB_OK;
}

lb_status test_session_close(lb_context *ctx, test_session *session)
{
    (void)ctx;
    free(session);
    __atomic_sub_fetch(&open_things, 1, __ATOMIC_RELAXED);
    return LB_OK;
}

lb_status test_slow_running(lb_context *ctx, int64_t *result)
{
    (void)ctx;
    *result = __atomic_load_n(&open_things, __ATOMIC_RELAXED);
    return LB_OK;
}
"""

PYTHON = """
import time
from latebind import Deadline

class Plugin:
    def __init__(self, context):
        pass

    def wait(self, milliseconds):
        begun = time.monotonic()
        while time.monotonic() - begun < milliseconds / 1000:
            if (deadline := Deadline.current()) is not None:
                deadline.check()
            time.sleep(0.001)
        return milliseconds

    def sleep(self, milliseconds):
        time.sleep(milliseconds / 1000)
        return milliseconds

    def left(self):
        deadline = Deadline.current()
        return -1 if deadline is None or deadline.remaining is None else int(deadline.remaining * 1000)

    def numbers(self, count):
        yield from range(count)

    def open(self, name):
        raise ValueError(name)

    def running(self):
        return 0
"""

MANIFEST: dict[str, Any] = {"provides": [{"contract": "test.slow", "version": "1.0.0"}]}
