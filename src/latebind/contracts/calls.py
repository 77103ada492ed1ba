"""The calls that are under way in one plugin: each has a context, taken from a pool and given back.

A service that a plugin calls is handed the context's address and nothing else; `CallPool.find` turns it back into the
call, and refuses an address that belongs to no call of this plugin. `CallPool.lent` does the same for the handles and
iterators that services gave the plugin.
"""

from __future__ import annotations

import itertools

from latebind import _core
from latebind._core import Context as Call

__all__ = ["Call", "CallPool"]


class CallPool(_core.CallPool):
    """The contexts of one loaded plugin. Any thread may begin and end calls.

    As a context manager it is the lock of a `serial` plugin, held around each call; its owner may take it again.
    """

    def __init__(self, *, serial: bool = False) -> None:  # noqa: ARG002 - what the core's constructor takes
        self._lent: dict[int, tuple[str, object]] = {}
        # Numbers that look like no address, so that a plugin which looks into a handle of the host's fails at once.
        self._numbers = itertools.count(16, 16)

    def lend(self, owner: str, thing: object) -> int:
        """A handle for the plugin: a number that stands for `thing`; `owner` is its C type."""
        number = next(self._numbers)
        self._lent[number] = owner, thing
        return number

    def lent(self, owner: str, number: int | None) -> object:
        """What a handle stands for. ValueError for one that is not open, or of another type."""
        found = self._lent.get(number or 0)
        if found is None or found[0] != owner:
            raise ValueError(f"{number or 0:#x} is no open {owner}")
        return found[1]

    def take_back(self, owner: str, number: int | None) -> object:
        """The same, and the handle ends."""
        thing = self.lent(owner, number)
        self._lent.pop(number or 0)
        return thing

    def forget_lent(self) -> list[object]:
        """End all handles; what they stood for."""
        things = [thing for _, thing in self._lent.values()]
        self._lent.clear()
        return things
