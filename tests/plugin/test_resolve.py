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
    name: str, version: str = "1.0.0", requires: tuple[dict[str, Any], ...] = (), provides: str = "", **more: object
) -> Manifest:
    provided = [{"contract": c, "version": v} for c, _, v in (p.partition("@") for p in provides.split())]
    document = {
        "id": f"p.{name}",
        "version": version,
        "entry": "x.so",
        "requires": list(requires),
        "provides": provided,
        **more,
    }
    return manifest_from(document, f"/{name}-{version}/plugin.yaml")


def needs(name: str, version: str = "*", **more: object) -> dict[str, Any]:
    return {"plugin": f"p.{name}", "version": version, **more}


def uses(contract: str, version: str = "*", **more: object) -> dict[str, Any]:
    return {"contract": contract, "version": version, **more}


def solve(
    wanted: Manifest,
    *others: Manifest,
    loaded: tuple[Manifest, ...] = (),
    services: dict[str, str] | None = None,
    contracts: dict[str, str] | None = None,
    priorities: dict[str, int] | None = None,
) -> Resolution:
    registry = Registry()
    for manifest in {*others, *loaded, wanted}:
        registry.add(manifest)
    there, known = ({k: Version.parse(v) for k, v in (given or {}).items()} for given in (services, contracts))
    return resolve(wanted, Known(registry, {m.id: m for m in loaded}, there, (), known, priorities or {}))


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
    assert caught.value.what == "plugin p.d: none fits p.b 1.0.0 and p.c 1.0.0 alike (there is 2.0.0, 1.0.0)"
    assert caught.value.chain == (
        "p.a is to be loaded",
        "p.a 1.0.0 requires plugin p.b *",
        "p.a 1.0.0 requires plugin p.c *",
        "p.b 1.0.0 requires plugin p.d ^1",
        "p.c 1.0.0 requires plugin p.d ^2",
    )  # fmt: skip


def test_the_chain_of_a_conflict_holds_nothing_that_has_no_part_in_it() -> None:
    a = plugin("a", requires=(needs("other"), needs("b"), needs("d", ">=1")))
    b, other = plugin("b", requires=(needs("d", "^1"),)), plugin("other", requires=(needs("leaf"),))
    with pytest.raises(VersionConflict) as caught:
        solve(a, b, other, plugin("leaf"), plugin("d", "2.0.0"))
    assert caught.value.what == "p.b 1.0.0 requires plugin p.d ^1, and none fits: p.d 2.0.0 is not ^1"
    assert caught.value.chain == (
        "p.a is to be loaded",
        "p.a 1.0.0 requires plugin p.b *",
        "p.b 1.0.0 requires plugin p.d ^1",
    )  # fmt: skip


def test_a_conflict_with_what_is_loaded_says_so() -> None:
    a, old = plugin("a", requires=(needs("d", "^2"),)), plugin("d", "1.0.0")
    with pytest.raises(VersionConflict, match="p.d 1.0.0 is loaded and is not \\^2") as caught:
        solve(a, plugin("d", "2.0.0"), loaded=(old,))
    assert caught.value.chain[-1] == "p.d 1.0.0 is loaded"


def test_an_older_version_is_taken_where_the_newest_does_not_fit() -> None:
    a = plugin("a", requires=(needs("b"), needs("d", "^1")))
    found = solve(
        a, plugin("b", "2.0.0", (needs("d", "^2"),)), plugin("b", "1.0.0", (needs("d"),)),
        plugin("d", "1.0.0"), plugin("d", "2.0.0"),
    )  # fmt: skip
    assert order(found) == "d 1.0.0 b 1.0.0 a 1.0.0"


