"""The host: discovers plugins, loads them with what they require, hands out proxies, reloads and unloads.

Each operation is a transaction under one lock: it happens whole or not at all. Calls through proxies take no part in
that lock; they pass the gate of their plugin (gate.py) and nothing else.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from latebind.contracts import Contract, Range, contract_of
from latebind.errors import (
    LatebindError,
    LifecycleError,
    ManifestError,
    NotFound,
    Tried,
)
from latebind.plugin.activation import Activation, Plan
from latebind.plugin.audit import writer
from latebind.plugin.breaker import BackOff
from latebind.plugin.check import Surroundings
from latebind.plugin.choosing import Choosing
from latebind.plugin.degrade import cannot_do_without
from latebind.plugin.events import Events, ManifestRejected, State, Step, detached
from latebind.plugin.fingerprint import fingerprint
from latebind.plugin.generate import check_same, checked_config, generate, stage
from latebind.plugin.kinds import check_built_in
from latebind.plugin.lifecycle import Lifecycle
from latebind.plugin.manifest import Manifest, read_manifest
from latebind.plugin.offers import HostServices
from latebind.plugin.proxy import make_proxy
from latebind.plugin.registry import Discovery, Registry, Rejected
from latebind.plugin.reload import DRAIN_TIMEOUT, Journal, ReloadReport, exchange
from latebind.plugin.resolve import Known, left_out, resolve
from latebind.plugin.services import Service
from latebind.plugin.slot import Home
from latebind.plugin.store import Store
from latebind.plugin.succession import check_circle, check_succession
from latebind.plugin.timelimit import TimeLimits, Watchdog
from latebind.plugin.workers import Workers
from latebind.sandbox import AuditLog, Policy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from types import TracebackType

    from latebind.plugin.generation import Generation
    from latebind.plugin.kinds import Kind
    from latebind.plugin.mapped import Blueprint
    from latebind.plugin.resolve import Resolution
    from latebind.plugin.slot import Slot
    from latebind.plugin.statistics import MethodStatistics
    from latebind.plugin.watch import SignalReload, Watch

R = TypeVar("R")


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


class Host(Choosing):
    """Runs plugins. A context manager: leaving the block unloads them all.

    `policy` says what plugins may do (nothing, unless it is given); `services` maps contract classes to the objects
    that serve plugins; `contracts` are further contract classes that the host will ask for, so that a plugin of the
    wrong version is refused when it is loaded and not when it is got. `audit` is the audit log; `store` a folder for
    copies of plugins, private and temporary unless given. `limits` says how long the parts of a plugin's life may take,
    `back_off` when a plugin that fails again and again is left alone. `events` tells all that happens: `subscribe(f)`.
    `workers` are the threads for `proxy.aio`.
    `activation` says when plugins are loaded: when `load` or `activate` is called ("explicit"), at their first use
    ("lazy"), or when they are discovered ("start"). `priorities`, by plugin id or pattern, stand in for the manifests'.
    `kinds` are further kinds of plugins (kinds.py), which are asked before the native and the Python one.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        services: Mapping[Any, object] | None = None,
        *,
        contracts: Iterable[object] = (),
        audit: AuditLog | None = None,
        store: str | os.PathLike[str] | None = None,
        limits: TimeLimits | None = None,
        back_off: BackOff | None = None,
        workers: Workers | None = None,
        activation: Activation | str = Activation.EXPLICIT,
        priorities: Mapping[str, int] | None = None,
        kinds: Sequence[Kind] = (),
    ) -> None:
        self.policy = policy or Policy()
        self.audit = audit or AuditLog()
        self.events = Events()
        self.subscribe = self.events.subscribe
        self.subscribe(writer(self.audit))
        self._life = Lifecycle(self.events, back_off or BackOff())
        self._watches: list[Watch | SignalReload] = []
        self._limits = limits or TimeLimits()
        self._watchdog = Watchdog(self._limits)
        self._services = HostServices(services or {})
        self._priorities = dict(priorities or {})
        self._kinds = tuple(kinds)
        self._plan = Plan(Activation(activation), self._known)
        self._contracts: list[Contract] = []
        for contract in [*(contract_of(c) for c in contracts), *self._services.contracts]:
            self._learn(contract)
        self._registry = Registry()
        self._rejected: dict[str, Rejected] = {}
        self._slots: dict[str, Slot] = {}
        self._providers: dict[str, Mapping[str, str]] = {}
        self._lock = threading.RLock()
        self.workers = workers or Workers()
        self.home = Home(self.events.emit, self.workers)
        self._store = Store(store)

    def discover(self, *places: str | os.PathLike[str], installed: bool = False) -> Discovery:
        """Scan folders for manifests, or read one by its path; `installed` adds those of Python's entry points.

        What cannot be read is left out and told; it hides no other plugin. With the activation "start" what is found
        is loaded, and what cannot be is told in `left_out`.
        """
        with self._lock:
            found = self._registry.discover(*places, installed=installed)
            for manifest in found.found:
                self._rejected.pop(manifest.path, None)
                self._life.discovered(manifest)
                self._plan.discovered(manifest.id)
            for rejected in found.rejected:
                self._rejected[rejected.path] = rejected
                self._life.rejected(rejected)
            if self._plan.activation is Activation.START:
                return replace(found, left_out=self.activate().left_out)
            return found

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

    def map(
        self,
        method: Callable[..., R],
        *items: Iterable[Any],
        executor: Executor | None = None,
        plugin: str | None = None,
        chunksize: int = 1,
        timeout: float | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[R]:
        """The answers of `Contract.method` for each of `items`, in their order, from many threads or processes.

        With several iterables each call gets one argument of each, as with the built-in `map`. `executor` is any of
        `concurrent.futures`, or of a cluster: a plugin in another process is opened there by its manifest's path;
        without one there are threads of this process, one if the plugin's concurrency is serial. `chunksize` items go
        at a time. `timeout` is for each call (`Deadline`). The first failure is raised in its place, and nothing new
        begins; with `return_exceptions` it is an answer. Raises `PluginCrashed` if a process ended, `Unsupported` for a
        method that answers a handle or an iterator.
        """
        from latebind.plugin.mapped import mapped

        return mapped(self, method, items, executor, plugin, chunksize, timeout, return_exceptions=return_exceptions)

    def blueprint(self, plugin: str) -> Blueprint:
        """What another process needs to open a loaded plugin with all that it requires."""
        from latebind.plugin.mapped import Blueprint

        with self._lock:
            self._loaded(plugin, "describe")
            needed, pending = {plugin}, [plugin]
            while pending:
                user = pending.pop()
                more = {p for p in self._slots if self._generation(p) and user in self._users(p)} - needed
                needed |= more
                pending += more
            loaded = [g for p in self._slots if p in needed and (g := self._generation(p)) is not None]
            plugins = tuple((g.manifest.path, g.manifest.id, str(g.manifest.version), dict(g.config)) for g in loaded)
            services = self._services.given()
            return Blueprint(self.policy, plugins, tuple(self._contracts), services)

    def reload(
        self, plugin: str, *, timeout: float = DRAIN_TIMEOUT, probation: bool = False, must_unload: bool = False
    ) -> ReloadReport:
        """Replace a loaded plugin's code by what lies at its place now, keeping its state (reload.py has the steps).

        The manifest is read again too. Calls that come in while the state is moved wait; none is lost. `timeout` are
        the seconds to wait for running calls. With `probation` the new code is first loaded, started and tested in a
        process of its own. With `must_unload` nothing is done where some of the old code would stay in memory.
        Whatever goes wrong is raised, and the old code serves on.
        """
        with self._lock:
            slot, old = self._loaded(plugin, "reload")
            journal = Journal(lambda step: self._life.step(old.manifest, old.number, step))
            manifest, providers = old.manifest, self._providers[plugin]
            files = self._life.tried(manifest)
            try:
                journal.at(Step.READ)
                manifest = read_manifest(old.manifest.path)
                files = fingerprint(manifest)
                providers = self._successor(old, manifest, journal)
                self._preflight(old, journal, must_unload=must_unload)
                tried = self._probation(manifest, providers, old, journal) if probation else None
                report = exchange(
                    slot, old, lambda: self._next(slot, old, manifest, providers, tried), journal, timeout,
                    self._watchdog,
                )  # fmt: skip
            except BaseException as e:
                if slot.generation is old:
                    self._life.rolled_back(old.manifest, old.number, journal.step, e)
                raise
            finally:
                if slot.generation is not old:  # also when an interrupt came after the switch
                    self._providers[plugin] = providers
                    self._adopt(manifest)
                    self._life.tried(manifest, files)
            self._life.reloaded(manifest, report, journal.without)
            return report

    def changed(self, plugin: str) -> bool:
        """Whether a loaded plugin's files have changed since they were last loaded, or tried in vain."""
        with self._lock:
            generation = self._generation(plugin)
            return generation is not None and self._life.changed(generation.manifest)

    def reload_changed(self, **options: Any) -> tuple[ReloadReport | LatebindError, ...]:
        """Reload every plugin whose files changed, those that others require first; `options` are `reload`'s.

        A reload that fails is rolled back, its error is in the answer, and the others are reloaded all the same.
        """
        done: list[ReloadReport | LatebindError] = []
        with self._lock:
            for plugin in self._in_order():
                if self.changed(plugin):
                    try:
                        done.append(self.reload(plugin, **options))
                    except LatebindError as e:
                        done.append(e.with_traceback(None))
        return tuple(done)

    def watch(
        self, *plugins: str, builds: Mapping[str, str] | None = None, settle: float = 0.05, probation: bool = True
    ) -> Watch:
        """Reload plugins by themselves when their files change, from another thread, until the answer is closed.

        `plugins` are their ids; without any, all that are loaded, now or later. `builds` maps ids to shell commands,
        such as `make`, that are run in a plugin's folder when a file in it changes: the host serves on meanwhile, and
        a build that fails is told (`Built`) and changes nothing. Files count as written when they have not changed for
        `settle` seconds. With `probation` each new code is tried out in a process of its own first.
        """
        from latebind.plugin.watch import Watch

        made = Watch(self, plugins, builds=builds or {}, settle=settle, probation=probation)
        self._watches = [*(w for w in self._watches if not w.closed), made]
        return made

    def reload_on(self, signal: int, **options: Any) -> SignalReload:
        """`reload_changed(**options)` whenever a signal comes, such as SIGHUP, until the answer is closed.

        To be called in the main thread (ValueError); the reloads are made in another one.
        """
        from latebind.plugin.watch import SignalReload

        made = SignalReload(signal, lambda: self.reload_changed(**options))
        self._watches = [*(w for w in self._watches if not w.closed), made]
        return made

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

    def selftest(self, plugin: str) -> bool:
        """Run a loaded plugin's lb_selftest; whether it has one. Raises `PluginError` with what it says is wrong."""
        with self._lock:
            slot, generation = self._loaded(plugin, "test")
            slot.gate.enter()
            try:
                return self._watchdog.selftest(generation)
            finally:
                slot.gate.leave()

    def resume(self, plugin: str) -> None:
        """Forget the failures of a plugin that is suspended: the next attempt is made at once."""
        with self._lock:
            self._life.forgive(plugin)

    def plugins(self) -> tuple[PluginStatus, ...]:
        """Every known plugin by id, a loaded one in its loaded version, any other in its newest."""
        with self._lock:
            newest = {m.id: m for m in reversed(list(self._registry))}
            current = {p: s.generation.manifest for p, s in self._slots.items() if s.generation is not None}
            return tuple(self._status(m) for _, m in sorted({**newest, **current}.items()))

    def close(self) -> None:
        """End all watches and unload every plugin, those that others require last. More than once does no harm."""
        self.workers.close()
        while self._watches:
            self._watches.pop().close()  # not under the lock, which their threads may wait for
        with self._lock:
            self._plan.close()
            for plugin in reversed(self._in_order()):
                self.unload(plugin)
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

        def start() -> Generation:
            return generate(manifest, staged, around, config, number, loaded, self._kinds)

        made = self._watchdog.start(manifest.id, start)
        self._store.keep(staged.stored, made)
        return self._life.guard(made)

    def _successor(self, old: Generation, manifest: Manifest, journal: Journal) -> Mapping[str, str]:
        """Who meets the requirements of the next generation's manifest: only what is loaded already."""
        journal.at(Step.RESOLVE)
        users = [g.manifest for user in self._users(manifest.id) if (g := self._generation(user)) is not None]
        check_succession(old.manifest, manifest, users, self._providers, self._contracts)
        out: dict[str, Rejected] = {}
        while True:
            known = self._known(out)
            others = {p: m for p, m in known.loaded.items() if p != manifest.id}
            found = resolve(manifest, replace(known, loaded=others))
            absent = next((m for m in found.order if m.id != manifest.id), None)
            if absent is None:
                break
            gone = cannot_do_without(absent.id, found)
            if manifest.id in gone:
                why = f"it now requires {absent}, which is not loaded; load that first"
                raise LifecycleError(manifest.id, "reload", why)
            error = LifecycleError(absent.id, "use it", "it is not loaded")
            out |= {m.id: Rejected(m.path, error) for m in found.order if m.id in gone}
        journal.without = found.skipped
        check_circle(manifest, found.providers[manifest.id], known.loaded, self._providers)
        return found.providers[manifest.id]

    def _preflight(self, old: Generation, journal: Journal, *, must_unload: bool) -> None:
        """Name what of the old code cannot be unloaded."""
        journal.at(Step.PREFLIGHT)
        lasting = old.lasting()
        if lasting:
            self._life.cannot_unload(old.manifest, old.number, lasting)
            if must_unload:
                why = f"its old code would stay in memory: {'; '.join(lasting)}"
                raise LifecycleError(old.manifest.id, "reload", why)

    def _probation(self, manifest: Manifest, providers: Mapping[str, str], old: Generation, journal: Journal) -> str:
        """Try the next generation out in a process of its own; which copy of it that was."""
        from latebind.plugin.probation import try_out

        journal.at(Step.PROBATION)
        check_built_in(manifest, self._kinds)
        around = Surroundings(self._contracts, self._services_for(manifest, providers), self.policy)
        result = try_out(manifest, around, old.config, self._store.root, self._limits.probation)
        self._life.passed_probation(manifest, old.number, result)
        return result.whole

    def _next(
        self, slot: Slot, old: Generation, manifest: Manifest, providers: Mapping[str, str], tried: str | None
    ) -> Generation:
        services = self._services_for(manifest, providers)
        generation = self._generate(manifest, services, old.config, slot.numbers + 1, tried)
        slot.around = self._services.around(manifest) or slot.around
        slot.numbers = generation.number
        return generation

    def _adopt(self, manifest: Manifest) -> None:
        """Remember the manifest that now serves; a version that is also known elsewhere stays known there."""
        try:
            self._registry.add(manifest)
        except ManifestError as e:
            self.events.emit(ManifestRejected(plugin=manifest.id, path=manifest.path, error=detached(e)))

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

    def _status(self, manifest: Manifest) -> PluginStatus:
        current = self._generation(manifest.id)
        number = current.number if current is not None else 0
        standing = self._life.standing(manifest.id)
        users = tuple(self._users(manifest.id))
        slot = self._slots.get(manifest.id)
        methods = slot.statistics() if slot is not None else ()
        return PluginStatus(manifest, current is not None, number, users, standing.state, standing.reason, methods)
