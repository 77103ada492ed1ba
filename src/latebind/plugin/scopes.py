"""Services that live for one call: made when a call of a plugin first uses one, closed when the call ends.

Only plugins that require such a service pay for it: their calls go through `CallScopes.around`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from latebind.plugin.generation import Invoke


class _Call:
    """One call of a plugin, and what was made for it by contract id."""

    __slots__ = ("made", "plugin")

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.made: dict[str, object] = {}


class CallScopes:
    """The calls under way in each thread, innermost last."""

    def __init__(self) -> None:
        self._local = threading.local()

    def around(self, plugin: str) -> Callable[[Invoke], Invoke]:
        """What makes of a plugin's method one whose calls have a scope."""
        local = self._local

        def wrap(invoke: Invoke) -> Invoke:
            def call(arguments: Sequence[object]) -> object:
                calls: list[_Call] = local.__dict__.setdefault("calls", [])
                scope = _Call(plugin)
                calls.append(scope)
                try:
                    answer = invoke(arguments)
                except BaseException as e:
                    calls.pop()
                    for problem in close_all(scope.made.values()):
                        e.add_note(f"and, on closing a service of this call: {type(problem).__name__}: {problem}")
                    raise
                calls.pop()
                for problem in close_all(scope.made.values()):
                    raise problem
                return answer

            return call

        return wrap

    def find(self, plugin: str, contract: str, make: Callable[[], object]) -> object | None:
        """The service of the plugin's call under way in this thread, made at its first use; None without a call."""
        calls: list[_Call] = self._local.__dict__.get("calls", [])
        if not calls or calls[-1].plugin != plugin:
            return None
        made = calls[-1].made
        if contract not in made:
            made[contract] = make()
        return made[contract]


def close_all(things: Iterable[object]) -> list[Exception]:
    """Close what has a `close`, the newest first; what went wrong."""
    problems: list[Exception] = []
    for thing in reversed(list(things)):
        close = getattr(thing, "close", None)
        if callable(close):
            try:
                close()
            except Exception as e:  # noqa: BLE001 - a service is the host's code and may raise anything; it is told
                problems.append(e)
    return problems
