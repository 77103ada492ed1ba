"""Deadlines: how long an answer is wanted, and whether it still is. They are passed on, never enforced.

`with Deadline(2.0): …` governs every call within, of whatever depth: what the caller's thread calls, what that calls in
turn (plugin → service → plugin), and what is awaited (plugin/aio.py). Whoever computes asks: a native plugin
`lb_cancelled(ctx)`, Python code `Deadline.current()`. Code that does not ask runs to its end, because nothing can stop
native code within a process without taking the process along.

Python sees the deadline in a context variable (PEP 567), native code in the thread's token (src/core/token.h).
"""

from __future__ import annotations

import math
import sys
import time
from contextvars import ContextVar
from contextvars import Token as Restore
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from latebind._core import Token
from latebind.errors import CallCancelled, CallTimeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")


class Deadline(Token):
    """How long the answers of calls are wanted: `seconds` from now on, or until `cancel`.

    Within another deadline this one ends with it at the latest. `with` makes it govern the block's calls; the clock is
    CLOCK_MONOTONIC and starts when the object is made. Leaving the block raises nothing: a call that gave up raises
    `CallTimeout` or `CallCancelled`, and one that answers answers.

    Within a coroutine it governs what is awaited in the block; a call that blocks the event loop instead does not see
    it, since the loop's thread serves other tasks too (`run` makes a single call see it there). ValueError for
    a time that is negative or no number.
    """

    _started: int
    _entered: tuple[Restore[Deadline | None], bool, Token | None] | None

    def __new__(cls, seconds: float | None = None) -> Self:
        """Start the clock."""
        parent, now = _current.get(), time.monotonic_ns()
        if seconds is None:
            made = super().__new__(cls, parent=parent)
        else:
            if not seconds >= 0:
                raise ValueError(f"a deadline is a number of seconds from now on, not {seconds}")
            made = super().__new__(cls, _after(now, seconds), parent)
        made._entered = None
        made._started = now
        return made

    @staticmethod
    def current() -> Deadline | None:
        """What governs the calls that are made here, or None."""
        return _current.get()

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, 0 when none are; None without a time."""
        at = self.deadline
        return None if at is None else max(0.0, (at - time.monotonic_ns()) / 1e9)

    @property
    def expired(self) -> bool:
        """Whether its time has passed."""
        return self.remaining == 0

    def check(self) -> None:
        """For Python plugins and services within a long computation: raise what ends the call if it is over."""
        if self.over:
            raise self.error("", "the call")

    def error(self, plugin: str, operation: str) -> CallTimeout | CallCancelled:
        """What a call raises that gave up because this is over."""
        at = self.deadline
        if self.cancelled or at is None:
            return CallCancelled(plugin, operation)
        return CallTimeout(plugin, operation, round(max(0, at - self._started) / 1e9, 6))

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` governed by this deadline, in this thread, also if that is an event loop's."""
        restore, before = _current.set(self), Token.exchange(self)
        try:
            return function(*args, **kwargs)
        finally:
            Token.exchange(before)
            _current.reset(restore)

    def __enter__(self) -> Self:
        if self._entered is not None:
            raise RuntimeError("a Deadline governs one block at a time")
        # A coroutine gives its thread to other tasks at each await; the context variable stays with the task.
        events = sys.modules.get("asyncio.events")  # importing it would take long, and without it there is no loop
        alone = events is None or events._get_running_loop() is None  # noqa: SLF001 - no exception
        self._entered = _current.set(self), alone, Token.exchange(self) if alone else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._entered is not None
        (restore, alone, before), self._entered = self._entered, None
        if alone:
            Token.exchange(before)
        _current.reset(restore)

    def __repr__(self) -> str:
        left = self.remaining
        time_left = "no limit" if left is None else f"{left:g} s left"
        return f"<Deadline: {'cancelled' if self.cancelled else time_left}>"


def thread_deadline() -> Deadline | None:
    """What native code in this thread is governed by."""
    found = Token.current()
    return found if isinstance(found, Deadline) else None


def _after(now: int, seconds: float) -> int:
    """The moment so many seconds after `now`, in nanoseconds; the last one that there is for what is beyond."""
    latest = (1 << 63) - 1
    return latest if math.isinf(seconds) else min(latest, now + int(seconds * 1e9))


_current: ContextVar[Deadline | None] = ContextVar("latebind.deadline", default=None)
