"""`proxy.aio`: methods, iterators and handles for `await`; cancellation, time limits, and what happens under load."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from latebind import CallTimeout, Deadline, Host, LifecycleError, Overloaded, PluginError
from latebind.plugin import Workers
from latebind.testing import everything_allowed
from support import slow
from support.slow import Slow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from support.plugins import PluginFolder


@pytest.fixture
def hosts() -> Iterator[Callable[..., Host]]:
    """Hosts, closed at the end."""
    made: list[Host] = []

    def make(workers: Workers | None = None) -> Host:
        made.append(Host(everything_allowed(), workers=workers))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def get(hosts: Callable[..., Host], plugins: PluginFolder) -> Callable[..., Any]:
    """The slow plugin's proxy, in a host with these workers; `Any`, since a type checker knows no `aio`."""

    def make(workers: Workers | None = None, **manifest: Any) -> Any:
        plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **{**slow.MANIFEST, **manifest})
        host = hosts(workers)
        host.discover(plugins.root)
        host.load("test.slow")
        return host.get(Slow)

    return make


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is about to happen; the limit is for a broken test, not for a slow machine."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.001)


def workers_of(proxy: Any) -> Workers:
    found = proxy.__latebind_slot__.home.workers
    assert isinstance(found, Workers)
    return found


def test_a_call_is_awaited_and_the_loop_goes_on_meanwhile(get: Callable[..., Any]) -> None:
    async def main() -> list[Any]:
        ticks: list[Any] = []

        async def tick() -> None:
            while True:
                ticks.append("tick")
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        answer = await plugin.aio.sleep(30)
        ticking.cancel()
        return [answer >= 30, len(ticks) > 1]

    plugin = get()
    assert asyncio.run(main()) == [True, True]


def test_errors_are_raised_where_the_call_is_awaited(get: Callable[..., Any]) -> None:
    plugin = get()
    with pytest.raises(PluginError, match="a session needs a name"):
        asyncio.run(_awaited(plugin.aio.open("")))
    with pytest.raises(TypeError, match="milliseconds"):
        asyncio.run(plugin.aio.sleep("soon"))
    with pytest.raises(AttributeError, match="Slow has no method nonsense"):
        plugin.aio.nonsense  # noqa: B018  (reading it is the test)


async def _awaited(thing: Awaitable[Any]) -> Any:
    return await thing


def test_an_iterator_becomes_an_asynchronous_one(get: Callable[..., Any]) -> None:
    async def main() -> tuple[list[int], int]:
        return [n async for n in plugin.aio.numbers(5)], await plugin.aio.running()

    plugin = get()
    assert asyncio.run(main()) == ([0, 1, 2, 3, 4], 0)


def test_an_iterator_that_is_left_early_is_closed_by_its_block(get: Callable[..., Any]) -> None:
    async def main() -> list[int]:
        seen = []
        async with plugin.aio.numbers(1000) as numbers:
            async for n in numbers:
                seen.append(n)
                if n == 2:
                    break
            seen.append(await plugin.aio.running())
        await numbers.aclose()
        return [*seen, await plugin.aio.running()]

    plugin = get()
    assert asyncio.run(main()) == [0, 1, 2, 1, 0]


def test_an_iterator_that_fails_ends(get: Callable[..., Any]) -> None:
    async def main() -> tuple[list[int], list[int]]:
        numbers, seen = plugin.aio.numbers(20), []

        async def collect() -> None:
            async for n in numbers:
                seen.append(n)  # noqa: PERF401 - what came before the failure counts

        with pytest.raises(PluginError, match="bad luck"):
            await collect()
        return seen, [n async for n in numbers]

    plugin = get()
    assert asyncio.run(main()) == (list(range(13)), [])
    assert plugin.running() == 0


def test_a_handle_has_methods_to_await_and_closes_with_its_block(get: Callable[..., Any]) -> None:
    async def main() -> list[Any]:
        async with plugin.aio.open("one") as session:
            found = [await session.ask("hello"), await plugin.aio.running()]
        other = await plugin.aio.open("two")
        await other.close()
        await other.aclose()
        with pytest.raises(LifecycleError, match="closed"):
            await other.ask("hello")
        return [*found, await plugin.aio.running()]

    plugin = get()
    assert asyncio.run(main()) == ["hello", 1, 0]


