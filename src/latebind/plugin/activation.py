"""When plugins are loaded: when the program says so, when they are first used, or as soon as they are discovered.

In the two latter cases the host makes one plan for all plugins that it knows (`resolve_all`), so that whichever is used
first, the versions that are loaded fit together. A plugin that fails is left out of the next plan with its reason.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from latebind.errors import LatebindError, LifecycleError
from latebind.plugin.events import detached
from latebind.plugin.resolve import Resolution, resolve_all, resolve_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from latebind.contracts import Range
    from latebind.plugin.candidates import Known
    from latebind.plugin.manifest import Manifest


class Activation(StrEnum):
    """When a host loads its plugins."""

    EXPLICIT = "explicit"
    """When `Host.load` or `Host.activate` is called."""
    LAZY = "lazy"
    """At the first call of a proxy, or with `Host.all`."""
    START = "start"
    """When they are discovered."""


@dataclass(frozen=True, slots=True)
class Activated:
    """What `Host.activate` did: the plugins that serve, those that others require first, and who is left out, and why.

    `left_out` holds plugins that do not fit beside the others, that failed, or that require one of those.
    """

    loaded: tuple[Manifest, ...]
    left_out: Mapping[str, LatebindError]


class Plan:
    """The plan for all known plugins; made when it is needed, and again when something changed.

    `known` says what there is. Everything here runs under the host's lock.
    """

    def __init__(self, activation: Activation, known: Callable[[], Known]) -> None:
        self.activation = activation
        self.failed: dict[str, LatebindError] = {}
        """Plugins that could not be loaded, until they are loaded, or discovered again."""
        self.stopped: set[str] = set()
        """Plugins that were unloaded on purpose: their first use does not load them again."""
        self._known = known
        self._made: Resolution | None = None
        self._loading: set[str] = set()
        self._activating = False

    @property
    def lazy(self) -> bool:
        """Whether the first use of a plugin loads it."""
        return self.activation is Activation.LAZY

    def resolution(self) -> Resolution:
        """The plan for everything, without what failed."""
        if self._made is None:
            known = self._known()
            failed = {p: e for p, e in self.failed.items() if p not in known.loaded}
            self._made = resolve_all(replace(known, failed={**known.failed, **failed}))
        return self._made

    def changed(self) -> None:
        """Something is known, loaded or needed that was not before."""
        self._made = None

    def for_plugin(self, plugin: str, versions: Range, known: Known) -> Resolution:
        """What loading one plugin takes: as planned for all, where that is how the host works, or else for it alone.

        Raises `NotFound`, `VersionConflict` or `DependencyCycle`.
        """
        if (self._activating or self.activation is not Activation.EXPLICIT) and not known.failed:
            planned = self.resolution()
            order = planned.closure(plugin)
            if order and versions.accepts(order[-1].version):
                order = tuple(m for m in order if m.id not in known.loaded)
                providers = {m.id: planned.providers[m.id] for m in order}
                skipped = tuple(s for s in planned.skipped if any(s.startswith(f"{m} ") for m in order))
                return Resolution(order, providers, skipped)
        return resolve_plugin(plugin, versions, known)

    def activate(self, plugins: Sequence[str], load: Callable[[str], object]) -> Activated:
        """Load these plugins, or all; after each failure the rest is planned anew without what failed."""
        before = self._known().loaded
        for plugin in plugins:
            self._forgive(plugin)
        self._activating = True
        try:
            while not self._load_planned(plugins, load):
                pass
        finally:
            self._activating = False
        after, out = self._known().loaded, {**self.resolution().left_out, **self.failed}
        loaded = tuple(m for plugin, m in after.items() if plugin not in before)
        return Activated(loaded, {p: e for p, e in sorted(out.items()) if p in plugins or not plugins})

    def _load_planned(self, plugins: Sequence[str], load: Callable[[str], object]) -> bool:
        """Load as planned up to the first failure; whether there was none."""
        planned, failed = self.resolution(), set(self.failed)
        for plugin in plugins or [m.id for m in planned.order if m.id not in self.stopped]:
            if plugin in failed or plugin in planned.left_out:
                continue
            try:
                load(plugin)
            except LatebindError as e:
                if set(self.failed) == failed:  # it was not one of those that it requires
                    self.failed[plugin] = detached(e)
                self.changed()
                return False
        return True

    @contextmanager
    def while_loading(self, manifest: Manifest) -> Iterator[None]:
        """Around the loading of a plugin: what comes of it is remembered."""
        plugin = manifest.id
        self._loading.add(plugin)
        try:
            yield
        except BaseException as e:
            if isinstance(e, LatebindError):
                self.failed[plugin] = detached(e)
            self.changed()
            raise
        finally:
            self._loading.discard(plugin)
        self.failed.pop(plugin, None)
        self.stopped.discard(plugin)
        if self._made is not None and manifest not in self._made.order:
            self.changed()

    def discovered(self, plugin: str) -> None:
        """A plugin was discovered, perhaps again: it gets another chance."""
        self.failed.pop(plugin, None)
        self.changed()

    def did_stop(self, plugin: str) -> None:
        """A plugin was unloaded on purpose."""
        self.stopped.add(plugin)
        self.changed()

    def close(self) -> None:
        """The host ends: no further use loads anything."""
        self.activation = Activation.EXPLICIT

    def may_activate(self, plugin: str) -> bool:
        """Whether the use of a plugin that is not loaded loads it. One that failed before is tried again.

        Raises `LifecycleError` for one that is used by its own start.
        """
        if not self.lazy or plugin in self.stopped:
            return False
        self.check_not_loading(plugin)
        self._forgive(plugin)
        return True

    def check_not_loading(self, plugin: str) -> None:
        """Raise `LifecycleError` for a plugin that is used by its own start."""
        if plugin in self._loading:
            raise LifecycleError(plugin, "use it", "it is being loaded, and this call comes from there")

    def _forgive(self, plugin: str) -> None:
        if self.failed.pop(plugin, None) is not None:
            self.changed()
