"""Which plugins must be loaded for those that are wanted, in which versions, and in what order.

A requirement on a contract is met by a service of the host or by a plugin that provides it; one on a plugin by its id.
`candidates.py` says who comes first, `solver.py` finds versions that fit together, `conflict.py` says why none do.
What is loaded stays as it is. Nothing is executed here: a resolution is a plan.
"""

from __future__ import annotations

import graphlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from latebind.contracts import Range
from latebind.errors import DependencyCycle, LatebindError
from latebind.plugin.candidates import Ask, Candidates, Known, left_out, priority_of
from latebind.plugin.conflict import explain
from latebind.plugin.manifest import Manifest, Required
from latebind.plugin.solver import NoSolution, Solution, solve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Known", "Resolution", "left_out", "needed", "resolve", "resolve_all", "resolve_plugin"]

_CIRCLES: Final = 64
"""Circles that are avoided by other choices before the first one is reported."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The plugins to load, those that others require first, and who meets each plugin's requirements.

    `providers` maps a plugin's id to: contract id → id of the plugin that provides it. `skipped` are optional
    requirements that nobody meets, each as a sentence. `left_out` are plugins that were asked for and cannot be loaded.
    """

    order: tuple[Manifest, ...]
    providers: Mapping[str, Mapping[str, str]]
    skipped: tuple[str, ...] = ()
    left_out: Mapping[str, LatebindError] = field(default_factory=dict)

    def closure(self, plugin: str) -> tuple[Manifest, ...]:
        """The part of `order` that one plugin takes: what it requires, and itself at the end; empty if it is not in it.

        What it requires as optional is part of it where it is there.
        """
        by_id = {m.id: m for m in self.order}
        there: set[str] = set()
        pending = [plugin] if plugin in by_id else []
        while pending:
            name = pending.pop()
            if name in by_id and name not in there:
                there.add(name)
                pending += needed(by_id[name], self.providers[name])
        return tuple(m for m in self.order if m.id in there)


def needed(manifest: Manifest, providers: Mapping[str, str]) -> list[str]:
    """The ids of the plugins that one needs, as far as they are there; `providers` are those of its contracts."""
    return sorted({*providers.values(), *(r.id for r in manifest.requires if r.kind == "plugin")})


def resolve(wanted: Manifest, known: Known) -> Resolution:
    """Everything that loading just this manifest takes. Raises `NotFound`, `VersionConflict` or `DependencyCycle`."""
    return _resolve([_root(wanted.id)], Candidates(known, [wanted]))


def resolve_plugin(plugin: str, versions: Range, known: Known) -> Resolution:
    """Everything that loading a plugin takes: its newest version within a range that has all that it requires.

    Raises `NotFound`, `VersionConflict` or `DependencyCycle`.
    """
    return _resolve([_root(plugin, versions)], Candidates(known))


def resolve_all(known: Known) -> Resolution:
    """As many of the known plugins as fit together, one version of each.

    Where plugins exclude each other, the one of higher priority stays, then the one whose id comes first. What is left
    out is told with its reason and hides no other.
    """
    plugins = [versions[0] for versions in known.registry.plugins() if versions[0].id not in known.failed]
    wanted = sorted(plugins, key=lambda m: (-priority_of(m, known.priorities), m.id))
    roots = [_root(m.id) for m in wanted if m.id not in known.loaded]
    candidates = Candidates(known)
    accepted: list[Ask] = []
    errors: dict[str, LatebindError] = {}
    for group in _groups(roots, candidates):
        fitting, failed = _accept(group, candidates)
        accepted += fitting
        errors |= failed
    chosen = _resolve(accepted, candidates)
    return Resolution(chosen.order, chosen.providers, chosen.skipped, errors)


def _root(plugin: str, versions: Range = Range.parse("*")) -> Ask:  # noqa: B008 - a value
    return Ask(None, Required("plugin", plugin, versions))


def _resolve(roots: Sequence[Ask], candidates: Candidates) -> Resolution:
    try:
        solution = _without_circles(roots, candidates)
    except NoSolution as e:
        raise explain(roots, candidates, e) from None
    order = [solution.chosen[p] for p in graphlib.TopologicalSorter(_edges(solution)).static_order()]
    providers: dict[str, dict[str, str]] = {p: {} for p in solution.chosen}
    skipped = []
    for manifest in order:
        for ask in candidates.asks(manifest):
            provider = solution.met[ask]
            if provider is None:
                skipped.append(f"{manifest} goes without {ask.required}: {_why_without(ask, candidates)}")
            elif ask.required.kind == "contract":
                providers[manifest.id][ask.required.id] = provider.id
    return Resolution(tuple(m for m in order if not candidates.is_loaded(m)), providers, tuple(skipped))


