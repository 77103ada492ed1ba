"""`Host.map`: answers in order from threads and processes, failures in their place, items taken as they are needed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import ContractError, Host, PluginCrashed, PluginError, Unsupported, contract
from latebind.plugin import per_call, per_plugin
from latebind.testing import everything_allowed
from support import parallel, slow
from support.parallel import Squares
from support.plugins import Words
from support.slow import Slow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.plugin import Manifest, ScopedService
    from support.plugins import PluginFolder


@pytest.fixture
def squares(plugins: PluginFolder) -> Iterator[Host]:
    """A host with the squares loaded."""
    plugins.add("test.squares", parallel.SOURCE, contracts=(Squares,), **parallel.MANIFEST, concurrency="parallel")
    with Host(everything_allowed(), contracts=[Squares]) as host:
        host.discover(plugins.root)
        host.load("test.squares")
        yield host


def spawned(workers: int = 2) -> ProcessPoolExecutor:
    """Processes that share nothing with this one: forking one with threads may deadlock."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["default", "threads"])
@pytest.mark.parametrize("chunksize", [1, 7, 1000])
def test_answers_come_in_the_order_of_the_items(squares: Host, executor: type[Executor] | None, chunksize: int) -> None:
    made = executor() if executor is not None else None
    found = squares.map(Squares.square, range(100), executor=made, chunksize=chunksize)
    assert list(found) == [n * n for n in range(100)]
    if made is not None:
        made.shutdown()


def test_several_iterables_are_the_arguments_and_the_shortest_ends_it(squares: Host) -> None:
    assert list(squares.map(Squares.product, [1, 2, 3], itertools.count(10))) == [10, 22, 36]


def test_processes_open_the_plugin_themselves(squares: Host) -> None:
    with spawned() as pool:
        found = list(squares.map(Squares.process, range(8), executor=pool))
        assert os.getpid() not in found
        assert list(squares.map(Squares.square, range(20), executor=pool, chunksize=5)) == [n * n for n in range(20)]
        outcomes = list(squares.map(Squares.square, [2, -2, 3], executor=pool, return_exceptions=True))
        with pytest.raises(PluginCrashed, match=r"test\.squares: its process ended during test\.squares\.square"):
            list(squares.map(Squares.square, [1, 666, 2], executor=pool))
    assert (outcomes[0], outcomes[2]) == (4, 9)
    error: Any = outcomes[1]
    assert isinstance(error, PluginError)
    assert (error.plugin, error.method, error.message) == ("test.squares", "test.squares.square", "-2 is negative")
    assert [type(e).__name__ for e in squares.events.recent() if type(e).__name__ == "Crashed"] == ["Crashed"]


def test_what_is_another_version_by_now_is_refused_by_the_other_process(squares: Host, plugins: PluginFolder) -> None:
    manifest = plugins.root / "test.squares" / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("version: 1.0.0", "version: 1.5.0"))
    blueprint = squares.blueprint("test.squares")
    with pytest.raises(Exception, match=r"1\.5\.0"):
        blueprint.open()


def test_a_blueprint_opens_what_the_plugin_requires_too(plugins: PluginFolder) -> None:
    code = "class Plugin:\n    def __init__(self, context): pass\n    def square(self, number): return number\n"
    plugins.python("test.base", code, config={"type": "object", "properties": {"size": {"type": "integer"}}})
    requires = [{"plugin": "test.base"}]
    plugins.python("test.user", code, requires=requires, provides=[{"contract": "test.squares", "version": "1.0.0"}])
    plugins.python("test.alien", code)
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.alien")
        host.load("test.base", config={"size": 3})
        host.load("test.user")
        blueprint = host.blueprint("test.user")
    assert [(p[1], p[3]) for p in blueprint.plugins] == [("test.base", {"size": 3}), ("test.user", {})]
    with blueprint.open() as other:
        assert [s.id for s in other.plugins() if s.loaded] == ["test.base", "test.user"]


def uses(plugins: PluginFolder, service: ScopedService) -> Host:
    """A host with a plugin whose service is made by a factory."""
    requires = [{"contract": "test.words", "version": "^1"}]
    plugins.python("test.uses", parallel.USES, requires=requires, **parallel.MANIFEST)
    host = Host(everything_allowed(), {Words: service}, contracts=[Squares])
    host.discover(plugins.root)
    host.load("test.uses")
    return host


def test_a_blueprint_makes_services_for_each_call_anew(plugins: PluginFolder) -> None:
    with uses(plugins, per_call(parallel.Uses)) as host, host.blueprint("test.uses").open() as other:
        before = parallel.Uses.left
        squares = other.get(Squares)
        assert [squares.square(3), squares.square(2)] == [3, 2], "each call counts from one"
        assert squares.product(0, 0) == before + 1, "what earlier calls had is closed"
        assert parallel.Uses.left == before


