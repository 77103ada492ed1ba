"""Which plugins must be loaded for one that is wanted, in which versions, and in what order.

A requirement on a contract is met by a service of the host, by a loaded plugin, or by the newest known plugin that
provides it; one on a plugin by its id. The first choice that fits is taken and kept: a later requirement that it
does not meet is a conflict, reported with everyone who asked.
"""

from __future__ import annotations

import graphlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latebind.errors import DependencyCycle, NotFound, Tried, VersionConflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from latebind.contracts import Version
    from latebind.plugin.manifest import Manifest, Required
    from latebind.plugin.registry import Registry, Rejected


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to choose from. `services` maps the host's contracts to their versions."""

    registry: Registry
    loaded: Mapping[str, Manifest]
    services: Mapping[str, Version]
    rejected: Sequence[Rejected] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """The plugins to load, those that others require first, and who meets each plugin's requirements.

    `providers` maps a plugin's id to: contract id → id of the plugin that provides it. `skipped` are optional
    requirements that nobody meets, each as a sentence.
    """

    order: tuple[Manifest, ...]
    providers: Mapping[str, Mapping[str, str]]
    skipped: tuple[str, ...]


@dataclass(slots=True)
class _Search:
    known: Known
    chosen: dict[str, Manifest] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)
    edges: dict[str, set[str]] = field(default_factory=dict)
    providers: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def resolve(wanted: Manifest, known: Known) -> Resolution:
    """Everything that loading `wanted` takes. Raises `NotFound`, `VersionConflict` or `DependencyCycle`."""
    search = _Search(known)
    search.chosen[wanted.id] = wanted
    search.asked[wanted.id] = [f"{wanted} is to be loaded"]
    pending = [wanted]
    while pending:
        manifest = pending.pop(0)
        search.edges[manifest.id] = set()
        search.providers[manifest.id] = {}
        for required in manifest.requires:
            provider = _meet(search, manifest, required)
            if provider is None:
                continue
            search.edges[manifest.id].add(provider.id)
            if required.kind == "contract":
                search.providers[manifest.id][required.id] = provider.id
            if provider.id not in search.chosen:
                search.chosen[provider.id] = provider
                pending.append(provider)
            search.asked.setdefault(provider.id, []).append(f"{manifest} requires {required}")
    order = [search.chosen[plugin] for plugin in _order(search.edges)]
    return Resolution(tuple(m for m in order if m.id not in known.loaded), search.providers, tuple(search.skipped))


def _meet(search: _Search, manifest: Manifest, required: Required) -> Manifest | None:
    """The plugin that meets a requirement; None if the host does, or if nobody does and it is optional."""
    service = search.known.services.get(required.id) if required.kind == "contract" else None
    if service is not None and required.range.accepts(service):
        return None
    try:
        return _choose(search, manifest, required, service)
    except (NotFound, VersionConflict) as e:
        if not required.optional:
            raise
        search.skipped.append(f"{manifest} goes without {required}: {str(e).splitlines()[0]}")
        return None


def _choose(search: _Search, manifest: Manifest, required: Required, service: Version | None) -> Manifest:
    """The plugin to take. `service` is the version of the host's own service, if it has one that does not fit."""
    if service is not None:
        text = f"{manifest} requires {required}, and the host's service has version {service}"
        raise VersionConflict(text, (f"{manifest} requires {required}", f"the host provides {required.id} {service}"))
    candidates = _candidates(search, required)
    if not candidates:
        raise NotFound(required.id, str(manifest), _why_not(search.known, required))
    fitting = [m for m in candidates if required.range.accepts(_version(m, required))]
    fixed = {**search.known.loaded, **search.chosen}
    for candidate in fitting:
        if fixed.get(candidate.id, candidate) == candidate:
            return candidate
    # Everything that would fit is there already in another version, or nothing fits.
    there = [f"{m} is there: {reason}" for m in fixed.values() for reason in search.asked.get(m.id, ["it is loaded"])
             if m.id in {c.id for c in candidates}]  # fmt: skip
    have = ", ".join(f"{m} has {_version(m, required)}" for m in candidates)
    raise VersionConflict(
        f"{manifest} requires {required}, and none fits: {have}", (f"{manifest} requires {required}", *there)
    )


def _candidates(search: _Search, required: Required) -> list[Manifest]:
    """Who could meet the requirement at all: chosen and loaded plugins first, then the newest of each."""
    fixed = [*search.chosen.values(), *search.known.loaded.values()]
    if required.kind == "plugin":
        found = [m for m in fixed if m.id == required.id] + list(search.known.registry.versions(required.id))
    else:
        found = [m for m in fixed if _provides(m, required.id)] + list(search.known.registry.providers(required.id))
    return list(dict.fromkeys(found))


def _provides(manifest: Manifest, contract: str) -> bool:
    return any(p.contract == contract for p in manifest.provides)


def _version(manifest: Manifest, required: Required) -> Version:
    """The version that a requirement's range is about: the plugin's, or that of the contract it provides."""
    if required.kind == "plugin":
        return manifest.version
    return next(p.version for p in manifest.provides if p.contract == required.id)


def _why_not(known: Known, required: Required) -> tuple[Tried, ...]:
    where = "the host's services and the known plugins" if required.kind == "contract" else "the known plugins"
    return (Tried(where, f"none is or provides {required.id}"), *left_out(known.rejected))


def left_out(rejected: Sequence[Rejected]) -> tuple[Tried, ...]:
    """The manifests that could not be read, since the one that is missed may be among them."""
    return tuple(Tried(r.path, f"was left out: {' '.join(str(r.error).split())}") for r in rejected)


def _order(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        return list(graphlib.TopologicalSorter(edges).static_order())
    except graphlib.CycleError as e:
        circle = e.args[1]
        raise DependencyCycle(tuple(reversed(circle))) from e
