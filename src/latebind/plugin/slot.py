"""A slot: the lasting place of a plugin in its host, which generations of its code pass through.

Proxies hold the slot and never a generation. A call goes through the slot's gate, finds the generation of the
moment, and leaves: that is all of late binding on the caller's side, and the core does it (src/core/py_entry.c).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from latebind import _core
from latebind.contracts import Owner
from latebind.contracts.direct import link
from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LifecycleError, PluginError
from latebind.plugin.events import CallFailed, detached
from latebind.plugin.gate import Gate
from latebind.plugin.limits import limited
from latebind.plugin.statistics import MethodStatistics, read_meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.contracts import CallPool, Contract, Method
    from latebind.plugin.events import Event
    from latebind.plugin.generation import Generation, Invoke, Opened
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.workers import Workers


@dataclass(slots=True)
class Home:
    """What a host has for the calls of all its plugins."""

    emit: Callable[[Event], object] = lambda _: None
    """Is told what happens to calls."""
    workers: Workers | None = None
    """The threads for calls that are awaited."""
    around: Callable[[Generation, str, Invoke], Invoke] | None = None
    """What each method is wrapped in when it is bound, with the method's full name (telemetry.py)."""

    def failed(self, manifest: Manifest, generation: int, error: PluginError) -> None:
        """A call of a plugin's generation failed by the plugin's doing."""
        about: dict[str, Any] = {"plugin": manifest.id, "version": str(manifest.version), "generation": generation}
        self.emit(CallFailed(**about, operation=error.method, error=detached(error)))


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
        self.home = Home()
        self._meters: dict[tuple[str, str], _core.Meter] = {}
        self._links: weakref.WeakKeyDictionary[_core.Link, tuple[Contract, Method]] = weakref.WeakKeyDictionary()

    @property
    def generation(self) -> Generation | None:
        """The generation that serves; None while the plugin is not loaded."""
        found: Generation | None = self.gate.serving
        return found

    @generation.setter
    def generation(self, generation: Generation | None) -> None:
        """While no call is inside the gate, or none that the old generation serves."""
        self.gate.serving = generation
        for made, (contract, method) in list(self._links.items()):
            self._point(made, contract, method)

    def link(
        self, contract: Contract, method: Method, callers: CallPool, fallback: _core.Callback
    ) -> _core.Link | None:
        """A C function by which another plugin calls a method of this one, switched with every generation.

        It holds this slot's `fallback`, which does the same by way of Python; None where that is the only way.
        """
        made = link(contract, method, callers, fallback, (self.gate, self.meter(contract, method)), self._owner)
        if made is not None:
            self._links[made] = contract, method
            self._point(made, contract, method)
        return made

    def _point(self, made: _core.Link, contract: Contract, method: Method) -> None:
        generation = self.generation
        way = None
        # What a plugin's calls must go through beside the gate, its time limit and its spans are Python.
        if generation is not None and not (self.around or self.home.around or generation.manifest.limits.call_time):
            way = generation.direct(contract, method)
        made.point(generation, *(way or (None, 0)))

    def _owner(self) -> Owner:
        generation = self.generation
        assert generation is not None, "a call of it is under way"
        manifest = generation.manifest
        return Owner(manifest.id, str(manifest.version), partial(self.home.failed, manifest, generation.number))

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
        operation = f"{contract.id}.{method.name}"
        return generation, self.watched(generation, operation, generation.bind(contract, method, proxy))

    def watched(self, generation: Generation, operation: str, invoke: Invoke) -> Invoke:
        """A method within its time limit, and in what the host wraps calls in; without either it is what it was."""
        limited_ = limited(self, generation, operation, self.surrounded(invoke))
        around = self.home.around
        return limited_ if around is None else around(generation, operation, limited_)

    def surrounded(self, invoke: Invoke) -> Invoke:
        """A method of the plugin or of something that it handed out, as its calls must be made."""
        return invoke if self.around is None else self.around(invoke)


def opens(method: Method) -> bool:
    """Whether a method answers a handle or an iterator."""
    return isinstance(method.result, IteratorOf) or handle_in(method.result) is not None
