"""What the calls of a plugin left open: handles and iterators, each to be closed exactly once.

By whoever opened it, when it is dropped (at the next call, never from within the garbage collector, which may run in
the middle of one), or at last when the plugin ends.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from latebind.errors import LatebindError


class Closeable(Protocol):
    """A handle or an iterator."""

    def close(self) -> None:
        """End it, once. Raises what the plugin says."""


O = TypeVar("O", bound=Closeable)  # noqa: E741 - an opened thing


class Openings(Generic[O]):
    """The handles and iterators of one loaded plugin that are open, and those that nobody holds any more."""

    def __init__(self) -> None:
        self.abandoned: deque[O] = deque()
        self._open: dict[int, O] = {}

    def remember(self, opened: O) -> O:
        """It is open; gives it back."""
        self._open[id(opened)] = opened
        return opened

    def abandon(self, opened: O) -> None:
        """Nobody holds it any more. The garbage collector may be who says so: it is closed at the next call."""
        self.abandoned.append(opened)

    def forget(self, opened: O) -> None:
        """It is closed, or about to be."""
        self._open.pop(id(opened), None)

    def close_abandoned(self) -> list[LatebindError]:
        """Close what was dropped without closing it; what went wrong, which nobody waits for."""
        problems: list[LatebindError] = []
        while True:
            try:
                opened = self.abandoned.popleft()  # another thread may be faster
            except IndexError:
                return problems
            try:
                opened.close()
            except LatebindError as e:
                problems.append(e.with_traceback(None))

    def close_all(self) -> list[LatebindError]:
        """Close everything that is open, the newest first; what went wrong on the way."""
        self.abandoned.extend(reversed(list(self._open.values())))
        return self.close_abandoned()
