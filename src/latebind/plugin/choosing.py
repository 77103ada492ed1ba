"""The part of the host that chooses plugins: by contract, all at once, at their first use; and overrides for tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from latebind.contracts import Range, contract_of
from latebind.errors import ContractError, VersionConflict
from latebind.plugin.loading import Loading
from latebind.plugin.proxy import make_proxy
from latebind.plugin.selection import nobody, offers, pick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from latebind.contracts import Contract
    from latebind.plugin.activation import Activated
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.resolve import Resolution
    from latebind.plugin.selection import Rule
    from latebind.sandbox import AuditLog

T = TypeVar("T")


class Choosing(Loading):
    """What `Host` inherits; see there."""

    audit: AuditLog

    def get(
        self,
        contract: Callable[..., T],
        *,
        plugin: str | None = None,
        version: str = "*",
        choose: Rule | None = None,
    ) -> T:
        """A proxy with the contract's methods, answered by a loaded plugin; it stays good across reloads.

        Of several plugins that provide the contract, the one of the highest priority answers, then the one with the
        newest version of it. `plugin` names one, `version` is a range of its version, and `choose` is a rule: it is
        given the manifests that could answer, best first, and answers one of them. In a lazy host the plugin need not
        be loaded: the first call does that. Raises `NotFound` when there is none, `VersionConflict` or `ContractError`
        when it does not fit.
        """
        wanted = contract_of(contract)
        with self._lock:
            override = self._services.overriding(wanted)
            if override is not None:
                return cast("T", override)
            found = offers(wanted, self._there(wanted), self._priorities, plugin, version)
            chosen = pick(wanted, found, choose)
            if chosen is None:
                known = [m for m in self._registry.providers(wanted.id) if plugin in {None, m.id}]
                left_out = self._plan.resolution().left_out if self._plan.lazy else {}
                raise nobody(wanted, known, {**left_out, **self._plan.failed}, tuple(self._rejected.values()))
            return cast("T", self._proxy(wanted, chosen.id))

    def all(self, contract: Callable[..., T], *, version: str = "*") -> tuple[T, ...]:
        """A proxy for each plugin that provides a contract, best first; `version` is a range of the plugins' versions.

        A lazy host loads them now. Those that do not fit or fail are left out, with their reason in the audit log.
        """
        wanted = contract_of(contract)
        with self._lock:
            override = self._services.overriding(wanted)
            if override is not None:
                return (cast("T", override),)
            found = offers(wanted, self._there(wanted), self._priorities, None, version)
            if self._plan.lazy:
                self.activate(*(m.id for m in found))
            proxies = []
            for manifest in found:
                try:
                    if self._generation(manifest.id) is not None:
                        proxies.append(cast("T", self._proxy(wanted, manifest.id)))
                except (VersionConflict, ContractError) as e:
                    self.audit.record("skipped", manifest.id, why=str(e))
            return tuple(proxies)

    def providers(self, contract: object) -> tuple[Manifest, ...]:
        """The plugins that `get` chooses from, best first."""
        wanted = contract_of(contract)
        with self._lock:
            return tuple(offers(wanted, self._there(wanted), self._priorities, None, "*"))

    def resolve(self, plugin: str | None = None, *, version: str = "*") -> Resolution:
        """What would be loaded, in which order, who would answer to whom, and what would be left out; nothing is run.

        Of one plugin, or (without `plugin`) of all that are known. Raises as `load` does for one plugin.
        """
        with self._lock:
            if plugin is None:
                return self._plan.resolution()
            return self._plan.for_plugin(plugin, Range.parse(version), self._known())

    def activate(self, *plugins: str) -> Activated:
        """Load these plugins, or all that are known, with what they require.

        One that fails is left out with its reason, as is what cannot do without it; it hides no other. Plugins that
        were unloaded on purpose stay so, unless they are named or required.
        """
        with self._lock:
            return self._plan.activate(plugins, self.load)

    @contextmanager
    def override(self, services: Mapping[Any, object]) -> Iterator[None]:
        """For tests: other objects answer to contracts until the block ends, also for plugins that are loaded already.

        What overrides a service of the host is used by all plugins at once. What overrides a contract of a plugin is
        what `get` answers, and a service for plugins that are loaded within the block; they are unloaded at its end.
        Raises `ContractError` for an object that lacks a method.
        """
        with self._lock:
            chosen = self._services.override(services)
            self._plan.changed()
        try:
            yield
        finally:
            with self._lock:
                gone = self._services.restore(chosen)
                self._plan.changed()
                for plugin in self._bound_to(gone):
                    self.unload(plugin)

    # What follows runs under the lock.

    def _there(self, contract: Contract) -> list[Manifest]:
        """The plugins that can be called: those that are loaded; in a lazy host also those that it would load."""
        loaded = [s.generation.manifest for s in self._slots.values() if s.generation is not None]
        if not self._plan.lazy:
            return loaded
        self._learn(contract)
        out = {*self._plan.stopped, *(m.id for m in loaded)}
        return [*loaded, *(m for m in self._plan.resolution().order if m.id not in out)]

    def _proxy(self, contract: Contract, plugin: str) -> object:
        slot = self._slot(plugin)
        if slot.generation is not None:
            slot.generation.check_contract(contract)
        self._learn(contract)
        return make_proxy(slot, contract)

    def _bound_to(self, contracts: set[str]) -> list[str]:
        """The loaded plugins that use a service which is no more, and those that require them; users first."""
        gone: set[str] = set()
        for plugin in self._in_order():
            generation = self._generation(plugin)
            assert generation is not None
            wants = {r.id for r in generation.manifest.requires if r.kind == "contract"}
            if (wants & contracts) - self._providers[plugin].keys():
                gone.add(plugin)
        pending = list(gone)
        while pending:
            users = [u for u in self._users(pending.pop()) if u not in gone]
            gone.update(users)
            pending += users
        return [p for p in reversed(self._in_order()) if p in gone]
