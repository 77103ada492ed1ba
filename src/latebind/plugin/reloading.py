"""The part of the host that reloads plugins: when it is told to, when files change, or when a signal comes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from latebind.errors import LatebindError, LifecycleError, ManifestError
from latebind.plugin.check import Surroundings
from latebind.plugin.degrade import cannot_do_without
from latebind.plugin.events import ManifestRejected, Step, detached
from latebind.plugin.fingerprint import fingerprint
from latebind.plugin.kinds import check_built_in
from latebind.plugin.loading import Loading
from latebind.plugin.manifest import read_manifest
from latebind.plugin.registry import Rejected
from latebind.plugin.reload import DRAIN_TIMEOUT, Journal, ReloadReport, exchange
from latebind.plugin.resolve import resolve
from latebind.plugin.succession import check_circle, check_succession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.slot import Slot
    from latebind.plugin.timelimit import TimeLimits
    from latebind.plugin.watch import SignalReload, Watch


class Reloading(Loading):
    """What `Host` inherits; see there."""

    _limits: TimeLimits
    _watches: list[Watch | SignalReload]

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

    # What follows runs under the lock.

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