def test_cancelling_the_task_tells_the_plugin(get: Callable[..., Any]) -> None:
    async def main() -> None:
        task = asyncio.create_task(plugin.aio.wait(60_000))
        await until(lambda: workers_of(plugin).statistics().running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: workers_of(plugin).statistics().running == 0)
        assert workers_of(plugin).statistics().abandoned == 0

    plugin = get()
    asyncio.run(main())


def test_what_does_not_ask_runs_on_and_is_counted_as_abandoned(get: Callable[..., Any]) -> None:
    async def main() -> None:
        with pytest.raises(CallTimeout, match=r"did not answer within 0\.02 s"):
            await plugin.aio(timeout=0.02).sleep(200)
        assert workers_of(plugin).statistics().abandoned == 1
        await until(lambda: workers_of(plugin).statistics().abandoned == 0)
        assert workers_of(plugin).statistics().running == 0

    plugin = get()
    asyncio.run(main())


def test_a_time_limit_and_a_deadline_are_passed_on(get: Callable[..., Any]) -> None:
    async def main() -> None:
        assert 0 <= await plugin.aio(timeout=60).left() <= 60_000
        with Deadline(10):
            assert 0 <= await plugin.aio(timeout=60).left() <= 10_000
        assert await plugin.aio.left() == -1
        with pytest.raises(CallTimeout):
            await plugin.aio(timeout=0.02).wait(60_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await plugin.aio.wait(60_000)

    plugin = get()
    asyncio.run(main())
    with pytest.raises(ValueError, match="number of seconds"):
        plugin.aio(timeout=-1)


def test_a_call_that_was_cancelled_before_it_began_is_never_made(get: Callable[..., Any]) -> None:
    async def main() -> None:
        first = asyncio.create_task(plugin.aio.wait(60_000))
        await until(lambda: workers_of(plugin).statistics().running == 1)
        second = asyncio.create_task(_awaited(plugin.aio.open("never")))
        await until(lambda: workers_of(plugin).statistics().waiting == 1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert workers_of(plugin).statistics().waiting == 0
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await plugin.aio.running() == 0

    plugin = get()
    asyncio.run(main())


def test_a_serial_plugin_takes_one_thread_and_leaves_the_others_alone(
    get: Callable[..., Any], plugins: PluginFolder
) -> None:
    plugins.python("test.other", slow.PYTHON, provides=[{"contract": "test.slow", "version": "1.0.0"}])

    async def main() -> None:
        calls = [asyncio.create_task(plugin.aio.wait(60_000)) for _ in range(8)]
        await until(lambda: workers_of(plugin).statistics().waiting == 7)
        assert workers_of(plugin).statistics().running == 1
        assert await other.aio.sleep(0) == 0
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    plugin = get(Workers(2))
    other_host = Host(everything_allowed(), workers=workers_of(plugin))
    other_host.discover(plugins.root)
    other_host.load("test.other")
    other: Any = other_host.get(Slow, plugin="test.other")
    asyncio.run(main())
    other_host.close()


def test_a_parallel_plugin_takes_as_many_threads_as_there_are_and_no_more(get: Callable[..., Any]) -> None:
    async def main() -> None:
        calls = [asyncio.create_task(plugin.aio.wait(60_000)) for _ in range(5)]
        await until(lambda: workers_of(plugin).statistics().running == 3)
        assert workers_of(plugin).statistics().waiting == 2
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    plugin = get(Workers(3), concurrency="parallel")
    asyncio.run(main())


def test_every_one_of_many_calls_is_answered_once(get: Callable[..., Any]) -> None:
    async def main() -> list[int]:
        async def count(n: int) -> int:
            return len([k async for k in plugin.aio.numbers(n)])

        return await asyncio.gather(*(count(n % 10) for n in range(100)))

    plugin = get(Workers(4), concurrency="parallel")
    assert asyncio.run(main()) == [n % 10 for n in range(100)]


def test_what_is_one_too_many_is_refused_where_the_host_says_so(get: Callable[..., Any]) -> None:
    async def main() -> None:
        calls = [asyncio.create_task(plugin.aio.wait(60_000)) for _ in range(3)]
        await until(lambda: workers_of(plugin).statistics().waiting == 2)
        with pytest.raises(Overloaded, match=r"test\.slow: 2 calls are waiting for it already"):
            await plugin.aio.left()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert await plugin.aio.left() == -1

    plugin = get(Workers(1, waiting=2))
    asyncio.run(main())


def test_threads_and_loops_can_share_a_proxy(get: Callable[..., Any]) -> None:
    def loop() -> None:
        results.append(asyncio.run(main()))

    async def main() -> list[int]:
        return [await plugin.aio.sleep(0) >= 0 for _ in range(20)]

    plugin, results = get(concurrency="parallel"), []  # type: tuple[Any, list[list[int]]]
    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[True] * 20] * 4


def test_a_closed_host_takes_no_more_calls(get: Callable[..., Any]) -> None:
    plugin = get()
    workers_of(plugin).close()
    workers_of(plugin).close()
    with pytest.raises(LifecycleError, match="the host is closed"):
        asyncio.run(plugin.aio.left())


@pytest.mark.parametrize(("threads", "waiting"), [(0, None), (1, -1)])
def test_numbers_that_make_no_sense_are_refused(threads: int, waiting: int | None) -> None:
    with pytest.raises(ValueError, match="expected at least one thread"):
        Workers(threads, waiting=waiting)


def test_the_answer_of_a_call_goes_with_its_caller(get: Callable[..., Any]) -> None:
    """A session that was opened for nobody is closed when the plugin is called next."""

    async def main() -> None:
        task = asyncio.create_task(plugin.aio.sleep(20))
        opening = asyncio.create_task(_awaited(plugin.aio.open("late")))
        await until(lambda: workers_of(plugin).statistics().waiting == 1)
        await task
        await until(lambda: workers_of(plugin).statistics().running == 0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    plugin = get()
    asyncio.run(main())
    plugin.left()
    assert plugin.running() == 0


@pytest.mark.parametrize("seed", range(3))
def test_whenever_calls_are_cancelled_no_thread_and_no_handle_is_lost(get: Callable[..., Any], seed: int) -> None:
    dice = random.Random(seed)

    async def one() -> None:
        what = dice.randrange(4)
        if what == 0:
            await plugin.aio(timeout=dice.random() / 500).wait(dice.randrange(3))
        elif what == 1:
            async with plugin.aio.open("x") as session:
                await session.ask("y")
        elif what == 2:
            async with plugin.aio.numbers(dice.randrange(8)) as numbers:
                async for _ in numbers:
                    pass
        else:
            await plugin.aio.wait(dice.randrange(2))

    async def main() -> None:
        tasks = []
        for _ in range(150):
            tasks.append(asyncio.create_task(one()))
            if dice.random() < 0.4:
                await asyncio.sleep(dice.random() / 1000)
            if dice.random() < 0.3:
                dice.choice(tasks).cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(o, CallTimeout | asyncio.CancelledError | None) for o in outcomes), outcomes
        await until(lambda: workers_of(plugin).statistics().running == 0)
        found = workers_of(plugin).statistics()
        assert (found.waiting, found.abandoned) == (0, 0)

    plugin = get(Workers(3), concurrency="parallel")
    asyncio.run(main())
    gc.collect()
    plugin.left()  # what was dropped is closed at the next call
    assert plugin.running() == 0


def test_awaited_calls_are_answered_once_each_across_reloads(hosts: Callable[..., Host], plugins: PluginFolder) -> None:
    async def main() -> None:
        going = True

        async def calling() -> int:
            count = 0
            while going:
                assert await plugin.aio.sleep(0) >= 0
                count += 1
            return count

        tasks = [asyncio.create_task(calling()) for _ in range(4)]
        for _ in range(5):
            await asyncio.to_thread(host.reload, "test.slow")
        going = False
        counts = await asyncio.gather(*tasks)
        [sleep] = [m for m in host.plugins()[0].methods if m.method == "sleep"]
        assert (sleep.calls, sleep.errors) == (sum(counts), 0)

    plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **slow.MANIFEST, concurrency="parallel")
    host = hosts()
    host.discover(plugins.root)
    host.load("test.slow")
    plugin: Any = host.get(Slow)
    asyncio.run(main())
