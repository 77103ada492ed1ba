"""The part of the host that loads plugins, each after what it requires, and unloads them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from latebind.contracts import Range
from latebind.errors import LatebindError, LifecycleError, NotFound, Tried
from latebind.plugin.check import Surroundings
from latebind.plugin.degrade import cannot_do_without
from latebind.plugin.events import State
from latebind.plugin.generate import check_same, checked_config, generate, stage
from latebind.plugin.inventory import Inventory, PluginStatus
from latebind.plugin.proxy import make_proxy
from latebind.plugin.registry import Rejected
from latebind.plugin.reload import DRAIN_TIMEOUT
from latebind.plugin.services import Service
from latebind.plugin.slot import Home, Slot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from latebind.plugin.generation import Generation
    from latebind.plugin.kinds import Kind
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.resolve import Resolution
    from latebind.plugin.store import Store
    from latebind.plugin.timelimit import Watchdog
    from latebind.sandbox import Policy

_PATIENCE: Final = 0.01
"""Seconds between two looks at what another thread has loaded."""


class Loading(Inventory):
    """What `Host` inherits; see there."""

    policy: Policy
    home: Home
    _store: Store
    _kinds: Sequence[Kind]
    _watchdog: Watchdog

    def load(self, plugin: str, *, version: str = "*", config: Mapping[str, object] | None = None) -> PluginStatus:
        """Load a discovered plugin, and before it whatever it requires; all of them or none.

        The newest version within the range `version` is taken. `config` is checked against the manifest's schema and
        handed to lb_init. Loading what is loaded already changes nothing (`LifecycleError` if it has another version).

        A plugin that is only required as optional, and fails, is left out, and what it fails with is the `reason` in
        `plugins()`. Raises `PluginSuspended` for one that failed to start too often (`BackOff`).
        """
        with self._lock:
            current = self._generation(plugin)
            if current is not None:
                if not Range.parse(version).accepts(current.manifest.version):
                    raise LifecycleError(plugin, f"load version {version}", f"{current.manifest} is loaded; use reload")
                if config is not None and checked_config(current.manifest, config) != current.config:
                    raise LifecycleError(
                        plugin, "configure", "it is loaded with another configuration; unload it first"
                    )
                return self._status(current.manifest)
            self._wanted(plugin, Range.parse(version))
            self._plan.check_not_loading(plugin)
            out: dict[str, Rejected] = {}
            while True:
                resolution = self._plan.for_plugin(plugin, Range.parse(version), self._known(out))
                wanted = resolution.order[-1]
                more = self._load_all(wanted, resolution, config)
                if not more:
                    return self._status(wanted)
                out |= more

    def unload(self, plugin: str, *, timeout: float = DRAIN_TIMEOUT) -> tuple[LatebindError, ...]:
        """Stop a plugin and unload it. Returns what went wrong on the way; it is unloaded all the same.

        Unloading what was unloaded already changes nothing.

        Raises `LifecycleError` while another loaded plugin requires it, and `PluginTimeout` if its running calls do
        not end within `timeout` seconds; then it serves on.
        """
        with self._lock:
            if self._generation(plugin) is None and self._life.standing(plugin).state is State.UNLOADED:
                return ()
            slot, _ = self._loaded(plugin, "unload")
            users = self._users(plugin)
            if users:
                raise LifecycleError(plugin, "unload", f"{', '.join(users)} requires it; unload that first")
            with slot.gate.hold("unload", timeout):
                self._plan.did_stop(plugin)
                return self._drop(plugin, "unload")

    # What follows runs under the lock, but for `_first_use`.

    def _load_all(
        self, wanted: Manifest, resolution: Resolution, config: Mapping[str, object] | None
    ) -> dict[str, Rejected]:
        """Load all of a resolution or none of it.

        Where what fails is only optional, that is no error: the answer is what to resolve without, and why.
        """
        without: dict[str, list[str]] = {}
        for text in resolution.skipped:
            without.setdefault(text.partition(" goes without ")[0], []).append(text)
        with ExitStack() as undo:
            for manifest in resolution.order:
                given = config if manifest.id == wanted.id else None
                lacks = without.get(str(manifest), [])
                self._life.skipped(manifest, lacks)
                try:
                    self._load_one(manifest, resolution.providers[manifest.id], given, "; ".join(lacks))
                except LatebindError as e:
                    others = cannot_do_without(manifest.id, resolution)
                    if wanted.id in others:
                        raise
                    return {m.id: Rejected(m.path, e) for m in resolution.order if m.id in others}
                undo.callback(self._drop, manifest.id, "rolled back")
            undo.pop_all()
        return {}

    def _load_one(
        self, manifest: Manifest, providers: Mapping[str, str], config: Mapping[str, object] | None, without: str
    ) -> None:
        slot = self._slot(manifest.id)
        with self._plan.while_loading(manifest):
            self._life.may_start(manifest)
            try:
                self._life.move(manifest, State.RESOLVED)
                self._life.tried(manifest)
                services = self._services_for(manifest, providers)
                generation = self._generate(manifest, services, config or {}, slot.numbers + 1)
            except BaseException as e:
                self._services.release(manifest.id)
                self._life.load_failed(manifest, e)
                raise
        slot.numbers = generation.number
        slot.around = self._services.around(manifest)
        slot.generation = generation
        self._providers[manifest.id] = providers
        self._life.started(manifest, generation.number, without)

    def _services_for(self, manifest: Manifest, providers: Mapping[str, str]) -> dict[str, Service]:
        """The host's services, and a proxy for each contract that another plugin answers to."""
        services = self._services.for_plugin(manifest)
        for contract_id, provider in providers.items():
            contract = next((c for c in self._contracts if c.id == contract_id), None)
            if contract is None:
                why = f"is not among them; {provider} provides it, so pass its class in Host(contracts=[…])"
                raise NotFound(f"contract {contract_id}", None, (Tried("the contracts that the host knows", why),))
            services[contract_id] = Service(contract, make_proxy(self._slots[provider], contract))
        return services

    def _generate(
        self,
        manifest: Manifest,
        services: Mapping[str, Service],
        config: Mapping[str, object],
        number: int,
        tried: str | None = None,
    ) -> Generation:
        """Check and load one generation of a plugin, within the limits. `tried` is the copy that was on probation."""
        staged = stage(manifest, self.policy, self._store, self._kinds)
        if staged.signer is not None:
            self._life.verified(manifest, staged.signer)
        check_same(manifest, staged, tried)
        around = Surroundings(self._contracts, services, self.policy)

        def loaded() -> None:
            if self._generation(manifest.id) is None:
                self._life.move(manifest, State.LOADED, number)

        failed = partial(self.home.failed, manifest, number)

        def start() -> Generation:
            return generate(manifest, staged, around, config, number, loaded, self._kinds, failed)

        made = self._watchdog.start(manifest.id, start)
        self._store.keep(staged.stored, made)
        return self._life.guard(made)

    def _drop(self, plugin: str, event: str) -> tuple[LatebindError, ...]:
        slot = self._slots[plugin]
        generation, slot.generation = slot.generation, None
        if generation is None:
            return ()
        manifest, number, lasting = generation.manifest, generation.number, generation.lasting()
        closed = self._watchdog.close(generation, lambda: self._life.stopped(manifest, number))
        problems = (*closed, *self._services.release(plugin))
        self._plan.changed()
        self._life.unloaded(manifest, number, event, lasting, problems)
        return problems

    def _slot(self, plugin: str) -> Slot:
        slot = self._slots.setdefault(plugin, Slot(plugin))
        slot.home = self.home
        if self._plan.lazy:
            slot.activate = lambda: self._first_use(plugin)
        return slot

    def _first_use(self, plugin: str) -> None:
        """A call found the plugin not loaded, in a lazy host."""
        # The call is within the gate, which someone who has the lock may wait to be left by all, once it is loaded.
        while not self._lock.acquire(timeout=_PATIENCE):
            if self._generation(plugin) is not None:
                return
        try:
            if self._generation(plugin) is None and self._plan.may_activate(plugin):
                self.load(plugin)
        finally:
            self._lock.release()
