"""The host's threads for calls that are awaited: few, shared by all plugins, and no queue behind them.

A call gets a thread when one is free and its plugin may be called: a serial plugin has one thread at a time, so a slow
one cannot take the threads of all others. Until then it is nothing but its caller, suspended: that is the
back-pressure, and all memory it takes is the caller's own. With `waiting` the host refuses (`Overloaded`) what would
be one more.

The threads are daemons: a native call that never returns does not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections import deque
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from latebind.errors import LifecycleError, Overloaded
from latebind.plugin.events import CallRefused, CallTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts import Deadline
    from latebind.plugin.slot import Slot

R = TypeVar("R")

THREADS: Final = min(32, (os.cpu_count() or 1) + 4)
"""How many threads there are unless told otherwise: as many as `concurrent.futures` takes for waiting work."""


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """What a host's threads do at one moment.

    `threads` is how many there may be, `running` how many are in a call, `waiting` how many calls wait for one.
    `abandoned` of the running ones have no caller any more: it was cancelled, or its deadline passed.
    """

    threads: int
    running: int
    waiting: int
    abandoned: int


class _Call:
    """One call on its way to a thread and back."""

    __slots__ = ("abandoned", "deadline", "ended", "future", "loop", "operation", "started", "work")

    def __init__(self, operation: str, deadline: Deadline, function: Callable[[], object]) -> None:
        self.operation, self.deadline = operation, deadline
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        context = copy_context()
        self.work: Callable[[], object] = partial(context.run, deadline.run, function)
        self.started = self.ended = self.abandoned = False  # under the lock of the workers

    def deliver(self, answer: object, error: BaseException | None) -> None:
        """In the loop's thread. What nobody waits for any more is dropped; a handle among it closes by that."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(answer)
        else:
            self.future.set_exception(error)


@dataclass(slots=True)
class _Lane:
    """The calls of one plugin."""

    slot: Slot
    running: int = 0
    waiting: deque[_Call] = field(default_factory=deque)

    def open(self, threads: int) -> bool:
        """Whether its next call may begin."""
        generation = self.slot.generation
        parallel = generation is not None and generation.manifest.parallel
        return bool(self.waiting) and self.running < (threads if parallel else 1)


class Workers:
    """Up to `threads` threads, and at most `waiting` calls that wait for each plugin (None: any number of callers).

    ValueError for numbers that make no sense.
    """

    def __init__(self, threads: int = THREADS, *, waiting: int | None = None) -> None:
        if threads < 1 or (waiting is not None and waiting < 0):
            raise ValueError(
                f"expected at least one thread and no negative number of waiting calls, not {threads}, {waiting}"
            )
        self.threads, self.waiting = threads, waiting
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._work: queue.SimpleQueue[tuple[_Lane, _Call] | None] = queue.SimpleQueue()
        self._started = self._running = self._abandoned = 0
        self._closed = False

    async def run(self, slot: Slot, operation: str, deadline: Deadline, function: Callable[[], R]) -> R:
        """The answer of `function`, called in one of the threads, governed by `deadline`.

        Raises `CallTimeout` when that passes, and `Overloaded`. Whether cancelled or too late: what has not begun is
        never called, and what runs is told (`Deadline.cancel`), and ends when it ends.
        """
        call = _Call(operation, deadline, function)
        lane = self._submit(slot, call)
        left = deadline.remaining
        timer = None if left is None else call.loop.call_later(left, self._expire, lane, call)
        try:
            return await call.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            deadline.cancel()
            self._give_up(lane, call)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            del call  # whose future has the error, whose traceback has this frame

    def statistics(self) -> WorkerStatistics:
        """What the threads do now."""
        with self._lock:
            waiting = sum(len(lane.waiting) for lane in self._lanes.values())
            return WorkerStatistics(self.threads, self._running, waiting, self._abandoned)

    def close(self) -> None:
        """Let the threads end with what they do now. Calls that wait raise `LifecycleError`. More than once is fine."""
        with self._lock:
            self._closed = True
            calls = [(lane, call) for lane in self._lanes.values() for call in lane.waiting]
            for lane in self._lanes.values():
                lane.waiting.clear()
            for _ in range(self._started):
                self._work.put(None)
        for lane, call in calls:
            _deliver(call, None, LifecycleError(lane.slot.plugin, f"call {call.operation}", "the host is closed"))

    def _submit(self, slot: Slot, call: _Call) -> _Lane:
        with self._lock:
            if self._closed:
                raise LifecycleError(slot.plugin, f"call {call.operation}", "the host is closed")
            lane = self._lanes.setdefault(slot.plugin, _Lane(slot))
            lane.waiting.append(call)
            self._dispatch()
            full = self.waiting is not None and not call.started and len(lane.waiting) > self.waiting
            if full:
                lane.waiting.remove(call)
        if full:
            waiting = len(lane.waiting)
            slot.home.emit(CallRefused(plugin=slot.plugin, operation=call.operation, waiting=waiting))
            raise Overloaded(slot.plugin, waiting)
        return lane

    def _dispatch(self) -> None:
        """Under the lock: start what can start, the lanes in turn."""
        progress = True
        while progress and self._running < self.threads:
            progress = False
            for name, lane in list(self._lanes.items()):
                if self._running < self.threads and lane.open(self.threads):
                    call = lane.waiting.popleft()
                    call.started = True
                    lane.running += 1
                    self._running += 1
                    self._lanes[name] = self._lanes.pop(name)  # to the end: the others come first next time
                    self._work.put((lane, call))
                    progress = True
        while self._started < self._running:
            threading.Thread(target=self._serve, name=f"latebind-worker-{self._started}", daemon=True).start()
            self._started += 1

    def _serve(self) -> None:
        """What a thread does."""
        while (work := self._work.get()) is not None:
            lane, call = work
            answer, error = None, None
            try:
                answer = call.work()
            except BaseException as e:  # noqa: BLE001 - it is raised where the call is awaited
                error = e
            with self._lock:
                lane.running -= 1
                self._running -= 1
                call.ended = True
                self._abandoned -= call.abandoned
                self._dispatch()
            _deliver(call, answer, error)
            del work, lane, call, answer, error  # nothing of a call lives until the next one

    def _expire(self, lane: _Lane, call: _Call) -> None:
        """In the loop's thread: its time has passed."""
        if call.future.done():
            return
        error = call.deadline.error(lane.slot.plugin, call.operation)
        call.deadline.cancel()
        call.future.set_exception(error)
        self._give_up(lane, call)
        seconds = getattr(error, "seconds", 0.0)
        lane.slot.home.emit(CallTimedOut(plugin=lane.slot.plugin, operation=call.operation, seconds=seconds))

    def _give_up(self, lane: _Lane, call: _Call) -> None:
        """Nobody waits for it: take it out of the lane, or count it while it runs."""
        with self._lock:
            if call.started:
                # Once, also where the time was over and the task cancelled in the same turn of the loop.
                if not call.ended and not call.abandoned:
                    call.abandoned = True
                    self._abandoned += 1
            elif call in lane.waiting:
                lane.waiting.remove(call)


def _deliver(call: _Call, answer: object, error: BaseException | None) -> None:
    try:
        call.loop.call_soon_threadsafe(call.deliver, answer, error)
    except RuntimeError:  # the loop is closed, and with it everyone who could have waited
        if not call.loop.is_closed():
            raise
