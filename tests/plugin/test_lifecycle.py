"""The life cycle: every state is told, failures leave their reason and harm only what needs the one that failed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Host, PluginError, PluginTimeout
from latebind.plugin import Event, State, Step, TimeLimits
from latebind.plugin.events import (
    Loaded,
    LoadFailed,
    Reloaded,
    ReloadStep,
    RequirementSkipped,
    RolledBack,
    StateChanged,
)
from latebind.testing import everything_allowed
from support.plugins import Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from latebind.plugin import PluginStatus
    from latebind.testing import Recorder

WORDS = [{"contract": "test.words", "version": "1.0.0"}]
GOOD = "class Plugin:\n    def __init__(self, context): pass\n    def find(self, word): return [word]\n"
BROKEN = "class Plugin:\n    def __init__(self, context): raise RuntimeError('no disk')\n"


def states(events: list[Event], plugin: str) -> list[str]:
    return [e.after for e in events if isinstance(e, StateChanged) and e.plugin == plugin]


def told(host: Host) -> list[Event]:
    events: list[Event] = []
    host.subscribe(events.append)
    return events


def status(host: Host, plugin: str) -> PluginStatus:
    return next(s for s in host.plugins() if s.id == plugin)


@pytest.mark.parametrize("kind", ["native", "python"])
def test_each_state_is_told_in_order(host: Host, plugins: PluginFolder, kind: str) -> None:
    events = told(host)
    if kind == "native":
        plugins.counter(id="test.counter")
    else:
        plugins.python("test.counter", "class Plugin:\n    def __init__(self, context): pass\n")
    host.discover(plugins.root)
    seen = [(s.state, s.version, s.generation, s.reason) for s in host.plugins()]
    assert seen == [(State.DISCOVERED, "1.0.0", 0, "")]
    host.load("test.counter")
    assert status(host, "test.counter").state is State.STARTED
    host.unload("test.counter")
    assert status(host, "test.counter").state is State.UNLOADED
    assert states(events, "test.counter") == [str(s) for s in State]
    host.load("test.counter")
    assert states(events, "test.counter")[6:] == ["resolved", "loaded", "started"]


def test_loading_twice_and_unloading_twice_change_nothing(host: Host, plugins: PluginFolder) -> None:
    plugins.python("p.a", GOOD, provides=WORDS)
    host.discover(plugins.root)
    host.load("p.a")
    events = told(host)
    host.load("p.a")
    assert events == []
    host.unload("p.a")
    events.clear()
    assert host.unload("p.a") == ()
    assert events == []


def test_what_fails_to_start_is_back_where_it_was_and_its_reason_is_kept(host: Host, plugins: PluginFolder) -> None:
    plugins.counter('-DINIT=lb_fail(ctx,"no disk")')
    host.discover(plugins.root)
    events = told(host)
    with pytest.raises(PluginError):
        host.load("test.counter")
    assert states(events, "test.counter") == ["resolved", "loaded", "discovered"]
    (failed,) = [e for e in events if isinstance(e, LoadFailed)]
    assert isinstance(failed.error, PluginError)
    shown = status(host, "test.counter")
    assert (shown.state, shown.generation) == (State.DISCOVERED, 0)
    assert shown.reason == "plugin test.counter 1.0.0, lb_init: no disk"
    plugins.counter()
    host.load("test.counter")
    assert status(host, "test.counter").reason == ""


@pytest.mark.parametrize("by", [{"contract": "test.words"}, {"plugin": "p.words"}])
def test_a_failing_plugin_degrades_only_what_could_not_do_without_it(plugins: PluginFolder, by: dict[str, Any]) -> None:
    plugins.python("p.words", BROKEN, provides=WORDS)
    plugins.python("p.strict", GOOD, requires=[by])
    plugins.python("p.above", GOOD, requires=[{"plugin": "p.strict", "optional": True}])
    plugins.python("p.lenient", GOOD, requires=[{**by, "optional": True}])
    with Host(everything_allowed(), contracts=[Words]) as host:
        events = told(host)
        host.discover(plugins.root)
        host.load("p.lenient")
        host.load("p.above")
        with pytest.raises(PluginError, match="no disk"):
            host.load("p.strict")
        shown = {s.id: (str(s.state), s.reason) for s in host.plugins()}
        assert [p for p, (state, _) in shown.items() if state == "started"] == ["p.above", "p.lenient"]
        assert "no disk" in shown["p.words"][1]
        assert "goes without" in shown["p.lenient"][1]
        assert {e.plugin for e in events if isinstance(e, RequirementSkipped)} == {"p.lenient", "p.above"}
        host.reload("p.lenient")
        assert "goes without" in status(host, "p.lenient").reason, "and still does after a reload"


def test_loading_is_whole_or_not_at_all_and_says_what_was_rolled_back(plugins: PluginFolder) -> None:
    plugins.python("p.words", GOOD, provides=WORDS)
    plugins.python("p.user", BROKEN, requires=[{"contract": "test.words"}])
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        events = told(host)
        with pytest.raises(PluginError):
            host.load("p.user")
        assert states(events, "p.words") == ["resolved", "loaded", "started", "stopped", "unloaded"]
        assert not any(s.loaded for s in host.plugins())


def test_a_reload_tells_its_steps_and_a_failed_one_why(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    events = told(host)
    host.reload("test.counter")
    steps = [e.step for e in events if isinstance(e, ReloadStep)]
    assert steps == [s for s in Step if s is not Step.PROBATION]
    (done,) = [e for e in events if isinstance(e, Reloaded)]
    assert (done.generation, done.state, status(host, "test.counter").generation) == (2, 8, 2)
    plugins.counter('-DRESTORE=lb_fail(ctx,"too old")')
    with pytest.raises(PluginError):
        host.reload("test.counter")
    (back,) = [e for e in events if isinstance(e, RolledBack)]
    assert (back.step, back.generation) == (Step.RESTORE, 2)
    shown = status(host, "test.counter")
    assert shown.state is State.STARTED
    assert shown.reason.startswith("the last reload failed (restore): ")
    plugins.counter()
    host.reload("test.counter")
    assert status(host, "test.counter").reason == ""


def test_what_was_granted_is_told(host: Host, plugins: PluginFolder) -> None:
    plugins.python("p.a", GOOD, capabilities=["threads"], limits={"memory": "1MiB"})
    host.discover(plugins.root)
    events = told(host)
    host.load("p.a")
    (loaded,) = [e for e in events if isinstance(e, Loaded)]
    assert (loaded.capabilities, loaded.isolation, loaded.unenforced) == (("threads",), "inline", ("limits.memory",))


# Time limits.

WAITS = """
import threading
class Plugin:
    def __init__(self, context):
        self.gate = context.config.get("never")
        {init}
    def find(self, word): return [word]
    def lb_save(self): {save}
    def lb_restore(self, schema, state): {restore}
    def lb_fini(self): {fini}
    def lb_selftest(self): {selftest}