def test_of_several_dead_ends_each_is_told() -> None:
    a = plugin("a", requires=(needs("b"),))
    new, old = plugin("b", "2.0.0", (uses("x.y", "^2"),)), plugin("b", "1.0.0", (uses("x.z"),))
    with pytest.raises(VersionConflict, match="p.b 2.0.0 requires contract x.y .*p.q 1.0.0 has version 1.2.0") as e:
        solve(a, new, old, plugin("q", provides="x.y@1.2.0"))
    assert e.value.chain[-1] == "p.b 1.0.0 requires contract x.z *, which is nowhere"


def test_what_is_nowhere_is_told_with_everyone_who_needs_it() -> None:
    a, b = plugin("a", requires=(needs("b"),)), plugin("b", requires=(needs("c"),))
    with pytest.raises(NotFound, match="p.c: not found, needed by p.b 1.0.0, which p.a 1.0.0 requires"):
        solve(a, b)


def test_a_host_service_of_another_version_is_a_conflict() -> None:
    with pytest.raises(VersionConflict, match="the host's service has version 1.0.0"):
        solve(plugin("a", requires=(uses("x.y", "^2"),)), services={"x.y": "1.0.0"})


def test_a_provider_that_the_hosts_contract_does_not_fit_is_passed_over() -> None:
    a = plugin("a", requires=(uses("x.y"),))
    old, new = plugin("old", provides="x.y@1.1.0"), plugin("new", provides="x.y@2.0.0")
    assert order(solve(a, old, new, contracts={"x.y": "1.3.0"})) == "old 1.0.0 a 1.0.0"
    with pytest.raises(VersionConflict, match="provides x.y 2.0.0, the host has 1.3.0: the versions break"):
        solve(a, new, contracts={"x.y": "1.3.0"})


def test_an_older_version_is_taken_where_the_newest_is_for_another_contract() -> None:
    versions = plugin("b", "2.0.0", provides="x.y@2.0.0"), plugin("b", "1.0.0", provides="x.y@1.0.0")
    assert order(solve(plugin("a", requires=(needs("b"),)), *versions, contracts={"x.y": "1.3.0"})) == "b 1.0.0 a 1.0.0"


def test_a_plugin_that_wraps_what_it_provides_is_not_its_own_provider() -> None:
    a = plugin("a", requires=(uses("x.y"),), provides="x.y@9.0.0")
    assert order(solve(a, plugin("inner", provides="x.y@1.0.0"))) == "inner 1.0.0 a 1.0.0"


def test_the_highest_priority_provides_and_the_operator_has_the_last_word() -> None:
    a = plugin("a", requires=(uses("x.y"),))
    low, high = plugin("low", provides="x.y@1.9.0"), plugin("high", provides="x.y@1.0.0", priority=5)
    assert solve(a, low, high).providers["p.a"] == {"x.y": "p.high"}
    assert solve(a, low, high, priorities={"p.h*": -1}).providers["p.a"] == {"x.y": "p.low"}
    assert solve(a, low, high, priorities={"p.*": 7, "p.high": 1}).providers["p.a"] == {"x.y": "p.low"}


def test_a_circle_is_avoided_where_another_provider_does() -> None:
    a = plugin("a", requires=(uses("x.y"),))
    circular = plugin("b", requires=(needs("a"),), provides="x.y@2.0.0")
    assert order(solve(a, circular, plugin("c", provides="x.y@1.0.0"))) == "c 1.0.0 a 1.0.0"


def test_what_is_optional_gives_way_to_break_a_circle() -> None:
    a, b = plugin("a", requires=(needs("b", optional=True),)), plugin("b", requires=(needs("a"),))
    found = solve(a, b)
    assert order(found) == "a 1.0.0"
    assert found.skipped == ("p.a 1.0.0 goes without plugin p.b *: p.b 1.0.0 cannot be loaded beside the rest",)


def test_plugins_with_a_configuration_are_told_apart() -> None:
    document = {"id": "p.b", "version": "1.0.0", "entry": "x.so", "config": {"type": "object"}}
    b = manifest_from(document, "/b/plugin.yaml")
    assert order(solve(plugin("a", requires=(needs("b"),)), b)) == "b 1.0.0 a 1.0.0"


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
