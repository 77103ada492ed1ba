"""The gate in front of a plugin's calls: open, or held while the code behind it is exchanged.

A call enters and leaves. `hold` lets no new call in and waits until those inside have left; calls that arrive in the
meantime wait outside, and go in when the gate opens again. So each call runs in exactly one generation of the code.
The core counts (src/core/gate.c): calls through proxies and calls of one native plugin by another pass it in C.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from latebind import _core
from latebind.errors import LifecycleError, PluginTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate(_core.Gate):
    """Counts the calls inside; `plugin` names it in errors.

    A call from within a call of the same thread never waits: the outer one could not end, and whoever holds the gate
    waits for just that.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin

    @contextmanager
    def hold(self, operation: str, timeout: float) -> Iterator[None]:
        """Keep new calls out, wait for the running ones to end, and let them in again at the end of the block.

        Raises `PluginTimeout` if calls still run after `timeout` seconds, and `LifecycleError` from within a call of
        the plugin, which would wait for itself; either way the gate is open as before.
        """
        if self.entered:
            raise LifecycleError(self._plugin, operation, "this is one of its own calls, which would wait for itself")
        # One holder at a time: the host's lock sees to that.
        if not self.close(timeout):
            raise PluginTimeout(self._plugin, operation, timeout)
        try:
            yield
        finally:
            self.open()
