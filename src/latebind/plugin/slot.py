"""A slot: the lasting place of a plugin in its host, which generations of its code pass through.

Proxies hold the slot and never a generation. A call goes through the slot's gate, finds the generation of the
moment, and leaves: that is all of late binding on the caller's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.errors import LifecycleError
from latebind.plugin.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.contracts import Contract, Method
    from latebind.plugin.generation import Generation, Invoke


class Slot:
    """Where a plugin of one id stands; `generation` is None while it is not loaded."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.gate = Gate(plugin)
        self.generation: Generation | None = None
        self.numbers = 0
        """How many generations there were: the number of the last one."""


class BoundMethod:
    """One method of a proxy: looked up anew in each generation, and remembered within it."""

    __slots__ = ("_contract", "_known", "_method", "_proxy", "_slot")

    def __init__(self, slot: Slot, contract: Contract, method: Method, proxy: object) -> None:
        self._slot, self._contract, self._method, self._proxy = slot, contract, method, proxy
        # Generation and function in one tuple, so that another thread never sees one without the other.
        self._known: tuple[Generation, Invoke] | None = None

    def __call__(self, arguments: Sequence[object]) -> object:
        """Call in the generation of the moment; waits while that is being exchanged."""
        gate = self._slot.gate
        gate.enter()
        try:
            known = self._known
            if known is None or known[0] is not self._slot.generation:
                known = self._bind()
            return known[1](arguments)
        finally:
            gate.leave()

    def _bind(self) -> tuple[Generation, Invoke]:
        generation = self._slot.generation
        if generation is None:
            self._known = None
            raise LifecycleError(self._slot.plugin, f"call {self._contract.id}.{self._method.name}", "it is not loaded")
        self._known = generation, generation.bind(self._contract, self._method, self._proxy)
        return self._known
