"""The gate in front of a plugin's calls: open, or held while the code behind it is exchanged.

A call enters and leaves. `hold` lets no new call in and waits until those inside have left; calls that arrive in the
meantime wait outside, and go in when the gate opens again. So each call runs in exactly one generation of the code.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from latebind.errors import LifecycleError, PluginTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A = TypeVar("A")
R = TypeVar("R")


class Gate:
    """Counts the calls inside; `plugin` names it in errors."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._changed = threading.Condition(threading.Lock())
        # Thread → how many calls within each other it has inside. Only the thread itself touches its entry, so that a
        # call takes no lock: it writes its entry and then looks at `_held`; who holds writes `_held` and then looks at
        # the entries, so one of the two sees the other.
        self._inside: dict[int, int] = {}
        self._held = False

    def enter(self) -> None:
        """Begin a call; waits while the gate is held.

        A call from within a call of the same thread never waits: the outer one could not end, and whoever holds the
        gate waits for just that.
        """
        me = get_ident()
        inside = self._inside
        if me in inside:
            inside[me] += 1
            return
        inside[me] = 1
        if self._held:
            self._wait_outside(me)

    def leave(self) -> None:
        """End a call."""
        me = get_ident()
        inside = self._inside
        if inside[me] > 1:
            inside[me] -= 1
            return
        del inside[me]
        if self._held:
            self._tell()

    def around(self, function: Callable[[A], R]) -> Callable[[A], R]:
        """`function` within `enter` and `leave`, which costs a fraction of calling those."""
        inside = self._inside

        def call(argument: A) -> R:
            me = get_ident()
            if me in inside:  # within a call of the same thread, which keeps the gate open
                return function(argument)
            try:  # around all of it: an interrupt may come anywhere, also while waiting outside
                inside[me] = 1
                if self._held:
                    self._wait_outside(me)
                return function(argument)
            finally:
                inside.pop(me, None)
                if self._held:
                    self._tell()

        return call

    def _wait_outside(self, me: int) -> None:
        """The gate turned out to be held: step back until it is not."""
        while self._held:
            del self._inside[me]
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._held)
            self._inside[me] = 1

    def _tell(self) -> None:
        """Somebody who holds the gate may wait for this."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def hold(self, operation: str, timeout: float) -> Iterator[None]:
        """Keep new calls out, wait for the running ones to end, and let them in again at the end of the block.

        Raises `PluginTimeout` if calls still run after `timeout` seconds, and `LifecycleError` from within a call of
        the plugin, which would wait for itself; either way the gate is open as before.
        """
        if get_ident() in self._inside:
            raise LifecycleError(self._plugin, operation, "this is one of its own calls, which would wait for itself")
        with self._changed:
            # One holder at a time: the host's lock sees to that.
            self._held = True
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: not self._inside, timeout):
                    raise PluginTimeout(self._plugin, operation, timeout)
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()
