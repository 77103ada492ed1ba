"""The circuit breaker: what fails again and again is left alone, each time for longer, and gets its chances."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from latebind import Host, PluginError, PluginSuspended
from latebind.plugin import BackOff, Event
from latebind.plugin.breaker import Breaker
from latebind.plugin.events import Resumed, Suspended
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = [{"contract": "test.words", "version": "1.0.0"}]
CODE = """
import os
class Plugin:
    def __init__(self, context):
        if os.path.exists({flag!r}):
            raise RuntimeError("no disk")
    def find(self, word):
        if word == "fail":
            raise RuntimeError("no such word")
        return [word]
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flag(plugins: PluginFolder) -> str:
    """While this file is there, p.a fails to start."""
    path = str(plugins.root / "fails")
    plugins.python("p.a", CODE.format(flag=path), provides=WORDS)
    with open(path, "w"):
        pass
    return path


def host_with(plugins: PluginFolder, policy: BackOff) -> tuple[Host, list[Event]]:
    host, events = Host(everything_allowed(), contracts=[Words], back_off=policy), []  # type: tuple[Host, list[Event]]
    host.subscribe(events.append)
    host.discover(plugins.root)
    return host, events


@contextmanager
def serving(plugins: PluginFolder, policy: BackOff) -> Iterator[tuple[Host, Words, list[Event]]]:
    """A host in which p.a is loaded, and its words."""
    host, events = host_with(plugins, policy)
    with host:
        host.load("p.a")
        yield host, host.get(Words), events


def fail(host: Host, error: type[Exception] = PluginError) -> None:
    with pytest.raises(error):
        host.load("p.a")


@pytest.mark.usefixtures("flag")
def test_after_three_failed_starts_it_is_left_alone_with_growing_delays(plugins: PluginFolder, clock: Clock) -> None:
    host, events = host_with(plugins, BackOff(clock=clock, delay=1, factor=3, longest=5))
    with host:
        fail(host)
        fail(host)
        fail(host)
        with pytest.raises(PluginSuspended, match=r"failed 3 times in a row and is left alone for 1 s.*no disk"):
            host.load("p.a")
        assert host.plugins()[0].reason.startswith("suspended for 1 s after 3 failures in a row: ")
        for seconds in (1, 3, 5, 5):
            clock.now += seconds
            fail(host)
            fail(host, PluginSuspended)
        assert [e.seconds for e in events if isinstance(e, Suspended)] == [1, 3, 5, 5, 5]


def test_one_that_works_again_is_forgiven(plugins: PluginFolder, flag: str, clock: Clock) -> None:
    import os

    host, events = host_with(plugins, BackOff(clock=clock, starts=1))
    with host:
        fail(host)
        os.unlink(flag)
        fail(host, PluginSuspended)
        clock.now += 1
        host.load("p.a")
        assert [type(e) for e in events if isinstance(e, Suspended | Resumed)] == [Suspended, Resumed]
        assert host.plugins()[0].reason == ""


@pytest.mark.usefixtures("flag")
def test_new_files_are_a_new_chance(plugins: PluginFolder, clock: Clock) -> None:
    host, _ = host_with(plugins, BackOff(clock=clock, starts=1))
    with host:
        fail(host)
        fail(host, PluginSuspended)
        plugins.python("p.a", CODE.format(flag="/nowhere/at/all"), provides=WORDS)
        assert host.load("p.a").loaded
        assert host.get(Words).find("x") == ["x"]


@pytest.mark.usefixtures("flag")
def test_an_operator_can_resume_it(plugins: PluginFolder, clock: Clock) -> None:
    host, _ = host_with(plugins, BackOff(clock=clock, starts=1))
    with host:
        fail(host)
        fail(host, PluginSuspended)
        host.resume("p.a")
        fail(host)  # it was tried again


