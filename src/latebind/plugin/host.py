"""The host: discovers plugins, loads them with what they require, hands out proxies, reloads and unloads.

Each operation is a transaction under one lock: it happens whole or not at all. Calls through proxies take no part in
that lock; they pass the gate of their plugin (gate.py) and nothing else.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from latebind.contracts import Contract, Range, contract_of
from latebind.errors import (
    CapabilityDenied,
    ContractError,
    DependencyCycle,
    LatebindError,
    LifecycleError,
    ManifestError,
    NotFound,
    Tried,
    VersionConflict,
)
from latebind.plugin.check import Surroundings, check_native
from latebind.plugin.manifest import Limits, Manifest, read_manifest
from latebind.plugin.native import load_native
from latebind.plugin.proxy import make_proxy
from latebind.plugin.pykind import check_claim, load_python
from latebind.plugin.registry import Discovery, Registry, Rejected
from latebind.plugin.reload import DRAIN_TIMEOUT, ReloadReport, exchange
from latebind.plugin.resolve import Known, left_out, resolve
from latebind.plugin.schema import problems, with_defaults
from latebind.plugin.services import Service, host_services
from latebind.plugin.signing import check_signature
from latebind.plugin.slot import Slot
from latebind.plugin.store import Store
from latebind.sandbox import AuditLog, Policy, check_declared, require_inline

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from latebind.plugin.generation import Generation
    from latebind.plugin.statistics import MethodStatistics
    from latebind.sandbox import TrustedKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One plugin as `Host.plugins` reports it. `generation` is 0 while it is not loaded; `methods` counts calls."""

    manifest: Manifest
    loaded: bool
    generation: int
    required_by: tuple[str, ...]
    methods: tuple[MethodStatistics, ...] = ()

    @property
    def id(self) -> str:
        """The plugin's id."""
        return self.manifest.id


