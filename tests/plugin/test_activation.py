"""When plugins are loaded: lazily at their first call, all at once, as they are discovered; and who is left out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import Host, LifecycleError, NotFound, PluginError, VersionConflict, contract
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]
WORDS = [{"contract": "test.words", "version": "1.0.0"}]
COUNTER = "class Plugin:\n    def __init__(self, context): ...\n    def add(self, amount): return amount\n"
COUNTER += "    def name(self): return {name!r}\n"
FAILS = "class Plugin:\n    def __init__(self, context): raise OSError('no licence')\n"
DICTIONARY = "class Plugin:\n    def __init__(self, context): ...\n    def find(self, word): return [word]\n"
ASKS = """
from support.plugins import Words
class Plugin:
    def __init__(self, words: Words):
        self.words = words
    def add(self, amount):
        return amount
    def name(self):
        return self.words.find("asked")[0]
"""


def counter(plugins: PluginFolder, plugin: str, source: str = COUNTER, **manifest: Any) -> None:
    plugins.python(plugin, source.format(name=plugin), **{"provides": COUNTS, **manifest})


def host_with(plugins: PluginFolder, activation: str, **more: Any) -> Host:
    made = Host(everything_allowed(), contracts=[Counter, Words], activation=activation, **more)
    made.discover(plugins.root)
    return made


def loaded(host: Host) -> list[str]:
    return [s.id for s in host.plugins() if s.loaded]


@pytest.fixture
def lazy(plugins: PluginFolder) -> Iterator[Host]:
    """A lazy host with a counter that asks a dictionary."""
    counter(plugins, "test.asks", ASKS, requires=[{"contract": "test.words", "version": "^1"}])
    plugins.python("test.dictionary", DICTIONARY, provides=WORDS)
    with host_with(plugins, "lazy") as host:
        yield host


def test_a_lazy_host_loads_a_plugin_and_what_it_requires_at_its_first_call(lazy: Host) -> None:
    proxy = lazy.get(Counter)
    assert loaded(lazy) == []
    assert proxy.name() == "asked"
    assert loaded(lazy) == ["test.asks", "test.dictionary"]


def test_a_native_plugin_is_loaded_at_its_first_call_from_whichever_thread(plugins: PluginFolder) -> None:
    plugins.counter()
    with host_with(plugins, "lazy", services={Logger: Recorder(Logger)}) as host:
        proxy = host.get(Counter)
        threads = [threading.Thread(target=proxy.add, args=(1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert proxy.add(0) == 8
        assert host.plugins()[0].generation == 1


def test_what_was_unloaded_on_purpose_is_not_loaded_by_a_call(lazy: Host) -> None:
    proxy = lazy.get(Counter)
    proxy.name()
    lazy.unload("test.asks")
    with pytest.raises(LifecycleError, match="it is not loaded"):
        proxy.name()
    with pytest.raises(NotFound):
        lazy.get(Counter)
    lazy.load("test.asks")
    assert proxy.name() == "asked"


def test_a_call_after_the_hosts_end_loads_nothing(plugins: PluginFolder) -> None:
    counter(plugins, "test.one")
    with host_with(plugins, "lazy") as host:
        proxy = host.get(Counter)
    with pytest.raises(LifecycleError, match="it is not loaded"):
        proxy.name()


def test_a_first_call_that_fails_says_why_and_the_next_one_tries_again(plugins: PluginFolder) -> None:
    counter(plugins, "test.one", FAILS)
    with host_with(plugins, "lazy") as host:
        proxy = host.get(Counter)
        with pytest.raises(PluginError, match="no licence"):
            proxy.name()
        counter(plugins, "test.one")
        assert proxy.name() == "test.one"


def test_a_plugin_that_failed_does_not_hide_another_provider(plugins: PluginFolder) -> None:
    counter(plugins, "test.first", FAILS, priority=5)
    counter(plugins, "test.second")
    with host_with(plugins, "lazy") as host:
        with pytest.raises(PluginError):
            host.get(Counter).name()
        assert host.get(Counter).name() == "test.second"


def test_the_versions_that_are_loaded_fit_together_whichever_is_used_first(plugins: PluginFolder) -> None:
    for version in ("1.0.0", "2.0.0"):
        plugins.python("test.dictionary", DICTIONARY, version=version, provides=WORDS)
        (plugins.root / "test.dictionary").rename(plugins.root / f"dictionary-{version}")
    counter(plugins, "test.any", requires=[{"plugin": "test.dictionary"}])
    counter(plugins, "test.old", requires=[{"plugin": "test.dictionary", "version": "^1"}])
    with host_with(plugins, "lazy") as host:
        assert [host.get(Counter, plugin=p).name() for p in ("test.any", "test.old")] == ["test.any", "test.old"]
        assert str(host.plugins()[1].manifest) == "test.dictionary 1.0.0"


def test_a_plugin_that_is_used_by_its_own_start_says_so(plugins: PluginFolder) -> None:
    counter(
        plugins, "test.self",
        "from support.plugins import Logger\nclass Plugin:\n    def __init__(self, logger: Logger): logger.info('x')\n",
        requires=[{"contract": "host.logger", "version": "*"}],
    )  # fmt: skip

    class Calls:
        def info(self, _text: str) -> None:
            host.get(Counter).name()

    with host_with(plugins, "lazy", services={Logger: Calls()}) as host:
        with pytest.raises(PluginError, match="it is being loaded, and this call comes from there"):
            host.get(Counter).name()
        assert loaded(host) == []


def test_a_host_that_starts_loads_what_it_discovers(plugins: PluginFolder) -> None:
    counter(plugins, "test.one")
    counter(plugins, "test.two", FAILS)
    with Host(everything_allowed(), contracts=[Counter], activation="start") as host:
        found = host.discover(plugins.root)
        assert loaded(host) == ["test.one"]
        assert {p: str(e) for p, e in found.left_out.items()} == {
            "test.two": "plugin test.two 1.0.0, __init__: OSError: no licence"
        }


def test_activating_all_leaves_out_what_fails_and_what_cannot_do_without_it(plugins: PluginFolder) -> None:
    plugins.python("test.bad", FAILS, provides=WORDS)
    counter(plugins, "test.asks", ASKS, requires=[{"contract": "test.words", "version": "^1"}])
    counter(plugins, "test.needs", requires=[{"plugin": "test.bad"}])
    counter(plugins, "test.could", requires=[{"plugin": "test.bad", "optional": True}])
    counter(plugins, "test.alone")
    with host_with(plugins, "explicit") as host:
        done = host.activate()
        assert [m.id for m in done.loaded] == ["test.alone", "test.could"]
        assert {p: type(e) for p, e in done.left_out.items()} == {
            "test.asks": NotFound, "test.bad": PluginError, "test.needs": VersionConflict,
        }  # fmt: skip
        assert "provides it and failed: plugin test.bad 1.0.0, __init__: OSError" in str(done.left_out["test.asks"])
        assert "test.bad failed: plugin test.bad 1.0.0, __init__" in str(done.left_out["test.needs"])


def test_another_provider_stands_in_for_one_that_fails(plugins: PluginFolder) -> None:
    plugins.python("test.bad", FAILS, provides=WORDS, priority=9)
    plugins.python("test.good", DICTIONARY, provides=WORDS)
    counter(plugins, "test.asks", ASKS, requires=[{"contract": "test.words", "version": "^1"}])
    with host_with(plugins, "explicit") as host:
        done = host.activate()
        assert [m.id for m in done.loaded] == ["test.good", "test.asks"]
        assert list(done.left_out) == ["test.bad"]


def test_activating_again_changes_nothing_and_tries_what_is_named(plugins: PluginFolder) -> None:
    counter(plugins, "test.one")
    counter(plugins, "test.two", FAILS)
    with host_with(plugins, "explicit") as host:
        host.activate()
        assert host.activate().loaded == ()
        counter(plugins, "test.two")
        assert [m.id for m in host.activate("test.two").loaded] == ["test.two"]


def test_a_resolution_is_shown_without_loading_anything(lazy: Host) -> None:
    found = lazy.resolve()
    assert [m.id for m in found.order] == ["test.dictionary", "test.asks"]
    assert found.providers["test.asks"] == {"test.words": "test.dictionary"}
    assert lazy.resolve("test.asks").order == found.order
    assert loaded(lazy) == []


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="eager"):
        Host(activation="eager")


# Several providers of one contract.


@pytest.fixture
def three(plugins: PluginFolder) -> Iterator[Host]:
    """Three loaded counters: of high priority, of an older contract, and an ordinary one."""
    counter(plugins, "test.high", priority=5)
    counter(plugins, "test.old", provides=[{"contract": "test.counter", "version": "1.0.0"}], version="0.9.0")
    counter(plugins, "test.plain")
    with host_with(plugins, "explicit") as host:
        host.activate()
        yield host


def names(proxies: tuple[Counter, ...]) -> list[str]:
    return [p.name() for p in proxies]


def test_all_providers_come_in_the_order_of_their_priority(three: Host) -> None:
    assert names(three.all(Counter)) == ["test.high", "test.plain", "test.old"]
    assert [m.id for m in three.providers(Counter)] == ["test.high", "test.plain", "test.old"]
    assert names(three.all(Counter, version="<1")) == ["test.old"]


def test_one_is_chosen_by_rank_by_id_by_version_or_by_a_rule(three: Host) -> None:
    assert three.get(Counter).name() == "test.high"
    assert three.get(Counter, plugin="test.plain").name() == "test.plain"
    assert three.get(Counter, version="0.9").name() == "test.old"
    assert three.get(Counter, choose=lambda found: found[-1]).name() == "test.old"
    with pytest.raises(NotFound):
        three.get(Counter, choose=lambda _: None)


def test_the_operators_priorities_come_before_the_manifests(plugins: PluginFolder) -> None:
    counter(plugins, "test.high", priority=5)
    counter(plugins, "test.plain")
    with host_with(plugins, "explicit", priorities={"test.p*": 7}) as host:
        host.activate()
        assert names(host.all(Counter)) == ["test.plain", "test.high"]


def test_a_provider_of_a_version_that_does_not_fit_hides_none_that_does(plugins: PluginFolder) -> None:
    counter(plugins, "test.new", priority=9, provides=[{"contract": "test.counter", "version": "2.0.0"}])
    counter(plugins, "test.plain")
    with Host(everything_allowed(), activation="lazy") as host:
        host.discover(plugins.root)
        assert host.get(Counter).name() == "test.plain"
        assert names(host.all(Counter)) == ["test.plain"]
        assert "provides test.counter 2.0.0, the host has 1.1.0" in str(host.resolve().left_out["test.new"])
        with pytest.raises(NotFound, match="the versions break with each other"):
            host.get(Counter, plugin="test.new")


def test_all_of_a_lazy_host_leaves_out_what_fails(plugins: PluginFolder) -> None:
    counter(plugins, "test.bad", FAILS, priority=9)
    counter(plugins, "test.plain")
    with host_with(plugins, "lazy") as host:
        assert names(host.all(Counter)) == ["test.plain"]
        bad = next(s for s in host.plugins() if s.id == "test.bad")
        assert "no licence" in bad.reason


def test_nobody_provides_a_contract_that_nobody_knows(three: Host) -> None:
    @contract("test.unknown", version="1.0.0")
    class Unknown(Protocol):
        def ask(self) -> int: ...

    assert three.all(Unknown) == ()
    with pytest.raises(NotFound, match=r"a loaded plugin that provides test\.unknown"):
        three.get(Unknown)
