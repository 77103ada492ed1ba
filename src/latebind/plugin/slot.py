"""A slot: the lasting place of a plugin in its host, which generations of its code pass through.

Proxies hold the slot and never a generation. A call goes through the slot's gate, finds the generation of the
moment, and leaves: that is all of late binding on the caller's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LifecycleError
from latebind.plugin.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.contracts import Contract, Method
    from latebind.plugin.generation import Generation, Invoke, Opened


class Slot:
    """Where a plugin of one id stands; `generation` is None while it is not loaded."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.gate = Gate(plugin)
        self.generation: Generation | None = None
        self.numbers = 0
        """How many generations there were: the number of the last one."""

    def hand_out(self, generation: Generation, opened: Opened | None) -> object:
        """A handle or an iterator of the generation, for the caller. It goes through the gate and ends with it."""
        from latebind.plugin.opened import HandleProxy, IteratorProxy

        if opened is None:
            return None
        kind = IteratorProxy if opened.contract is None else HandleProxy
        return kind(self, generation, opened)


class BoundMethod:
    """One method of a proxy: looked up anew in each generation, and remembered within it."""

    __slots__ = ("_contract", "_known", "_method", "_opens", "_proxy", "_slot")

    def __init__(self, slot: Slot, contract: Contract, method: Method, proxy: object) -> None:
        self._slot, self._contract, self._method, self._proxy = slot, contract, method, proxy
        # Generation and function in one tuple, so that another thread never sees one without the other.
        self._known: tuple[Generation, Invoke] | None = None
        self._opens = opens(method)

    def __call__(self, arguments: Sequence[object]) -> object:
        """Call in the generation of the moment; waits while that is being exchanged."""
        gate = self._slot.gate
        gate.enter()
        try:
            known = self._known
            if known is None or known[0] is not self._slot.generation:
                known = self._bind()
            answer = known[1](arguments)
            return self._slot.hand_out(known[0], answer) if self._opens else answer  # type: ignore[arg-type]
        finally:
            gate.leave()

    def _bind(self) -> tuple[Generation, Invoke]:
        generation = self._slot.generation
        if generation is None:
            self._known = None
            raise LifecycleError(self._slot.plugin, f"call {self._contract.id}.{self._method.name}", "it is not loaded")
        self._known = generation, generation.bind(self._contract, self._method, self._proxy)
        return self._known


def opens(method: Method) -> bool:
    """Whether a method answers a handle or an iterator."""
    return isinstance(method.result, IteratorOf) or handle_in(method.result) is not None
