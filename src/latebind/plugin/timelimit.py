"""How long a plugin's life-cycle functions may take. Code cannot be stopped, but need not be waited for.

A function with a limit runs in a thread of its own. When the limit passes, the host goes on without it: the operation
fails (`PluginTimeout`) and is rolled back, and what the function still uses is let go by its thread when it returns.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from latebind.errors import LatebindError, PluginTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.plugin.generation import Generation, Saved

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that each part of a plugin's life may take; None for as long as it wants, in the calling thread.

    `start` covers constructors, import and lb_init; `stop` lb_fini and destructors; `probation` the whole of a trial
    in another process, which is ended then; the others are named for their functions. While lb_save and lb_restore
    run, callers wait, so these have a limit unless you say otherwise.

    A function with a limit runs in another thread than the host's operation: while it runs, no other operation of
    the same host can, so what it calls (a service, say) must not wait for one.
    """

    start: float | None = None
    stop: float | None = None
    save: float | None = 10.0
    restore: float | None = 10.0
    selftest: float | None = None
    probation: float | None = 30.0


class _Run(Generic[T]):
    """One function in a thread of its own. Exactly one of the two gets what it answers: who waits, or `late`."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._answer: T | None = None
        self._error: BaseException | None = None
        self._late: list[Callable[[], object]] = []

    def work(self) -> None:
        try:
            self._answer = self._call()
        except BaseException as e:  # noqa: BLE001 - raised again by who waits
            self._error = e
        with self._lock:
            self._done.set()
            late = self._late
        for finish in late:
            finish()

    def wait(self, seconds: float) -> bool:
        """Whether it returned in time."""
        return self._done.wait(seconds)

    def answer(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]  # `call` has returned it

    def when_done(self, finish: Callable[[], object]) -> bool:
        """Let its thread call `finish` when it returns; false if it has returned already."""
        with self._lock:
            if self._done.is_set():
                return False
            self._late.append(finish)
            return True

    def result(self) -> T | None:
        """What it answered, None if it raised."""
        return self._answer


class Watchdog:
    """Runs the life-cycle functions of one host's plugins within their limits."""

    def __init__(self, limits: TimeLimits) -> None:
        self._limits = limits
        # Generations in which a function did not return in time, by identity.
        self._overdue: dict[int, _Run[object]] = {}

    def start(self, plugin: str, load: Callable[[], Generation]) -> Generation:
        """Load and start a generation with `load`. What comes too late is closed as soon as it has come."""
        seconds = self._limits.start
        if seconds is None:
            return load()
        run = _begin(load, plugin)
        try:
            if run.wait(seconds):
                return run.answer()
        except BaseException:
            _close_late(run)
            raise
        _close_late(run)
        raise PluginTimeout(plugin, "load", seconds, "it to start")

    def save(self, generation: Generation) -> Saved | None:
        """lb_save within its limit."""
        return self._within(generation, "lb_save", self._limits.save, generation.save)

    def restore(self, generation: Generation, saved: Saved) -> None:
        """lb_restore within its limit."""
        self._within(generation, "lb_restore", self._limits.restore, lambda: generation.restore(saved))

    def selftest(self, generation: Generation) -> bool:
        """lb_selftest within its limit."""
        return self._within(generation, "lb_selftest", self._limits.selftest, generation.selftest)

    def overdue(self, generation: Generation) -> bool:
        """Whether a thread is still in a function of it that did not return in time."""
        run = self._overdue.get(id(generation))
        return run is not None and not run.wait(0)

    def close(self, generation: Generation, stopped: Callable[[], object] = lambda: None) -> list[LatebindError]:
        """Stop and unload a generation, and answer what went wrong; `stopped` is called between the two.

        One in which a function still runs is unloaded by that function's thread, when it returns.
        """
        run = self._overdue.pop(id(generation), None)
        if run is not None and run.when_done(generation.close):
            return [PluginTimeout(generation.manifest.id, "unload", 0, "a function of it that has not returned")]
        try:
            problems = self._within(generation, "lb_fini", self._limits.stop, generation.stop)
            stopped()
            problems += self._within(generation, "unload", self._limits.stop, generation.close)
        except PluginTimeout as e:
            overdue = self._overdue.pop(id(generation), None)
            if overdue is None or not overdue.when_done(generation.close):
                generation.close()
            return [e]
        return problems

    def _within(self, generation: Generation, name: str, seconds: float | None, call: Callable[[], T]) -> T:
        if seconds is None:
            return call()
        run = _begin(call, generation.manifest.id)
        try:
            if run.wait(seconds):
                return run.answer()
        except BaseException:
            self._remember(generation, run)  # an interrupt while waiting: the function runs on
            raise
        self._remember(generation, run)
        raise PluginTimeout(generation.manifest.id, name, seconds, "it to return")

    def _remember(self, generation: Generation, run: _Run[T]) -> None:
        if not run.wait(0):
            self._overdue[id(generation)] = run  # type: ignore[assignment]  # whatever it answers


def _begin(call: Callable[[], T], plugin: str) -> _Run[T]:
    run = _Run(call)
    # A daemon: one that never returns must not keep the process from ending.
    threading.Thread(target=run.work, name=f"latebind: {plugin}", daemon=True).start()
    return run


def _close_late(run: _Run[Generation]) -> None:
    """Close the generation that nobody waits for any more."""

    def close() -> None:
        made = run.result()
        if made is not None:
            made.close()

    if not run.when_done(close):
        close()
