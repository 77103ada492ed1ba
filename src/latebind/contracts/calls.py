"""The calls that are under way in one plugin: each has a context, taken from a pool and given back.

A service that a plugin calls is handed the context's address and nothing else; `CallPool.find` turns it back into the
call, and refuses an address that belongs to no call of this plugin. `CallPool.lent` does the same for the handles and
iterators that services gave the plugin.
"""

from __future__ import annotations

import itertools

from latebind._core import Context


class Call:
    """A call: its context, whether it is under way, and the exception of a service that failed within it."""

    __slots__ = ("address", "cause", "context", "running")

    def __init__(self) -> None:
        self.context = Context()
        self.address = self.context.address
        self.cause: BaseException | None = None
        self.running = False


class CallPool:
    """The contexts of one loaded plugin. Any thread may begin and end calls."""

    def __init__(self) -> None:
        self.state = 0
        """The plugin's state pointer (a RuntimeAddress), which every call starts with."""
        self._idle: list[Call] = []
        self._known: dict[int, Call] = {}
        self._lent: dict[int, tuple[str, object]] = {}
        # Numbers that look like no address, so that a plugin which looks into a handle of the host's fails at once.
        self._numbers = itertools.count(16, 16)

    def begin(self) -> Call:
        """A call with an empty context."""
        # list.pop and dict assignment are atomic, with and without the interpreter lock: no lock is needed here.
        try:
            call = self._idle.pop()
        except IndexError:
            call = Call()
            self._known[call.address] = call
        call.context.state = self.state
        call.running = True
        return call

    def end(self, call: Call) -> None:
        """Give the context back; everything that it allocated ends."""
        call.running = False
        call.cause = None
        call.context.reset()
        self._idle.append(call)

    def find(self, address: int | None) -> Call | None:
        """The running call whose context lies at `address`, or None."""
        call = self._known.get(address or 0)
        return call if call is not None and call.running else None

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
