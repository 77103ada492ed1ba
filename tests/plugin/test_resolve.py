"""Which plugins are loaded for one that is wanted, and in what order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import DependencyCycle, NotFound, VersionConflict
from latebind.contracts import Version
from latebind.plugin import Manifest, Registry
from latebind.plugin.manifest import manifest_from
from latebind.plugin.resolve import Known, Resolution, resolve


def plugin(
    name: str, version: str = "1.0.0", requires: tuple[dict[str, Any], ...] = (), provides: str = ""
) -> Manifest:
    provided = [{"contract": c, "version": v} for c, _, v in (p.partition("@") for p in provides.split())]
    document = {
        "id": f"p.{name}",
        "version": version,
        "entry": "x.so",
        "requires": list(requires),
        "provides": provided,
    }
    return manifest_from(document, f"/{name}-{version}/plugin.yaml")


def needs(name: str, version: str = "*", **more: object) -> dict[str, Any]:
    return {"plugin": f"p.{name}", "version": version, **more}


def uses(contract: str, version: str = "*", **more: object) -> dict[str, Any]:
    return {"contract": contract, "version": version, **more}


def solve(
    wanted: Manifest, *others: Manifest, loaded: tuple[Manifest, ...] = (), services: dict[str, str] | None = None
) -> Resolution:
    registry = Registry()
    for manifest in {*others, *loaded, wanted}:
        registry.add(manifest)
    versions = {k: Version.parse(v) for k, v in (services or {}).items()}
    return resolve(wanted, Known(registry, {m.id: m for m in loaded}, versions))


def order(resolution: Resolution) -> str:
    return " ".join(str(m).removeprefix("p.") for m in resolution.order)


def test_what_is_required_comes_first() -> None:
    a, b, c = plugin("a", requires=(needs("b"), needs("c"))), plugin("b", requires=(needs("c"),)), plugin("c")
    assert order(solve(a, b, c)) == "c 1.0.0 b 1.0.0 a 1.0.0"


def test_the_newest_fitting_version_is_taken() -> None:
    versions = [plugin("b", v) for v in ("1.0.0", "1.5.0", "2.0.0", "1.6.0-rc.1")]
    assert order(solve(plugin("a", requires=(needs("b", "^1"),)), *versions)) == "b 1.5.0 a 1.0.0"


def test_what_is_loaded_is_kept_although_a_newer_version_is_known() -> None:
    old, new = plugin("b", "1.0.0"), plugin("b", "1.5.0")
    found = solve(plugin("a", requires=(needs("b", "^1"),)), new, loaded=(old,))
    assert order(found) == "a 1.0.0"


def test_a_contract_is_met_by_the_host_before_any_plugin() -> None:
    a = plugin("a", requires=(uses("x.y", "^1.2"),))
    found = solve(a, plugin("b", provides="x.y@1.2.0"), services={"x.y": "1.3.0"})
    assert order(found) == "a 1.0.0"
    assert found.providers["p.a"] == {}


def test_a_contract_is_met_by_a_plugin_that_provides_it() -> None:
    a = plugin("a", requires=(uses("x.y", "^1.2"),))
    found = solve(a, plugin("old", provides="x.y@1.1.0"), plugin("new", provides="x.y@1.4.0"))
    assert order(found) == "new 1.0.0 a 1.0.0"
    assert found.providers["p.a"] == {"x.y": "p.new"}


def test_a_requirement_that_nobody_meets_is_not_found() -> None:
    for requirement in (needs("b"), uses("x.y")):
        with pytest.raises(NotFound, match="needed by p.a 1.0.0"):
            solve(plugin("a", requires=(requirement,)))


def test_an_optional_requirement_may_stay_open_and_is_told() -> None:
    found = solve(
        plugin("a", requires=(needs("b", optional=True), uses("x.y", "^2", optional=True))), services={"x.y": "1.0.0"}
    )
    assert order(found) == "a 1.0.0"
    assert [s.split(":")[0] for s in found.skipped] == [
        "p.a 1.0.0 goes without plugin p.b *", "p.a 1.0.0 goes without contract x.y ^2",
    ]  # fmt: skip


def test_versions_that_do_not_fit_are_a_conflict_with_its_chain() -> None:
    a = plugin("a", requires=(needs("b"), needs("c")))
    b, c = plugin("b", requires=(needs("d", "^1"),)), plugin("c", requires=(needs("d", "^2"),))
    with pytest.raises(VersionConflict) as caught:
        solve(a, b, c, plugin("d", "1.0.0"), plugin("d", "2.0.0"))
    assert caught.value.chain == (
        "p.c 1.0.0 requires plugin p.d ^2",
        "p.d 1.0.0 is there: p.b 1.0.0 requires plugin p.d ^1",
    )  # fmt: skip


def test_a_host_service_of_another_version_is_a_conflict() -> None:
    with pytest.raises(VersionConflict, match="the host's service has version 1.0.0"):
        solve(plugin("a", requires=(uses("x.y", "^2"),)), services={"x.y": "1.0.0"})


def test_a_circle_is_named() -> None:
    a, b = plugin("a", requires=(needs("b"),)), plugin("b", requires=(needs("a"),))
    with pytest.raises(DependencyCycle) as caught:
        solve(a, b)
    assert caught.value.plugins[0] == caught.value.plugins[-1]
    assert set(caught.value.plugins) == {"p.a", "p.b"}
    assert "p.a → p.b" in str(caught.value) or "p.b → p.a" in str(caught.value)


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8))
def test_any_graph_has_an_order_or_a_circle(edges: list[set[int]]) -> None:
    made = [
        plugin(f"n{i}", requires=tuple(needs(f"n{j}") for j in sorted(targets) if j < len(edges)))
        for i, targets in enumerate(edges)
    ]
    try:
        found = solve(made[0], *made[1:]).order
    except DependencyCycle as e:
        for user, used in zip(e.plugins, e.plugins[1:], strict=False):
            assert used in {r.id for r in next(m for m in made if m.id == user).requires}
        return
    at = {m.id: i for i, m in enumerate(found)}
    assert found[-1] is made[0]
    assert all(at[r.id] < at[m.id] for m in found for r in m.requires)