def test_a_blueprint_makes_services_for_each_plugin_once_in_each_host(plugins: PluginFolder) -> None:
    with uses(plugins, per_plugin(parallel.Uses)) as host, host.blueprint("test.uses").open() as other:
        assert [h.get(Squares).square(n) for h, n in ((host, 3), (other, 1), (other, 1), (host, 1))] == [3, 1, 2, 4]


def test_processes_make_services_for_each_call_themselves(plugins: PluginFolder) -> None:
    with uses(plugins, per_call(parallel.Uses)) as host, spawned(1) as pool:
        assert list(host.map(Squares.square, [3, 1, 2], executor=pool, chunksize=2)) == [3, 1, 2]
        [process] = set(host.map(Squares.process, range(3), executor=pool))
        assert process != os.getpid()


def test_a_factory_that_cannot_travel_is_named(plugins: PluginFolder) -> None:
    def make(manifest: Manifest) -> parallel.Uses:
        return parallel.Uses(manifest)

    with uses(plugins, per_call(make)) as host, spawned(1) as pool:
        with pytest.raises(ContractError, match="another process cannot have what the plugin needs: .*local.*make"):
            list(host.map(Squares.square, [1], executor=pool))
        assert list(host.map(Squares.square, [1])) == [1], "within this process it need not travel"


def test_what_only_an_override_offers_is_no_part_of_a_blueprint(plugins: PluginFolder) -> None:
    requires = [{"contract": "test.words", "version": "^1", "optional": True}]
    code = "class Plugin:\n    def __init__(self, context): pass\n    def square(self, number): return number\n"
    plugins.python("test.uses", code.replace("square", "process"), requires=requires)

    class Found:
        def find(self, word: str) -> list[str]:
            return [word]

    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        with host.override({Words: Found()}):
            host.load("test.uses")
            blueprint = host.blueprint("test.uses")
    assert blueprint.services == ()
    with blueprint.open() as other:
        assert [s.id for s in other.plugins() if s.loaded] == ["test.uses"]


def test_the_first_failure_is_raised_in_its_place_and_nothing_new_begins(squares: Host) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in itertools.count():
            taken.append(n)
            yield n if n != 5 else -5

    with ThreadPoolExecutor(2) as pool:
        answers = squares.map(Squares.square, items(), executor=pool)
        seen: list[int] = []
        with pytest.raises(PluginError, match="-5 is negative"):
            seen.extend(answers)
    assert len(taken) <= 5 + 2 * 2 + 1


def test_items_are_taken_a_window_ahead_and_no_further(squares: Host) -> None:
    taken: list[int] = []

    def note(n: int) -> int:
        taken.append(n)
        return n

    with ThreadPoolExecutor(2) as pool:
        counted = map(note, itertools.count())
        answers = squares.map(Squares.square, counted, executor=pool, chunksize=3)
        assert taken == []
        assert list(itertools.islice(answers, 5)) == [0, 1, 4, 9, 16]
        assert len(taken) <= 2 * (2 * 2) * 3
        answers.close()  # type: ignore[attr-defined]  # it is a generator


def test_leaving_early_tells_what_runs(plugins: PluginFolder) -> None:
    plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **slow.MANIFEST, concurrency="parallel")
    with Host(everything_allowed()) as host, ThreadPoolExecutor(2) as pool:
        host.discover(plugins.root)
        host.load("test.slow")
        answers = host.map(Slow.wait, [0, 60_000, 60_000, 60_000], executor=pool)
        assert next(answers) >= 0
        answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() < 50


def test_a_time_limit_is_for_each_call(plugins: PluginFolder) -> None:
    plugins.add("test.slow", slow.SOURCE, contracts=(Slow,), **slow.MANIFEST)
    with Host(everything_allowed()) as host:
        host.discover(plugins.root)
        host.load("test.slow")
        found = list(host.map(Slow.wait, [60_000, 0], timeout=0.02, return_exceptions=True))
        assert (type(found[0]).__name__, found[1]) == ("CallTimeout", 0)
        with pytest.raises(Unsupported, match="a handle or an iterator lives in one process"):
            host.map(Slow.numbers, [1])
        with pytest.raises(ValueError, match="at least one item"):
            host.map(Slow.wait, [1], chunksize=0)
        with pytest.raises(TypeError, match="no method of a contract"):
            host.map(len, [[]])


@pytest.mark.usefixtures("squares")
def test_what_cannot_travel_is_named(plugins: PluginFolder) -> None:
    class Service:
        def square(self, number: int) -> int:
            return number

    @contract("test.local", version="1.0.0")
    class Here(Protocol):
        def square(self, number: int) -> int: ...

    with Host(everything_allowed(), {Here: Service()}, contracts=[Squares]) as host, spawned(1) as pool:
        host.discover(plugins.root)
        host.load("test.squares")
        with pytest.raises(ContractError, match="another process cannot have what the plugin needs"):
            list(host.map(Squares.square, [1], executor=pool))