def test_what_is_refused_before_it_runs_is_not_counted(plugins: PluginFolder, clock: Clock) -> None:
    from latebind import VersionConflict

    plugins.python("p.a", CODE, provides=[{"contract": "test.words", "version": "9.0.0"}])
    host, events = host_with(plugins, BackOff(clock=clock, starts=1))
    with host:
        fail(host, VersionConflict)
        fail(host, VersionConflict)
        assert not [e for e in events if isinstance(e, Suspended)]


@pytest.mark.usefixtures("flag")
def test_a_suspended_plugin_that_is_only_optional_is_gone_without(plugins: PluginFolder, clock: Clock) -> None:
    user = "class Plugin:\n    def __init__(self, context): pass\n"
    plugins.python("p.user", user, requires=[{"plugin": "p.a", "optional": True}])
    host, _ = host_with(plugins, BackOff(clock=clock, starts=1))
    with host:
        fail(host)
        host.load("p.user")
        assert [s.id for s in host.plugins() if s.loaded] == ["p.user"]


def test_calls_that_fail_in_a_row_suspend_by_policy(plugins: PluginFolder, flag: str, clock: Clock) -> None:
    os.unlink(flag)
    with serving(plugins, BackOff(clock=clock, calls=3)) as (host, words, events):
        for _ in range(2):
            with pytest.raises(PluginError):
                words.find("fail")
        words.find("x")  # not in a row
        for _ in range(3):
            with pytest.raises(PluginError):
                words.find("fail")
        with pytest.raises(PluginSuspended, match=r"cannot call test\.words\.find"):
            words.find("x")
        assert "suspended" in host.plugins()[0].reason
        clock.now += 1
        assert words.find("x") == ["x"]
        assert [type(e) for e in events if isinstance(e, Suspended | Resumed)] == [Suspended, Resumed]


def test_calls_of_a_native_plugin_are_counted_too_and_stay_so_after_a_failed_reload(
    plugins: PluginFolder, logger: Recorder, clock: Clock
) -> None:
    plugins.counter()
    policy = BackOff(clock=clock, calls=2)
    with Host(everything_allowed(), {Logger: logger}, contracts=[Counter], back_off=policy) as host:
        host.discover(plugins.root)
        host.load("test.counter")
        counter = host.get(Counter)
        counter.add(5)
        plugins.counter('-DINIT=lb_fail(ctx,"no disk")')
        with pytest.raises(PluginError):
            host.reload("test.counter")
        for _ in range(2):
            with pytest.raises(PluginError, match="is negative"):
                counter.add(-1)
        with pytest.raises(PluginSuspended):
            counter.add(1)
        assert "suspended" in host.plugins()[0].reason
        clock.now += 1
        assert counter.add(1) == 6


def test_a_mistake_of_the_caller_is_not_counted(plugins: PluginFolder, flag: str, clock: Clock) -> None:
    os.unlink(flag)
    with serving(plugins, BackOff(clock=clock, calls=1)) as (_, words, _):
        with pytest.raises(TypeError):
            words.find(3)  # type: ignore[arg-type]
        assert words.find("x") == ["x"]


def test_a_reload_forgives(plugins: PluginFolder, flag: str, clock: Clock) -> None:
    os.unlink(flag)
    with serving(plugins, BackOff(clock=clock, calls=1)) as (host, words, _):
        with pytest.raises(PluginError):
            words.find("fail")
        host.reload("p.a")
        assert words.find("x") == ["x"]


def test_only_one_attempt_is_let_through_at_a_time(clock: Clock) -> None:
    breaker = Breaker("p.a", BackOff(clock=clock), 1)
    breaker.failed(RuntimeError())
    clock.now += 1
    breaker.enter("call")
    refused: list[PluginSuspended] = []

    def other() -> None:
        try:
            breaker.enter("call")
        except PluginSuspended as e:
            refused.append(e)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(refused) == 1
    assert breaker.worked()
    breaker.enter("call")