def _why_without(ask: Ask, candidates: Candidates) -> str:
    if not candidates.exists(ask.required):
        return ", ".join(candidates.turned_down(ask)) or "nothing is or provides it"
    fitting = candidates.fitting(ask)
    if fitting:
        return f"{', '.join(map(str, fitting))} cannot be loaded beside the rest"
    return ", ".join(candidates.turned_down(ask))


def _edges(solution: Solution) -> dict[str, list[str]]:
    """Each chosen plugin, and whom it needs; in an order that is always the same."""
    edges: dict[str, list[str]] = {plugin: [] for plugin in sorted(solution.chosen)}
    for ask, provider in solution.met.items():
        if ask.consumer is not None and provider is not None and provider.id not in edges[ask.consumer.id]:
            edges[ask.consumer.id].append(provider.id)
    return {plugin: sorted(needed) for plugin, needed in edges.items()}


def _without_circles(roots: Sequence[Ask], candidates: Candidates) -> Solution:
    """A solution whose plugins can be loaded one after the other.

    A solution without a circle lacks at least one choice of each circle, so giving those up in turn misses none. What
    is optional is given up first. Raises the first circle's `DependencyCycle` if all end in one.
    """
    budget = [_CIRCLES]

    def attempt() -> Solution | DependencyCycle | NoSolution:
        try:
            solution = solve(roots, candidates)
        except NoSolution as e:
            return e
        circle = _circle(solution)
        if circle is None:
            return solution
        steps = [(a, m) for a, m in solution.met.items() if m is not None and _on(circle, a, m)]
        for ask, provider in sorted(steps, key=lambda step: not step[0].required.optional):
            if budget[0] == 0:
                break
            budget[0] -= 1
            candidates.bar(ask, provider)
            found = attempt()
            if isinstance(found, Solution):
                return found  # with its bars: what follows must not choose the circle again
            candidates.unbar(ask, provider)
        return DependencyCycle(circle)

    found = attempt()
    if isinstance(found, Solution):
        return found
    raise found


def _circle(solution: Solution) -> tuple[str, ...] | None:
    sorter = graphlib.TopologicalSorter(_edges(solution))
    try:
        sorter.prepare()
    except graphlib.CycleError as e:
        return tuple(reversed(e.args[1]))
    return None


def _on(circle: Sequence[str], ask: Ask, provider: Manifest) -> bool:
    return ask.consumer is not None and any(
        (user, used) == (ask.consumer.id, provider.id) for user, used in pairwise(circle)
    )


def _groups(roots: Sequence[Ask], candidates: Candidates) -> Iterable[list[Ask]]:
    """The roots, those together that could have to do with each other."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = name = leader[leader[name]]
        return name

    for root in roots:
        for manifest in candidates.versions(root.required.id):
            for ask in candidates.asks(manifest):
                for option in candidates.options(ask):
                    leader[find(option.id)] = find(manifest.id)
    groups: dict[str, list[Ask]] = {}
    for root in roots:
        groups.setdefault(find(root.required.id), []).append(root)
    return groups.values()


def _accept(roots: Sequence[Ask], candidates: Candidates) -> tuple[list[Ask], dict[str, LatebindError]]:
    """The roots that can be met together, earlier ones first, and why the others cannot."""
    accepted: list[Ask] = []
    errors: dict[str, LatebindError] = {}
    pending = [list(roots)]
    while pending:
        group = pending.pop()
        error = _objection([*accepted, *group], candidates)
        if error is None:
            accepted += group
        elif len(group) == 1:
            alone = _objection(group, candidates)
            errors[group[0].required.id] = _explained(group if alone else [*accepted, *group], candidates)
        else:
            half = len(group) // 2
            pending += [group[half:], group[:half]]
    return accepted, errors


def _objection(roots: Sequence[Ask], candidates: Candidates) -> Exception | None:
    before = set(candidates.barred)
    try:
        _without_circles(roots, candidates)
    except (NoSolution, LatebindError) as e:
        return e
    finally:
        candidates.barred = before
    return None


def _explained(roots: Sequence[Ask], candidates: Candidates) -> LatebindError:
    try:
        _resolve(roots, candidates)
    except LatebindError as e:
        return e
    raise AssertionError("what could not be resolved before can be now")
