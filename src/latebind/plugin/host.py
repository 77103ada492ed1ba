"""The host: discovers plugins, loads them with what they require, hands out proxies, reloads and unloads.

Each operation is a transaction under one lock: it happens whole or not at all. Calls through proxies take no part in
that lock; they pass the gate of their plugin (gate.py) and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from latebind.closing import Closing
from latebind.contracts import contract_of
from latebind.plugin.activation import Activation
from latebind.plugin.audit import writer
from latebind.plugin.breaker import BackOff
from latebind.plugin.choosing import Choosing
from latebind.plugin.events import Events
from latebind.plugin.offers import HostServices
from latebind.plugin.reloading import Reloading
from latebind.plugin.slot import Home
from latebind.plugin.store import Store
from latebind.plugin.timelimit import TimeLimits, Watchdog
from latebind.plugin.workers import Workers
from latebind.sandbox import AuditLog, Policy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from latebind.plugin.kinds import Kind
    from latebind.plugin.mapped import Blueprint
    from latebind.plugin.registry import Discovery
    from latebind.plugin.watch import SignalReload, Watch

R = TypeVar("R")


class Host(Choosing, Reloading, Closing):
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
        events = Events()
        super().__init__(
            events, back_off or BackOff(), Activation(activation), HostServices(services or {}), priorities or {}
        )
        self.policy = policy or Policy()
        self.audit = audit or AuditLog()
        self.subscribe = events.subscribe
        self.subscribe(writer(self.audit))
        self._watches: list[Watch | SignalReload] = []
        self._limits = limits or TimeLimits()
        self._watchdog = Watchdog(self._limits)
        self._kinds = tuple(kinds)
        for contract in [*(contract_of(c) for c in contracts), *self._services.contracts]:
            self._learn(contract)
        self.workers = workers or Workers()
        self.home = Home(events.emit, self.workers)
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
        """What another process needs to open a loaded plugin with all that it requires.

        Services are those that the host was given: objects and factories travel if they can be pickled, and what a
        factory makes is made anew there, for each plugin or call. Raises `LifecycleError` if it is not loaded.
        """
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