"""


def waiting(**at: str) -> str:
    """A plugin that waits for ever in one of its functions (a second that nobody waits for, rather)."""
    code = {"init": "pass", "save": "return b'x'", "restore": "pass", "fini": "pass", "selftest": "pass"}
    return WAITS.format(**{**code, **at})


SLOW = "threading.Event().wait(1)"


def limited(**limits: float) -> Host:
    return Host(everything_allowed(), contracts=[Words], limits=TimeLimits(**limits))


def test_a_start_past_its_limit_is_given_up_and_cleaned_up_when_it_returns(plugins: PluginFolder) -> None:
    plugins.python("p.a", waiting(init="threading.Event().wait(.3)"), provides=WORDS)
    with limited(start=0.05) as host:
        host.discover(plugins.root)
        with pytest.raises(PluginTimeout, match=r"load waited 0.05 s for it to start"):
            host.load("p.a")
        assert "waited" in status(host, "p.a").reason
        late = [t for t in threading.enumerate() if t.name == "latebind: p.a"]
        for thread in late:
            thread.join(5)
        import sys

        assert not [m for m in sys.modules if m.endswith("p_a.work")], "its thread has unloaded it"


@pytest.mark.parametrize(("at", "step"), [("save", Step.SAVE), ("restore", Step.RESTORE)])
def test_a_reload_past_a_limit_is_rolled_back(plugins: PluginFolder, at: str, step: Step) -> None:
    plugins.python("p.a", waiting(**({"save": SLOW} if at == "save" else {})), provides=WORDS, concurrency="parallel")
    with limited(**{at: 0.05}) as host:
        host.discover(plugins.root)
        host.load("p.a")
        words = host.get(Words)
        plugins.python("p.a", waiting(**({"restore": SLOW} if at == "restore" else {})), provides=WORDS)
        events = told(host)
        begun = time.monotonic()
        with pytest.raises(PluginTimeout, match=f"lb_{at} waited 0.05 s"):
            host.reload("p.a")
        assert time.monotonic() - begun < 0.9, "nobody waited for it to end"
        assert [e.step for e in events if isinstance(e, RolledBack)] == [step]
        assert words.find("x") == ["x"], "the old generation serves on"
        assert status(host, "p.a").generation == 1


def test_a_native_restore_that_hangs_is_rolled_back_with_the_state_kept(
    plugins: PluginFolder, logger: Recorder
) -> None:
    plugins.counter()
    with Host(everything_allowed(), {Logger: logger}, contracts=[Counter], limits=TimeLimits(restore=0.1)) as host:
        host.discover(plugins.root)
        host.load("test.counter")
        counter = host.get(Counter)
        counter.add(5)
        plugins.counter('-DNAME="hangs"', "-DRESTORE=({extern int usleep(unsigned); usleep(900000); LB_OK;})")
        with pytest.raises(PluginTimeout, match="lb_restore"):
            host.reload("test.counter")
        assert (counter.name(), counter.add(1)) == ("first", 6)
        plugins.counter('-DNAME="good"')
        host.reload("test.counter")
        assert (counter.name(), counter.add(1)) == ("good", 7)
    for thread in threading.enumerate():
        if thread.name.startswith("latebind:"):
            thread.join(20)


def test_a_stop_past_its_limit_does_not_keep_the_host(plugins: PluginFolder) -> None:
    plugins.python("p.a", waiting(fini=SLOW), provides=WORDS)
    with limited(stop=0.05) as host:
        host.discover(plugins.root)
        host.load("p.a")
        (problem,) = host.unload("p.a")
        assert isinstance(problem, PluginTimeout)
        assert status(host, "p.a").state is State.UNLOADED


def test_a_self_test_past_its_limit_is_given_up(plugins: PluginFolder) -> None:
    plugins.python("p.a", waiting(selftest=SLOW), provides=WORDS)
    with limited(selftest=0.05) as host:
        host.discover(plugins.root)
        host.load("p.a")
        with pytest.raises(PluginTimeout, match="lb_selftest"):
            host.selftest("p.a")
