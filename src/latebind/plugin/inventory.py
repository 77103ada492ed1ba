"""What a host has: the plugins that it knows and those that are loaded, who requires whom, and where each stands.

The parts of the host (loading.py, choosing.py, reloading.py) share it, and its lock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.errors import LifecycleError, NotFound, Tried
from latebind.plugin.activation import Activation, Plan
from latebind.plugin.events import Events, State
from latebind.plugin.lifecycle import Lifecycle
from latebind.plugin.registry import Registry, Rejected
from latebind.plugin.resolve import Known, left_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.contracts import Contract, Range
    from latebind.plugin.breaker import BackOff
    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.offers import HostServices
    from latebind.plugin.slot import Slot
    from latebind.plugin.statistics import MethodStatistics


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One plugin as `Host.plugins` reports it. `generation` is 0 while it is not loaded.

    `state` is where it stands; `reason` why not further (how it failed, for how long it is suspended), what it goes
    without, or what went wrong last; empty where all is well. `methods` counts calls.
    """

    manifest: Manifest
    loaded: bool
    generation: int
    required_by: tuple[str, ...]
    state: State = State.DISCOVERED
    reason: str = ""
    methods: tuple[MethodStatistics, ...] = ()

    @property
    def version(self) -> str:
        """The plugin's version."""
        return str(self.manifest.version)

    @property
    def id(self) -> str:
        """The plugin's id."""
        return self.manifest.id


class Inventory:
    """What every part of `Host` holds and asks; see there."""

    def __init__(
        self,
        events: Events,
        back_off: BackOff,
        activation: Activation,
        services: HostServices,
        priorities: Mapping[str, int],
    ) -> None:
        self.events = events
        self._lock = threading.RLock()
        self._life = Lifecycle(events, back_off)
        self._services = services
        self._priorities = dict(priorities)
        self._plan = Plan(activation, self._known)
        self._contracts: list[Contract] = []
        self._registry = Registry()
        self._rejected: dict[str, Rejected] = {}
        self._slots: dict[str, Slot] = {}
        self._providers: dict[str, Mapping[str, str]] = {}

    def plugins(self) -> tuple[PluginStatus, ...]:
        """Every known plugin by id, a loaded one in its loaded version, any other in its newest."""
        with self._lock:
            newest = {m.id: m for m in reversed(list(self._registry))}
            current = {p: s.generation.manifest for p, s in self._slots.items() if s.generation is not None}
            return tuple(self._status(m) for _, m in sorted({**newest, **current}.items()))

    # What follows runs under the lock.

    def _learn(self, contract: Contract) -> None:
        if not any(c == contract for c in self._contracts):
            self._contracts.append(contract)
            self._plan.changed()

    def _generation(self, plugin: str) -> Generation | None:
        slot = self._slots.get(plugin)
        return slot.generation if slot is not None else None

    def _known(self, out: Mapping[str, Rejected] | None = None) -> Known:
        """What there is to choose from, without the plugins `out`."""
        loaded = {p: g.manifest for p in self._slots if (g := self._generation(p)) is not None}
        contracts = {c.id: c.version for c in self._contracts}
        failed = {plugin: rejected.error for plugin, rejected in (out or {}).items()}
        rejected = tuple(self._rejected.values())
        services = self._services.versions()
        return Known(self._registry, loaded, services, rejected, contracts, self._priorities, failed)

    def _wanted(self, plugin: str, versions: Range) -> Manifest:
        known = self._registry.versions(plugin)
        for manifest in known:
            if versions.accepts(manifest.version):
                return manifest
        tried = [Tried(m.path, f"is version {m.version}, not {versions}") for m in known]
        raise NotFound(f"plugin {plugin}", None, (*tried, *left_out(tuple(self._rejected.values()))))

    def _loaded(self, plugin: str, operation: str) -> tuple[Slot, Generation]:
        slot = self._slots.get(plugin)
        if slot is None or slot.generation is None:
            raise LifecycleError(plugin, operation, "it is not loaded")
        return slot, slot.generation

    def _in_order(self) -> list[str]:
        """The loaded plugins, each after those that it requires."""
        waiting = [p for p, s in self._slots.items() if s.generation is not None]
        users = {p: set(self._users(p)) for p in waiting}
        order: list[str] = []
        while waiting:
            order[:0] = free = [p for p in waiting if users[p] <= set(order)]
            assert free, "a circle is refused when it would be closed"
            waiting = [p for p in waiting if p not in free]
        return order

    def _users(self, plugin: str) -> list[str]:
        """The loaded plugins that require `plugin`."""
        users = []
        for user, slot in self._slots.items():
            if slot.generation is None or user == plugin:
                continue
            by_id = any(r.kind == "plugin" and r.id == plugin for r in slot.generation.manifest.requires)
            if by_id or plugin in self._providers[user].values():
                users.append(user)
        return users

    def _status(self, manifest: Manifest) -> PluginStatus:
        current = self._generation(manifest.id)
        number = current.number if current is not None else 0
        standing = self._life.standing(manifest.id)
        users = tuple(self._users(manifest.id))
        slot = self._slots.get(manifest.id)
        methods = slot.statistics() if slot is not None else ()
        return PluginStatus(manifest, current is not None, number, users, standing.state, standing.reason, methods)
