"""A slot: the lasting place of a plugin in its host, which generations of its code pass through.

Proxies hold the slot and never a generation. A call goes through the slot's gate, finds the generation of the
moment, and leaves: that is all of late binding on the caller's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LifecycleError
from latebind.plugin.gate import Gate
from latebind.plugin.statistics import Meter, MethodStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        self._meters: dict[tuple[str, str], Meter] = {}

    def meter(self, contract: Contract, method: Method) -> Meter:
        """What counts a method's calls, through whichever proxy."""
        name = contract.id, method.name
        return self._meters.setdefault(name, Meter(*name))

    def statistics(self) -> tuple[MethodStatistics, ...]:
        """The counts of every method that a proxy was made for, by contract and method."""
        return tuple(meter.read() for _, meter in sorted(self._meters.items()))

    def hand_out(self, generation: Generation, opened: Opened | None) -> object:
        """A handle or an iterator of the generation, for the caller. It goes through the gate and ends with it."""
        from latebind.plugin.opened import HandleProxy, IteratorProxy

        if opened is None:
            return None
        kind = IteratorProxy if opened.contract is None else HandleProxy
        return kind(self, generation, opened)


def bound_method(slot: Slot, contract: Contract, method: Method, proxy: object) -> Callable[[Sequence[object]], object]:
    """One method of a proxy: looked up anew in each generation, and remembered within it.

    A call runs in the generation of the moment; it waits while that is being exchanged.
    """
    # Generation and function in one tuple, so that another thread never sees one without the other.
    known: tuple[Generation, Invoke] | None = None
    hands_out, meter = opens(method), slot.meter(contract, method)

    def bind() -> tuple[Generation, Invoke]:
        nonlocal known
        generation = slot.generation
        if generation is None:
            known = None
            raise LifecycleError(slot.plugin, f"call {contract.id}.{method.name}", "it is not loaded")
        known = found = generation, generation.bind(contract, method, proxy)
        return found

    def call(arguments: Sequence[object]) -> object:
        found = known
        if found is None or found[0] is not slot.generation:
            found = bind()
        generation, invoke = found
        begun, failed = meter.begin(), True
        try:
            answer = invoke(arguments)
            failed = False
        finally:
            meter.end(begun, failed=failed)
        return slot.hand_out(generation, answer) if hands_out else answer  # type: ignore[arg-type]

    return slot.gate.around(call)


def opens(method: Method) -> bool:
    """Whether a method answers a handle or an iterator."""
    return isinstance(method.result, IteratorOf) or handle_in(method.result) is not None
