"""Resolution against the truth: every choice of versions and providers, tried one by one, on small graphs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from latebind import DependencyCycle, LatebindError, NotFound, VersionConflict
from latebind.contracts import Range, Version, compatible
from latebind.plugin import Registry
from latebind.plugin.candidates import Ask, Candidates
from latebind.plugin.manifest import Manifest, manifest_from
from latebind.plugin.resolve import Known, Resolution, resolve_all, resolve_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLUGINS = ("p.a", "p.b", "p.c", "p.d")
CONTRACTS = ("c.x", "c.y")
VERSIONS = ("1.0.0", "1.1.0", "2.0.0")
RANGES = ("*", "*", "^1", "^2", "1.1", "<1.1 || ^2")

requirements = st.builds(
    lambda kind, name, versions, optional: {
        kind: (PLUGINS if kind == "plugin" else CONTRACTS)[name], "version": versions, "optional": optional,
    },
    st.sampled_from(["plugin", "contract"]), st.integers(0, 1) | st.integers(0, 1), st.sampled_from(RANGES),
    st.sampled_from([False, False, True]),
)  # fmt: skip
wider = st.builds(
    lambda name, versions, optional: {"plugin": name, "version": versions, "optional": optional},
    st.sampled_from(PLUGINS), st.sampled_from(RANGES), st.sampled_from([False, False, True]),
)  # fmt: skip


def what(requirement: dict[str, object]) -> str:
    return f"{requirement.get('plugin')} {requirement.get('contract')}"


@st.composite
def manifests(draw: st.DrawFn) -> list[Manifest]:
    made = []
    for plugin in PLUGINS:
        for version in draw(st.sets(st.sampled_from(VERSIONS), max_size=3)):
            wants = draw(st.lists(requirements | wider, max_size=3, unique_by=what))
            provides = draw(st.dictionaries(st.sampled_from(CONTRACTS), st.sampled_from(VERSIONS), max_size=1))
            document = {
                "id": plugin, "version": version, "entry": "x.so", "priority": draw(st.integers(0, 1)),
                "requires": wants, "provides": [{"contract": c, "version": v} for c, v in provides.items()],
            }  # fmt: skip
            made.append(manifest_from(document, f"/{plugin}-{version}/plugin.yaml"))
    return made


@st.composite
def worlds(draw: st.DrawFn) -> Known:
    registry = Registry()
    found = draw(manifests())
    for manifest in found:
        registry.add(manifest)
    services = draw(st.dictionaries(st.sampled_from(CONTRACTS[1:]), st.sampled_from(VERSIONS).map(Version.parse)))
    contracts = draw(st.dictionaries(st.sampled_from(CONTRACTS[:1]), st.sampled_from(VERSIONS).map(Version.parse)))
    free = [None, *(m for m in found if not m.requires)]
    loaded = draw(st.sampled_from(free))
    return Known(registry, {loaded.id: loaded} if loaded is not None else {}, services, (), contracts)


def selections(known: Known) -> Iterator[dict[str, Manifest]]:
    """Every choice of at most one version of each plugin; what is loaded is always there."""
    rows: list[list[Manifest | None]] = [
        [known.loaded[p]] if p in known.loaded else [None, *known.registry.versions(p)] for p in PLUGINS
    ]
    for row in itertools.product(*rows):
        yield {m.id: m for m in row if m is not None}


def works(selection: dict[str, Manifest], candidates: Candidates) -> bool:
    """Whether a host would have all of a selection, and everything mandatory can be met in it, without a circle."""
    known = candidates.known
    claims = [(p.version, known.contracts.get(p.contract)) for m in selection.values() for p in m.provides
              if m.id not in known.loaded]  # fmt: skip
    if any(host is not None and compatible(version, host) is not None for version, host in claims):
        return False
    done: set[str] = set()
    more = True
    while more:  # whatever can be loaded after `done` can be loaded after more, too
        ready = [m for m in selection.values() if m.id not in done and all(
            any(o.id in done and selection.get(o.id) is o for o in candidates.options(a))
            for a in candidates.asks(m) if not a.required.optional
        )]  # fmt: skip
        done |= {m.id for m in ready}
        more = bool(ready)
    return done == selection.keys()


def solvable(plugins: Sequence[str], known: Known, versions: str = "*") -> bool:
    candidates, wanted = Candidates(known), Range.parse(versions)
    return any(
        all(p in chosen and wanted.accepts(chosen[p].version) for p in plugins) and works(chosen, candidates)
        for chosen in selections(known)
    )


def check(found: Resolution, known: Known) -> None:
    """Everything that is loaded has what it requires, before it, in a version that fits."""
    candidates = Candidates(known)
    there = {**known.loaded, **{m.id: m for m in found.order}}
    assert len(there) == len(found.order) + len(known.loaded)
    at = {m.id: i for i, m in enumerate(found.order)}
    for manifest in found.order:
        for ask in candidates.asks(manifest):
            required = ask.required
            provider = found.providers[manifest.id].get(required.id) if required.kind == "contract" else required.id
            fits = provider in there and there[provider] in candidates.options(ask)
            before = provider is not None and at.get(provider, -1) < at[manifest.id]
            if not required.optional or (required.kind == "contract" and provider is not None):
                assert fits
                assert before


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sampled_from(PLUGINS), st.sampled_from(("*", "^1", "^2")))
def test_a_plugin_is_resolved_just_if_there_is_a_way(known: Known, plugin: str, versions: str) -> None:
    try:
        found = resolve_plugin(plugin, Range.parse(versions), known)
    except (NotFound, VersionConflict, DependencyCycle) as e:
        assert not solvable([plugin], known, versions), e
        return
    assert solvable([plugin], known, versions)
    check(found, known)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_of_all_plugins_as_many_are_resolved_as_fit_in_their_order(known: Known) -> None:
    found = resolve_all(known)
    check(found, known)
    order = sorted((v[0] for v in known.registry.plugins()), key=lambda m: (-m.priority, m.id))
    accepted: list[str] = []
    for manifest in order:
        if manifest.id not in known.loaded and solvable([*accepted, manifest.id], known):
            accepted.append(manifest.id)
    assert {m.id for m in found.order} >= set(accepted)
    assert set(found.left_out) == {m.id for m in order} - set(accepted) - known.loaded.keys()
    assert all(isinstance(e, LatebindError) for e in found.left_out.values())


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(PLUGINS))
def test_a_conflict_names_only_what_has_a_part_in_it(known: Known, plugin: str) -> None:
    try:
        resolve_plugin(plugin, Range.parse("*"), known)
    except VersionConflict as e:
        named = [line.removesuffix(", which is nowhere") for line in e.chain if " requires " in line]
        assert len(set(e.chain)) == len(e.chain)
        known_asks = {str(Ask(m, r)) for m in known.registry for r in m.requires}
        assert set(named) <= known_asks
        assert named or any("to be loaded" in line for line in e.chain)
    except (NotFound, DependencyCycle):
        pass
