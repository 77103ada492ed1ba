"""A slot: the lasting place of a plugin in its host, which generations of its code pass through.

Proxies hold the slot and never a generation. A call goes through the slot's gate, finds the generation of the
moment, and leaves: that is all of late binding on the caller's side, and the core does it (src/core/py_entry.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind import _core
from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LifecycleError
from latebind.plugin.gate import Gate
from latebind.plugin.statistics import MethodStatistics, read_meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts import Contract, Method
    from latebind.plugin.generation import Generation, Invoke, Opened


class Slot:
    """Where a plugin of one id stands."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.gate = Gate(plugin)
        self.activate: Callable[[], None] | None = None
        """Loads the plugin, in a host where its first use does that."""
        self.around: Callable[[Invoke], Invoke] | None = None
        """What its calls must go through beside the gate, if anything."""
        self.numbers = 0
        """How many generations there were: the number of the last one."""
        self._meters: dict[tuple[str, str], _core.Meter] = {}

    @property
    def generation(self) -> Generation | None:
        """The generation that serves; None while the plugin is not loaded."""
        found: Generation | None = self.gate.serving
        return found

    @generation.setter
    def generation(self, generation: Generation | None) -> None:
        self.gate.serving = generation

    def meter(self, contract: Contract, method: Method) -> _core.Meter:
        """What counts a method's calls, through whichever proxy."""
        return self._meters.setdefault((contract.id, method.name), _core.Meter())

    def statistics(self) -> tuple[MethodStatistics, ...]:
        """The counts of every method that a proxy was made for, by contract and method."""
        return tuple(read_meter(*name, meter) for name, meter in sorted(self._meters.items()))

    def hand_out(self, generation: Generation, opened: Opened | None) -> object:
        """A handle or an iterator of the generation, for the caller. It goes through the gate and ends with it."""
        from latebind.plugin.opened import HandleProxy, IteratorProxy

        if opened is None:
            return None
        kind = IteratorProxy if opened.contract is None else HandleProxy
        return kind(self, generation, opened)

    def bind(self, contract: Contract, method: Method, proxy: object) -> tuple[Generation, Invoke]:
        """The generation that serves, and its method; within a call. Where the first use loads the plugin, this does.

        Raises `LifecycleError` if it is not loaded, or what loading it raises.
        """
        if self.generation is None and self.activate is not None:
            self.activate()
        generation = self.generation
        if generation is None:
            raise LifecycleError(self.plugin, f"call {contract.id}.{method.name}", "it is not loaded")
        return generation, self.surrounded(generation.bind(contract, method, proxy))

    def surrounded(self, invoke: Invoke) -> Invoke:
        """A method of the plugin or of something that it handed out, as its calls must be made."""
        return invoke if self.around is None else self.around(invoke)


def opens(method: Method) -> bool:
    """Whether a method answers a handle or an iterator."""
    return isinstance(method.result, IteratorOf) or handle_in(method.result) is not None
