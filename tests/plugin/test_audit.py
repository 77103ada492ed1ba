"""The audit log of a host: which lines a plugin's life leaves, from its manifest to its end."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from latebind import AuditLog, CapabilityDenied, Host, LatebindError, NotProvided, PluginError, Policy
from latebind.errors import BuildFailed
from latebind.plugin import audit, events
from latebind.plugin.events import Event
from support import slow
from support.plugins import Counter, PluginFolder, Words
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


def failed(log: list[dict[str, Any]]) -> list[tuple[str, str, str, bool]]:
    """Plugin, operation, what it said and whether that breaks the contract, of each failed call."""
    lines = [line for line in log if line["event"] == "failed"]
    return [(line["plugin"], line["operation"], line["error"], line["breaks_contract"]) for line in lines]


def test_a_call_that_a_native_plugin_refuses_is_a_line(host: Host, counter: Counter, log: list[dict[str, Any]]) -> None:
    host.reload("test.counter")
    log.clear()
    with pytest.raises(PluginError) as caught:
        counter.add(-1)
    assert failed(log) == [("test.counter", "test.counter.add", "-1 is negative", False)]
    assert (log[0]["version"], log[0]["generation"]) == ("1.0.0", 2)
    [event] = [e for e in host.events.recent() if isinstance(e, events.CallFailed)]
    assert event.error.__traceback__ is None, "its frames would keep the plugin's code"
    assert str(event.error) == str(caught.value)


PYTHON = """
class Plugin:
    def __init__(self, context): pass
    def add(self, amount):
        if amount < 0:
            raise RuntimeError("no disk")
        return "many" if amount > 9 else amount
    def name(self): return "python"
"""


def test_a_call_in_which_a_python_plugin_raises_is_a_line(
    host: Host, plugins: PluginFolder, log: list[dict[str, Any]]
) -> None:
    plugins.python("p.counter", PYTHON, provides=[{"contract": "test.counter", "version": "1.1.0"}])
    host.discover(plugins.root)
    host.load("p.counter")
    with pytest.raises(PluginError):
        host.get(Counter).add(-1)
    assert failed(log) == [("p.counter", "test.counter.add", "RuntimeError: no disk", False)]


def test_an_answer_that_breaks_the_contract_is_a_line(
    host: Host, plugins: PluginFolder, log: list[dict[str, Any]]
) -> None:
    plugins.python("p.counter", PYTHON, provides=[{"contract": "test.counter", "version": "1.1.0"}])
    host.discover(plugins.root)
    host.load("p.counter")
    with pytest.raises(PluginError, match="breaks the contract"):
        host.get(Counter).add(10)
    [(plugin, operation, error, breaks)] = failed(log)
    assert (plugin, operation, breaks) == ("p.counter", "test.counter.add", True)
    assert error.startswith("its result breaks the contract: ")


WORDS = r"""
#include "test_counter.h"
#include "test_words.h"
LATEBIND_PLUGIN("test.words", "1.0.0")
LATEBIND_PROVIDES(test_words)
lb_status test_words_find(lb_context *ctx, lb_str word, lb_list_str *result)
{
    int64_t sum;
    lb_status status = test_counter_add(ctx, word.size ? 1 : -1, &sum);
    result->data = 0, result->size = 0;
    return status;
}
"""


def test_a_failed_call_between_two_native_plugins_is_a_line_for_each(
    host: Host, plugins: PluginFolder, counter: Counter, log: list[dict[str, Any]]
) -> None:
    plugins.add(
        "test.words", WORDS, provides=[{"contract": "test.words", "version": "1.0.0"}],
        requires=[{"contract": "test.counter", "version": "^1"}],
    )  # fmt: skip
    host.discover(plugins.root)
    host.load("test.words")
    words = host.get(Words)
    assert words.find("x") == []
    assert counter.add(0) == 6
    assert failed(log) == []
    with pytest.raises(PluginError, match="-1 is negative"):
        words.find("")
    (first, second) = failed(log)
    assert first == ("test.counter", "test.counter.add", "-1 is negative", False)
    assert second[:2] == ("test.words", "test.words.find")


def test_a_call_that_goes_well_and_a_mistake_of_the_caller_are_no_lines(
    counter: Counter, log: list[dict[str, Any]]
) -> None:
    log.clear()
    counter.add(1)
    with pytest.raises(TypeError):
        counter.add("one")  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        counter.add(2**63)
    assert log == []


def test_a_method_that_the_plugin_does_not_have_yet_is_no_line(
    host: Host, plugins: PluginFolder, log: list[dict[str, Any]]
) -> None:
    plugins.python(
        "p.counter",
        PYTHON.replace("def name", "def other"),
        provides=[{"contract": "test.counter", "version": "1.0.0"}],
    )
    host.discover(plugins.root)
    host.load("p.counter")
    with pytest.raises(NotProvided):
        host.get(Counter).name()
    assert failed(log) == []


ERROR = BuildFailed("make", 2, "no")
REFUSED = PluginError("a.b", "1.0.0", "a.b.c", "no")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.Suspended(plugin="a.b", failures=3, seconds=1.5, error=ERROR), "suspended"),
        (events.Resumed(plugin="a.b"), "resumed"),
        (events.ProbationPassed(plugin="a.b", seconds=0.1, selftest=True), "probation"),
        (
            events.CallFailed(plugin="a.b", operation="a.b.c", error=PluginError("a.b", "1.0.0", "a.b.c", "no")),
            "failed",
        ),
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