class Host:
    """Runs plugins. A context manager: leaving the block unloads them all.

    `policy` says what plugins may do (nothing, unless it is given); `services` maps contract classes to the objects
    that serve plugins; `contracts` are further contract classes that the host will ask for, so that a plugin of the
    wrong version is refused when it is loaded and not when it is got. `audit` is the audit log; `store` a folder for
    copies of plugins, private and temporary unless given.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        services: Mapping[Any, object] | None = None,
        *,
        contracts: Iterable[object] = (),
        audit: AuditLog | None = None,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self.audit = audit or AuditLog()
        self._services = host_services(services or {})
        self._contracts: list[Contract] = []
        for contract in [*(contract_of(c) for c in contracts), *(s.contract for s in self._services.values())]:
            self._learn(contract)
        self._registry = Registry()
        self._rejected: dict[str, Rejected] = {}
        self._slots: dict[str, Slot] = {}
        self._providers: dict[str, Mapping[str, str]] = {}
        self._lock = threading.RLock()
        self._store = Store(store)

    def discover(self, *places: str | os.PathLike[str], installed: bool = False) -> Discovery:
        """Scan folders for manifests, or read one by its path; `installed` adds those of Python's entry points.

        What cannot be read is left out and told; it hides no other plugin.
        """
        with self._lock:
            found = self._registry.discover(*places, installed=installed)
            for manifest in found.found:
                self._rejected.pop(manifest.path, None)
            for rejected in found.rejected:
                self._rejected[rejected.path] = rejected
                self.audit.record("rejected", "", path=rejected.path, error=str(rejected.error))
            return found

    def load(self, plugin: str, *, version: str = "*", config: Mapping[str, object] | None = None) -> PluginStatus:
        """Load a discovered plugin, and before it whatever it requires; all of them or none.

        The newest version within the range `version` is taken. `config` is checked against the manifest's schema and
        handed to lb_init. Loading what is loaded already changes nothing (`LifecycleError` if it has another version).
        """
        with self._lock:
            current = self._generation(plugin)
            if current is not None:
                if not Range.parse(version).accepts(current.manifest.version):
                    raise LifecycleError(plugin, f"load version {version}", f"{current.manifest} is loaded; use reload")
                if config is not None and _checked_config(current.manifest, config) != current.config:
                    raise LifecycleError(
                        plugin, "configure", "it is loaded with another configuration; unload it first"
                    )
                return self._status(current.manifest)
            wanted = self._wanted(plugin, Range.parse(version))
            resolution = resolve(wanted, self._known())
            for text in resolution.skipped:
                self.audit.record("skipped", plugin, why=text)
            with ExitStack() as undo:
                for manifest in resolution.order:
                    given = config if manifest.id == plugin else None
                    self._load_one(manifest, resolution.providers[manifest.id], given)
                    undo.callback(self._drop, manifest.id, "rolled back")
                undo.pop_all()
            return self._status(wanted)

    def get(self, contract: Callable[..., T], *, plugin: str | None = None) -> T:
        """A proxy with the contract's methods, answered by a loaded plugin; it stays good across reloads.

        With several plugins that provide the contract, the one with the newest version of it answers, unless `plugin`
        names one. Raises `NotFound` when none is loaded, `VersionConflict` or `ContractError` when it does not fit.
        """
        wanted = contract_of(contract)
        with self._lock:
            slot = self._provider(wanted, plugin)
            self._learn(wanted)
            return cast("T", make_proxy(slot, wanted))

    def reload(self, plugin: str, *, timeout: float = DRAIN_TIMEOUT) -> ReloadReport:
        """Replace a loaded plugin's code by what lies at its place now, keeping its state (reload.py has the steps).

        The manifest is read again too. Calls that come in while the state is moved wait; none is lost. `timeout` are
        the seconds to wait for running calls. Whatever goes wrong is raised, and the old code serves on.
        """
        with self._lock:
            slot, old = self._loaded(plugin, "reload")
            journal = _Journal()
            try:
                manifest = read_manifest(old.manifest.path)
                providers = self._successor(old, manifest, journal)
                report = exchange(
                    slot, old, lambda: self._next(slot, old, manifest, providers, journal), journal, timeout
                )
            except BaseException as e:
                self.audit.record(
                    "rollback", plugin, step=journal.step, error=str(e), version=str(old.manifest.version)
                )
                raise
            self._providers[plugin] = providers
            self._adopt(manifest)
            self.audit.record(
                "reload", plugin, old=report.old, new=report.new, generation=report.generation, state=report.state,
                held=report.held, lasting=report.lasting, problems=[str(p) for p in report.problems],
            )  # fmt: skip
            return report

    def unload(self, plugin: str, *, timeout: float = DRAIN_TIMEOUT) -> tuple[LatebindError, ...]:
        """Stop a plugin and unload it. Returns what went wrong on the way; it is unloaded all the same.

        Raises `LifecycleError` while another loaded plugin requires it, and `PluginTimeout` if its running calls do
        not end within `timeout` seconds; then it serves on.
        """
        with self._lock:
            slot, _ = self._loaded(plugin, "unload")
            users = self._users(plugin)
            if users:
                raise LifecycleError(plugin, "unload", f"{', '.join(users)} requires it; unload that first")
            with slot.gate.hold("unload", timeout):
                return self._drop(plugin, "unload")

    def selftest(self, plugin: str) -> bool:
        """Run a loaded plugin's lb_selftest; whether it has one. Raises `PluginError` with what it says is wrong."""
        with self._lock:
            slot, generation = self._loaded(plugin, "test")
            slot.gate.enter()
            try:
                return generation.selftest()
            finally:
                slot.gate.leave()

    def plugins(self) -> tuple[PluginStatus, ...]:
        """Every known plugin by id, a loaded one in its loaded version, any other in its newest."""
        with self._lock:
            newest = {m.id: m for m in reversed(list(self._registry))}
            current = {p: s.generation.manifest for p, s in self._slots.items() if s.generation is not None}
            return tuple(self._status(m) for _, m in sorted({**newest, **current}.items()))

    def close(self) -> None:
        """Unload every plugin, those that others require last. More than once does no harm."""
        with self._lock:
            while loaded := [p for p, s in self._slots.items() if s.generation is not None]:
                free = [p for p in loaded if not self._users(p)]
                self.unload(free[-1])
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What follows runs under the lock.

    def _learn(self, contract: Contract) -> None:
        if not any(c == contract for c in self._contracts):
            self._contracts.append(contract)

    def _generation(self, plugin: str) -> Generation | None:
        slot = self._slots.get(plugin)
        return slot.generation if slot is not None else None

    def _known(self) -> Known:
        loaded = {p: g.manifest for p in self._slots if (g := self._generation(p)) is not None}
        services = {s.contract.id: s.contract.version for s in self._services.values()}
        return Known(self._registry, loaded, services, tuple(self._rejected.values()))

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

    def _load_one(self, manifest: Manifest, providers: Mapping[str, str], config: Mapping[str, object] | None) -> None:
        slot = self._slots.setdefault(manifest.id, Slot(manifest.id))
        try:
            generation = self._generate(manifest, self._services_for(providers), config or {}, slot.numbers + 1)
        except BaseException as e:
            event = "denied" if isinstance(e, CapabilityDenied) else "refused"
            self.audit.record(event, manifest.id, version=str(manifest.version), error=str(e))
            raise
        slot.numbers = generation.number
        slot.generation = generation
        self._providers[manifest.id] = providers
        granted = [str(c) for c in manifest.capabilities]
        # Limits need an isolation with a boundary; the log must not let anyone believe otherwise.
        limits = {"unenforced": ["limits"]} if manifest.limits != Limits() else {}
        version = str(manifest.version)
        self.audit.record("load", manifest.id, version=version, capabilities=granted, isolation="inline", **limits)

    def _services_for(self, providers: Mapping[str, str]) -> dict[str, Service]:
        """The host's services, and a proxy for each contract that another plugin answers to."""
        services = dict(self._services)
        for contract_id, provider in providers.items():
            contract = next((c for c in self._contracts if c.id == contract_id), None)
            if contract is None:
                why = f"is not among them; {provider} provides it, so pass its class in Host(contracts=[…])"
                raise NotFound(f"contract {contract_id}", None, (Tried("the contracts that the host knows", why),))
            services[contract_id] = Service(contract, make_proxy(self._slots[provider], contract))
        return services

    def _generate(
        self, manifest: Manifest, services: Mapping[str, Service], config: Mapping[str, object], number: int
    ) -> Generation:
        """Check and load one generation of a plugin, native or Python."""
        require_inline(manifest.id, self.policy)
        filled = _checked_config(manifest, config)
        if manifest.is_python:
            check_declared(manifest.id, manifest.capabilities, self.policy)
            for contract in self._contracts:
                check_claim(manifest, contract)
            copied = self._store.put_tree(manifest.folder)
            signer = self._check_signer(manifest, copy=copied.path)
            if self.policy.require_sha256 and signer is None:  # a signature holds the sha256 of every file
                what = "the policy requires a sha256, which a Python plugin can only have in a trusted signature"
                raise ContractError(manifest.id, what)
            return load_python(manifest, copied, services, self._contracts, filled, number)
        stored = self._store.put_file(manifest.entry_path)
        self._check_signer(manifest, sha256=stored.sha256)
        checked = check_native(manifest, stored, Surroundings(self._contracts, services, self.policy))
        return load_native(checked, services, filled, number)

    def _check_signer(
        self, manifest: Manifest, *, copy: str | None = None, sha256: str | None = None
    ) -> TrustedKey | None:
        signer = check_signature(manifest, self.policy, copy, sha256)
        if signer is not None:
            version = str(manifest.version)
            self.audit.record("verified", manifest.id, version=version, key=signer.key, signer=signer.comment)
        return signer

    def _provider(self, contract: Contract, plugin: str | None) -> Slot:
        offers = []
        for slot in self._slots.values():
            if slot.generation is not None and plugin in {None, slot.plugin}:
                versions = [p.version for p in slot.generation.manifest.provides if p.contract == contract.id]
                offers += [(version, slot) for version in versions]
        if not offers:
            known = self._registry.providers(contract.id)
            tried = [Tried(m.path, f"is not loaded; host.load({m.id!r})") for m in known if plugin in {None, m.id}]
            name = f"a loaded plugin that provides {contract.id}"
            raise NotFound(name, None, (*tried, *left_out(tuple(self._rejected.values()))))
        _, slot = max(offers, key=lambda offer: offer[0])
        assert slot.generation is not None
        slot.generation.check_contract(contract)
        return slot

    def _check_succession(self, old: Generation, new: Manifest) -> None:
        """The next generation must be the same plugin, and still be what others require of it."""
        if new.id != old.manifest.id:
            raise LifecycleError(old.manifest.id, "reload", f"{new.path} is now the manifest of {new.id}")
        for user in self._users(new.id):
            generation = self._generation(user)
            for required in generation.manifest.requires if generation is not None else ():
                provided = {p.contract: p.version for p in new.provides}
                version = (
                    new.version if required.kind == "plugin" and required.id == new.id else provided.get(required.id)
                )
                if version is not None and not required.range.accepts(version):
                    raise VersionConflict(f"{new} does not fit {user}", (f"{user} requires {required}",))
                if version is None and self._providers[user].get(required.id) == new.id:
                    raise VersionConflict(f"{new} no longer provides {required.id}", (f"{user} requires {required}",))
        before, after = ({p.contract for p in m.provides} for m in (old.manifest, new))
        lost = sorted(c.id for c in self._contracts if c.id in before - after)
        if lost:
            raise VersionConflict(f"{new} no longer provides {', '.join(lost)}", (f"the host uses {lost[0]}",))

    def _successor(self, old: Generation, manifest: Manifest, journal: _Journal) -> Mapping[str, str]:
        """Who meets the requirements of the next generation's manifest: only what is loaded already."""
        journal.step = "resolve"
        self._check_succession(old, manifest)
        known = self._known()
        others = {p: m for p, m in known.loaded.items() if p != manifest.id}
        found = resolve(manifest, Known(known.registry, others, known.services, known.rejected))
        for other in found.order:
            if other.id != manifest.id:
                why = f"it now requires {other}, which is not loaded; load that first"
                raise LifecycleError(manifest.id, "reload", why)
        self._check_circle(manifest.id, found.providers[manifest.id].values())
        return found.providers[manifest.id]

    def _check_circle(self, plugin: str, required: Iterable[str]) -> None:
        for start in required:
            pending = [[plugin, start]]
            while pending:
                path = pending.pop()
                if path[-1] == plugin:
                    raise DependencyCycle(tuple(path))
                pending += [[*path, p] for p in self._providers.get(path[-1], {}).values()]

    def _next(
        self, slot: Slot, old: Generation, manifest: Manifest, providers: Mapping[str, str], journal: _Journal
    ) -> Generation:
        journal.step = "check and load beside"
        generation = self._generate(manifest, self._services_for(providers), old.config, slot.numbers + 1)
        slot.numbers = generation.number
        return generation

    def _adopt(self, manifest: Manifest) -> None:
        """Remember the manifest that now serves; a version that is also known elsewhere stays known there."""
        try:
            self._registry.add(manifest)
        except ManifestError as e:
            self.audit.record("rejected", manifest.id, path=manifest.path, error=str(e))

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

    def _drop(self, plugin: str, event: str) -> tuple[LatebindError, ...]:
        slot = self._slots[plugin]
        generation, slot.generation = slot.generation, None
        if generation is None:
            return ()
        lasting = generation.lasting()
        problems = tuple(generation.close())
        version = str(generation.manifest.version)
        self.audit.record(event, plugin, version=version, lasting=lasting, problems=[str(p) for p in problems])
        return problems

    def _status(self, manifest: Manifest) -> PluginStatus:
        current = self._generation(manifest.id)
        number = current.number if current is not None else 0
        slot = self._slots.get(manifest.id)
        methods = slot.statistics() if slot is not None else ()
        return PluginStatus(manifest, current is not None, number, tuple(self._users(manifest.id)), methods)


class _Journal:
    """Where a reload stands."""

    def __init__(self) -> None:
        self.step = "read the manifest"


def _checked_config(manifest: Manifest, config: Mapping[str, object]) -> dict[str, object]:
    """The configuration with its defaults. Raises `ManifestError` with every problem."""
    schema = manifest.config if manifest.config is not None else {"type": "object", "additionalProperties": False}
    found = problems(dict(config), schema)
    if found:
        raise ManifestError(f"the configuration of {manifest}", tuple(found))
    filled = with_defaults(dict(config), schema)
    assert isinstance(filled, dict)
    return filled
