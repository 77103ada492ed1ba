"""What a caller holds of a plugin's handle or iterator. Unlike a proxy it does not outlive a reload.

The pointer behind it belongs to one generation of the plugin's code, and no other could make anything of it: when
that generation goes, the handle is closed, and using it says so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from latebind.contracts.model import CLOSE
from latebind.contracts.native import Ended
from latebind.errors import LatebindError, LifecycleError
from latebind.plugin.limits import within_limit
from latebind.plugin.proxy import entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from latebind import _core
    from latebind.contracts import Contract, Method
    from latebind.plugin.generation import Generation, Invoke, Opened
    from latebind.plugin.slot import Slot


class _Tie:
    """The tie between what a caller holds and the generation behind it. It never keeps a handle from being dropped."""

    __slots__ = ("generation", "opened", "slot")

    def __init__(self, slot: Slot, generation: Generation, opened: Opened) -> None:
        self.slot, self.generation, self.opened = slot, generation, opened

    @property
    def current(self) -> bool:
        """Whether the generation is the one that serves. Asked within the gate, it stays so until `leave`."""
        return self.slot.generation is self.generation

    @property
    def serves(self) -> bool:
        """Whether it can be used."""
        return self.current and not self.opened.closed

    def require(self, operation: str) -> None:
        """Raise `LifecycleError` unless it can be used."""
        if not self.serves:
            why = "it is closed" if self.current else "the code that it belongs to was unloaded or replaced"
            raise LifecycleError(self.slot.plugin, operation, why)


class Holder:
    """What handles and iterators have in common: they pass the plugin's gate, and close once."""

    def __init__(self, slot: Slot, generation: Generation, opened: Opened) -> None:
        self._tie = _Tie(slot, generation, opened)

    def close(self) -> None:
        """End it. More than once does no harm; any other use afterwards raises `LifecycleError`."""
        gate = self._tie.slot.gate
        gate.enter()
        try:
            if self._tie.serves:
                self._tie.opened.close()
        finally:
            gate.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except LatebindError as e:
            if error is None:
                raise
            error.add_note(f"and, on closing: {e}")  # the first error is the one to see

    def __del__(self) -> None:
        self._tie.opened.abandon()


class HandleProxy(Holder):
    """A handle: an object with the methods of its contract, closed by `close`, by `with`, or with the plugin."""

    def __getattr__(self, name: str) -> _core.Entry:
        # Only on the first use of each method: what is found is kept on the instance.
        tie = self.__dict__.get("_tie")
        contract = tie.opened.contract if tie is not None else None
        method = contract.method(name) if contract is not None else None
        if tie is None or contract is None or method is None or name == CLOSE:
            raise AttributeError(f"{contract.name if contract is not None else 'a handle'} has no method {name}")
        found = _entry(tie, contract, method)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        contract = self._tie.opened.contract
        return sorted({*super().__dir__(), *(m.name for m in contract.methods)} if contract is not None else [])

    def __repr__(self) -> str:
        contract = self._tie.opened.contract
        state = "open" if self._tie.serves else "closed"
        return f"<{state} {contract.name if contract is not None else ''} of plugin {self._tie.generation.manifest}>"


class _Borrowed(HandleProxy):
    """The handle as the `self` of a default body."""

    def __del__(self) -> None:
        """Nothing ends with it: somebody else holds the handle."""


class IteratorProxy(Holder):
    """An iterator: pulled one item at a time; closed at its end, by `close`, by `with`, or with the plugin."""

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        """The next item. Raises `PluginError` if the plugin fails, which ends the iterator."""
        tie, gate = self._tie, self._tie.slot.gate
        gate.enter()
        try:
            if tie.current and tie.opened.closed:
                raise StopIteration
            tie.require("go on with an iterator")
            around = tie.slot.around
            pull: Callable[[], object] = tie.opened.next
            if around is not None:
                surrounded = around(lambda _: tie.opened.next())
                pull = partial(surrounded, ())
            return within_limit(tie.slot, tie.generation, "the next item of an iterator", pull)
        except Ended:
            raise StopIteration from None
        finally:
            gate.leave()

    def __repr__(self) -> str:
        return f"<{'open' if self._tie.serves else 'closed'} iterator of plugin {self._tie.generation.manifest}>"


def _entry(tie: _Tie, contract: Contract, method: Method) -> _core.Entry:
    """A method of a handle, while it is open and its generation serves."""
    name = f"{contract.id}.{method.name}"
    operation = f"call {name}"
    bound = tie.opened.bind(method, _Borrowed(tie.slot, tie.generation, tie.opened))
    watched = tie.slot.watched(tie.generation, name, bound)

    def invoke(arguments: Sequence[object]) -> object:
        tie.require(operation)
        return watched(arguments)

    def bind() -> tuple[Generation, Invoke]:
        tie.require(operation)
        return tie.generation, invoke

    return entry(tie.slot, contract, method, bind)
