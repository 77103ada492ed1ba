"""The gate in front of a plugin's calls: open, or held while the code behind it is exchanged.

A call enters and leaves. `hold` lets no new call in and waits until those inside have left; calls that arrive in the
meantime wait outside, and go in when the gate opens again. So each call runs in exactly one generation of the code.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from latebind.errors import LifecycleError, PluginTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """Counts the calls inside; `plugin` names it in errors."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._held = False
        self._depth = threading.local()

    def enter(self) -> None:
        """Begin a call; waits while the gate is held.

        A call from within a call of the same thread never waits: the outer one could not end, and whoever holds the
        gate waits for just that.
        """
        depth: int = getattr(self._depth, "value", 0)
        if depth == 0:
            with self._changed:
                while self._held:
                    self._changed.wait()
                self._inside += 1
        self._depth.value = depth + 1

    def leave(self) -> None:
        """End a call."""
        self._depth.value -= 1
        if self._depth.value == 0:
            with self._changed:
                self._inside -= 1
                if self._held:
                    self._changed.notify_all()

    @contextmanager
    def hold(self, operation: str, timeout: float) -> Iterator[None]:
        """Keep new calls out, wait for the running ones to end, and let them in again at the end of the block.

        Raises `PluginTimeout` if calls still run after `timeout` seconds, and `LifecycleError` from within a call of
        the plugin, which would wait for itself; either way the gate is open as before.
        """
        if getattr(self._depth, "value", 0):
            raise LifecycleError(self._plugin, operation, "this is one of its own calls, which would wait for itself")
        with self._changed:
            # One holder at a time: the host's lock sees to that.
            self._held = True
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._inside == 0, timeout):
                    raise PluginTimeout(self._plugin, operation, timeout)
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()
