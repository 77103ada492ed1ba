"""The audit log of a host: which lines a plugin's life leaves, from its manifest to its end."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from latebind import AuditLog, CapabilityDenied, Host, LatebindError, Policy
from latebind.errors import BuildFailed
from latebind.plugin import audit, events
from latebind.plugin.events import Event
from support import slow
from support.plugins import Counter, PluginFolder
from support.slow import Slow

if TYPE_CHECKING:
    from pathlib import Path


def names(log: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in log]


def test_a_life_is_told_from_start_to_stop(host: Host, plugins: PluginFolder, log: list[dict[str, Any]]) -> None:
    plugins.counter(capabilities=["threads", "environment:LANG"])
    host.discover(plugins.root)
    host.load("test.counter")
    host.reload("test.counter")
    host.unload("test.counter")
    assert names(log) == ["start", "grant", "grant", "load", "reload", "stop", "unload"]
    assert [line["capability"] for line in log if line["event"] == "grant"] == ["threads", "environment:LANG"]
    assert {line["plugin"] for line in log} == {"test.counter"}
    assert (log[0]["version"], log[0]["generation"], log[5]["generation"]) == ("1.0.0", 1, 2)


def test_a_denial_names_the_capability(plugins: PluginFolder, log: list[dict[str, Any]]) -> None:
    import json

    plugins.counter(capabilities=["network:connect:443"])
    log_ = AuditLog(lambda line: log.append(json.loads(line)))
    with Host(Policy(inline=["test.*"]), contracts=[Counter], audit=log_) as host:
        host.discover(plugins.root)
        with pytest.raises(CapabilityDenied):
            host.load("test.counter")
    assert names(log) == ["denied"]
    assert (log[0]["capability"], log[0]["version"]) == ("network:connect:443", "1.0.0")


def test_a_start_that_fails_and_a_reload_that_is_rolled_back(
    host: Host, plugins: PluginFolder, log: list[dict[str, Any]]
) -> None:
    plugins.counter("-DINIT=LB_FAILED")
    host.discover(plugins.root)
    with pytest.raises(LatebindError):
        host.load("test.counter")
    plugins.counter()
    host.load("test.counter")
    plugins.counter("-DINIT=LB_FAILED")
    with pytest.raises(LatebindError):
        host.reload("test.counter")
    assert names(log) == ["refused", "start", "load", "rollback"]


def test_a_call_that_took_too_long_is_a_line(host: Host, plugins: PluginFolder, log: list[dict[str, Any]]) -> None:
    plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **slow.MANIFEST, limits={"call_time": "10ms"})
    host.discover(plugins.root)
    host.load("test.slow")
    with pytest.raises(LatebindError):
        host.get(Slow).wait(60_000)
    assert (log[-1]["event"], log[-1]["operation"], log[-1]["seconds"]) == ("timeout", "test.slow.wait", 0.01)


ERROR = BuildFailed("make", 2, "no")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.Suspended(plugin="a.b", failures=3, seconds=1.5, error=ERROR), "suspended"),
        (events.Resumed(plugin="a.b"), "resumed"),
        (events.ProbationPassed(plugin="a.b", seconds=0.1, selftest=True), "probation"),
        (events.Crashed(plugin="a.b", operation="a.b.c", how="it went"), "crash"),
        (events.CallRefused(plugin="a.b", operation="a.b.c", waiting=7), "overloaded"),
        (events.Built(plugin="a.b", command="make", seconds=2, error=ERROR), "build"),
        (events.Built(plugin="a.b", command="make", seconds=2), "build"),
        (events.WatchFailed(plugin="a.b", error=ERROR), "failure"),
        (events.RequirementSkipped(plugin="a.b", why="it is not there"), "skipped"),
    ],
)
def test_each_has_all_that_the_event_says(event: Event, expected: str) -> None:
    [(name, fields)] = audit.lines(event)
    assert name == expected
    own = set(event.__dataclass_fields__) - set(Event.__dataclass_fields__)
    assert own <= set(fields)


def test_what_is_no_line_is_known() -> None:
    """Whoever adds an event decides whether it is one."""
    silent = {events.ReloadStep, events.CannotUnload, events.ChangeSeen}
    kinds = [k for _, k in inspect.getmembers(events, inspect.isclass) if issubclass(k, Event) and k is not Event]
    without = {kind for kind in kinds if audit.lines.dispatch(kind) is audit.lines.dispatch(object)}
    assert without == silent


def test_a_full_disk_undoes_nothing(plugins: PluginFolder) -> None:
    plugins.counter()
    log = AuditLog("/dev/full")
    with Host(Policy(inline=["test.*"]), contracts=[Counter], audit=log) as host:
        host.discover(plugins.root)
        host.load("test.counter")
        assert host.reload("test.counter").generation == 2
        assert host.get(Counter).add(1) == 1
        assert log.lost > 0


def test_a_manifest_that_is_left_out_is_a_line(host: Host, tmp_path: Path, log: list[dict[str, Any]]) -> None:
    (tmp_path / "plugin.yaml").write_text("id: 7")
    host.discover(tmp_path)
    assert names(log) == ["rejected"]
