"""Who could meet which requirement: what the host has, what is loaded, and what is known; best first.

A requirement for a plugin is met by a version of it, one for a contract by a plugin that provides it. Of several
plugins that provide a contract, those that are loaded come first, then those of the highest priority, then those with
the newest version of the contract, then the newest plugin; ids decide what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from latebind.contracts import compatible
from latebind.errors import LatebindError, Tried

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from latebind.contracts import Version
    from latebind.plugin.manifest import Manifest, Required
    from latebind.plugin.registry import Registry, Rejected


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to choose from.

    `services` and `contracts` map the ids of the host's services, and of the contracts that it knows, to versions;
    `priorities` are the operator's, by id or pattern; `failed` are plugins that are out of the question, and why.
    """

    registry: Registry
    loaded: Mapping[str, Manifest]
    services: Mapping[str, Version]
    rejected: Sequence[Rejected] = ()
    contracts: Mapping[str, Version] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, LatebindError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Somebody requires something; `consumer` is None where it is the host. Equal only to itself."""

    consumer: Manifest | None
    required: Required

    def __str__(self) -> str:
        if self.consumer is None:
            text = f"{self.required.id} {self.required.range}".removesuffix(" *")
            return f"{text} is to be loaded"
        return f"{self.consumer} requires {self.required}"


def provided_version(manifest: Manifest, contract: str) -> Version | None:
    """The version of a contract that a plugin provides, or None."""
    return next((p.version for p in manifest.provides if p.contract == contract), None)


def priority_of(manifest: Manifest, priorities: Mapping[str, int]) -> int:
    """The operator's word (the plugin's own id before the first pattern that matches), or else the manifest's."""
    if not priorities:
        return manifest.priority
    given = priorities.get(manifest.id)
    if given is None:
        given = next((v for pattern, v in priorities.items() if fnmatchcase(manifest.id, pattern)), None)
    return manifest.priority if given is None else given


def ranked(manifests: Iterable[Manifest], contract: str, priorities: Mapping[str, int]) -> list[Manifest]:
    """Plugins that provide a contract, the one to be taken first."""
    by_id = sorted(manifests, key=lambda m: m.id)
    return sorted(
        by_id,
        key=lambda m: (priority_of(m, priorities), provided_version(m, contract) or m.version, m.version),
        reverse=True,
    )


