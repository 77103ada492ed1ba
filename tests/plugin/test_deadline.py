"""Deadlines: passed on to native and Python code of every depth; who gave up, and who was too late, is told."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from latebind import CallCancelled, CallTimeout, Deadline, Host, PluginError, PluginTimeout
from support import slow
from support.slow import Slow

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.plugins import PluginFolder


@pytest.fixture(params=["native", "python"])
def made(request: pytest.FixtureRequest, host: Host, plugins: PluginFolder) -> Callable[..., Slow]:
    """The slow plugin, loaded, with what its manifest is to say."""

    def make(**manifest: Any) -> Slow:
        if request.param == "native":
            plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **{**slow.MANIFEST, **manifest})
        else:
            plugins.python("test.slow", slow.PYTHON, **{**slow.MANIFEST, **manifest})
        host.discover(plugins.root)
        host.load("test.slow")
        return host.get(Slow)

    return make


def test_without_a_deadline_there_is_none(made: Callable[..., Slow]) -> None:
    assert made().left() == -1


def test_a_call_knows_how_much_time_is_left(made: Callable[..., Slow]) -> None:
    plugin = made()
    with Deadline(60):
        assert 50_000 < plugin.left() <= 60_000
    assert plugin.left() == -1


def test_an_inner_deadline_ends_with_the_outer_one_at_the_latest(made: Callable[..., Slow]) -> None:
    plugin = made()
    with Deadline(60):
        with Deadline(3600):
            assert plugin.left() <= 60_000
        with Deadline(10):
            assert plugin.left() <= 10_000
        assert plugin.left() > 10_000


def test_a_call_that_gives_up_in_time_is_a_timeout(made: Callable[..., Slow]) -> None:
    plugin = made()
    with Deadline(0.02), pytest.raises(CallTimeout) as caught:
        plugin.wait(60_000)
    error = caught.value
    assert (error.plugin, error.operation, error.seconds) == ("test.slow", "test.slow.wait", 0.02)
    assert isinstance(error, PluginTimeout)
    assert str(error) == "plugin test.slow: test.slow.wait did not answer within 0.02 s"


def test_another_thread_can_cancel(made: Callable[..., Slow]) -> None:
    plugin = made()
    with Deadline() as deadline:
        threading.Timer(0.02, deadline.cancel).start()
        with pytest.raises(CallCancelled, match=r"test\.slow: test\.slow\.wait was cancelled"):
            plugin.wait(60_000)
    assert deadline.cancelled
    assert plugin.wait(0) >= 0


def test_cancelling_the_outer_deadline_cancels_what_is_within() -> None:
    with Deadline() as outer, Deadline(60) as inner:
        outer.cancel()
        assert inner.cancelled
        assert inner.over


def test_a_failure_that_has_nothing_to_do_with_it_stays_what_it_is(made: Callable[..., Slow]) -> None:
    plugin = made()
    with Deadline(60), pytest.raises(PluginError):
        plugin.open("")


def test_the_call_time_of_the_manifest_is_told_to_calls(made: Callable[..., Slow]) -> None:
    assert 50_000 < made(limits={"call_time": "1m"}).left() <= 60_000


def test_a_call_beyond_the_call_time_is_a_timeout_and_an_event(made: Callable[..., Slow], host: Host) -> None:
    plugin = made(limits={"call_time": "20ms"})
    with pytest.raises(CallTimeout, match=r"test\.slow\.wait did not answer within 0\.02 s"):
        plugin.wait(60_000)
    [event] = [e for e in host.events.recent() if type(e).__name__ == "CallTimedOut"]
    assert (event.plugin, event.version, event.generation) == ("test.slow", "1.0.0", 1)
    assert plugin.sleep(0) >= 0


def test_an_answer_that_comes_too_late_is_no_answer(made: Callable[..., Slow]) -> None:
    plugin = made(limits={"call_time": "20ms"})
    with pytest.raises(CallTimeout, match=r"test\.slow\.sleep"):
        plugin.sleep(40)


def test_an_iterator_is_limited_for_each_item(made: Callable[..., Slow]) -> None:
    assert list(made(limits={"call_time": "1m"}).numbers(5)) == [0, 1, 2, 3, 4]


def test_a_block_in_a_coroutine_governs_no_other_task_of_the_thread(made: Callable[..., Slow]) -> None:
    plugin = made()

    async def main() -> None:
        with Deadline(60) as deadline:
            await asyncio.sleep(0)
            assert Deadline.current() is deadline
            assert await asyncio.create_task(asyncio.to_thread(deadline.run, plugin.left)) >= 0
        assert Deadline.current() is None

    async def other() -> int:
        await asyncio.sleep(0)
        return plugin.left()

    async def both() -> int:
        return (await asyncio.gather(main(), other()))[1]

    assert asyncio.run(both()) == -1


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_time_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="a number of seconds from now on"):
        Deadline(seconds)


def test_a_deadline_says_how_it_stands() -> None:
    assert Deadline(0).expired
    assert Deadline(float("inf")).remaining is None
    deadline = Deadline()
    assert (deadline.remaining, deadline.expired, deadline.over) == (None, False, False)
    assert repr(deadline) == "<Deadline: no limit>"
    deadline.cancel()
    assert repr(deadline) == "<Deadline: cancelled>"
    with pytest.raises(CallCancelled):
        deadline.check()


def test_one_deadline_governs_one_block_at_a_time() -> None:
    deadline = Deadline()
    with deadline, pytest.raises(RuntimeError, match="one block at a time"), deadline:
        pass
    with deadline:
        assert Deadline.current() is deadline
