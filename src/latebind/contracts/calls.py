"""The calls that are under way in one plugin: each has a context, taken from a pool and given back.

A service that a plugin calls is handed the context's address and nothing else; `CallPool.find` turns it back into the
call, and refuses an address that belongs to no call of this plugin.
"""

from __future__ import annotations

from latebind._core import Context


class Call:
    """One call under way: its context, and the exception of a service that failed within it."""

    __slots__ = ("cause", "context")

    def __init__(self) -> None:
        self.context = Context()
        self.cause: BaseException | None = None


class CallPool:
    """The contexts of one loaded plugin. Any thread may begin and end calls."""

    def __init__(self) -> None:
        self.state = 0
        """The plugin's state pointer (a RuntimeAddress), which every call starts with."""
        self._idle: list[Call] = []
        self._running: dict[int, Call] = {}

    def begin(self) -> Call:
        """A call with an empty context."""
        # list.pop and dict assignment are atomic, with and without the interpreter lock: no lock is needed here.
        try:
            call = self._idle.pop()
        except IndexError:
            call = Call()
        call.context.state = self.state
        self._running[call.context.address] = call
        return call

    def end(self, call: Call) -> None:
        """Give the context back; everything that it allocated ends."""
        del self._running[call.context.address]
        call.cause = None
        call.context.reset()
        self._idle.append(call)

    def find(self, address: int | None) -> Call | None:
        """The running call whose context lies at `address`, or None."""
        return self._running.get(address or 0)