class Candidates:
    """The choices of one resolution. `wanted` are manifests that stand for their plugins, whatever else is known."""

    def __init__(self, known: Known, wanted: Sequence[Manifest] = ()) -> None:
        self.known = known
        self.fixed = {**known.loaded, **{m.id: m for m in wanted}}
        self._wanted = {m.id for m in wanted}
        self._asks: dict[int, tuple[Ask, ...]] = {}
        self._options: dict[Ask, tuple[Manifest, ...]] = {}
        self._providers: dict[str, list[Manifest]] | None = None
        self.barred: set[tuple[int, str, int]] = set()
        """Choices that led to a circle: (consumer, kind and id of the requirement, provider)."""

    def versions(self, plugin: str) -> tuple[Manifest, ...]:
        """The versions of a plugin that may be chosen, newest first."""
        fixed = self.fixed.get(plugin)
        if fixed is not None:
            return (fixed,)
        return () if plugin in self.known.failed else self.known.registry.versions(plugin)

    def is_loaded(self, manifest: Manifest) -> bool:
        """Whether it serves already, so that nothing more is asked for it."""
        return manifest.id not in self._wanted and self.known.loaded.get(manifest.id) is manifest

    def asks(self, manifest: Manifest) -> tuple[Ask, ...]:
        """What a plugin asks of others; what the host's own services meet is not among it."""
        found = self._asks.get(id(manifest))
        if found is None:
            wants = () if self.is_loaded(manifest) else manifest.requires
            found = tuple(Ask(manifest, r) for r in wants if not self.met_by_host(r))
            self._asks[id(manifest)] = found
        return found

    def met_by_host(self, required: Required) -> bool:
        """Whether a service of the host meets a requirement."""
        service = self.known.services.get(required.id) if required.kind == "contract" else None
        return service is not None and required.range.accepts(service)

    def options(self, ask: Ask) -> tuple[Manifest, ...]:
        """Who can meet a requirement, best first."""
        found = self.fitting(ask)
        return tuple(m for m in found if not self.is_barred(ask, m)) if self.barred else found

    def fitting(self, ask: Ask) -> tuple[Manifest, ...]:
        """The same, with choices that were given up."""
        found = self._options.get(ask)
        if found is None:
            found = tuple(m for m in self._about(ask.required) if self.objection(ask, m) is None)
            self._options[ask] = found
        return found

    def is_barred(self, ask: Ask, manifest: Manifest) -> bool:
        """Whether this choice was given up, because it led to a circle."""
        return self._edge(ask, manifest) in self.barred

    def bar(self, ask: Ask, manifest: Manifest) -> None:
        """Give a choice up."""
        self.barred.add(self._edge(ask, manifest))

    def unbar(self, ask: Ask, manifest: Manifest) -> None:
        """Allow it again."""
        self.barred.discard(self._edge(ask, manifest))

    @staticmethod
    def _edge(ask: Ask, manifest: Manifest) -> tuple[int, str, int]:
        return id(ask.consumer), f"{ask.required.kind} {ask.required.id}", id(manifest)

    def objection(self, ask: Ask, manifest: Manifest) -> str | None:
        """Why a plugin that was asked for by id, or provides what was asked for, does not do; None if it does."""
        required = ask.required
        if required.kind == "plugin":
            if not required.range.accepts(manifest.version):
                return f"is not {required.range}"
        elif ask.consumer is not None and ask.consumer.id == manifest.id:
            return "is the plugin itself"
        else:
            version = provided_version(manifest, required.id)
            if version is not None and not required.range.accepts(version):
                return f"has version {version}"
        # What is loaded serves already, and of what is just wanted its check says more (check.py).
        return None if manifest.id in self.fixed else self._unfit(manifest)

    def _unfit(self, manifest: Manifest) -> str | None:
        """Why the host would refuse a plugin, if it was built against a contract that is not the host's."""
        for provided in manifest.provides:
            host = self.known.contracts.get(provided.contract)
            why = compatible(provided.version, host) if host is not None else None
            if why is not None:
                return f"provides {provided.contract} {provided.version}, the host has {host}: {why}"
        return None

    def turned_down(self, ask: Ask) -> list[str]:
        """Everything that is known of what was asked for, each with the reason why it is not taken."""
        required, found = ask.required, []
        service = self.known.services.get(required.id) if required.kind == "contract" else None
        if service is not None:
            found.append(f"the host's service has version {service}")
        for manifest in self._about(required):
            why = self.objection(ask, manifest)
            loaded = "is loaded" if self.is_loaded(manifest) else ""
            found.append(" ".join(filter(None, [str(manifest), loaded, "and" if loaded and why else "", why])))
        failed = self.known.failed.get(required.id) if required.kind == "plugin" else None
        if failed is not None:
            found.append(f"{required.id} failed: {first_line(failed)}")
        return found

    def exists(self, required: Required) -> bool:
        """Whether anything is known under that id, in whatever version."""
        return bool(self._about(required)) or (required.kind == "contract" and required.id in self.known.services)

    def _about(self, required: Required) -> Sequence[Manifest]:
        if required.kind == "plugin":
            return self.versions(required.id)
        if self._providers is None:
            self._providers = {}
            for manifest in self._everything():
                for provided in manifest.provides:
                    self._providers.setdefault(provided.contract, []).append(manifest)
            self._providers = {c: self._ranked(found, c) for c, found in self._providers.items()}
        return self._providers.get(required.id, ())

    def _ranked(self, manifests: list[Manifest], contract: str) -> list[Manifest]:
        best = ranked(manifests, contract, self.known.priorities) if len(manifests) > 1 else manifests
        return sorted(best, key=lambda m: not self.is_loaded(m)) if self.known.loaded else best

    def _everything(self) -> Iterator[Manifest]:
        yield from self.fixed.values()
        for manifest in self.known.registry:
            if manifest.id not in self.fixed and manifest.id not in self.known.failed:
                yield manifest


def first_line(error: LatebindError) -> str:
    """What an error says first."""
    return str(error).splitlines()[0]


def left_out(rejected: Sequence[Rejected]) -> tuple[Tried, ...]:
    """The manifests that could not be read, since the one that is missed may be among them."""
    return tuple(Tried(r.path, f"was left out: {' '.join(str(r.error).split())}") for r in rejected)
