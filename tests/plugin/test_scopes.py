"""Services by constructor, their scopes, and overrides for tests; native and Python plugins alike."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from latebind import ContractError, Host, NotFound, PluginError, VersionConflict
from latebind.plugin import per_call, per_plugin
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from latebind.plugin import Manifest

LOGGER = [{"contract": "host.logger", "version": "^1.0"}]
COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]
WORDS = [{"contract": "test.words", "version": "1.0.0"}]
# A native plugin that writes two lines in each call.
TALKS = r"""
#include "test_counter.h"
#include "host_logger.h"
LATEBIND_PLUGIN("test.native", "1.0.0")
LATEBIND_PROVIDES(test_counter)
LATEBIND_REQUIRES(host_logger)
lb_status test_counter_add(lb_context *ctx, int64_t amount, int64_t *result)
{
    *result = amount;
    return host_logger_info(ctx, lb_text("one")) || host_logger_info(ctx, lb_text("two")) ? LB_FAILED : LB_OK;
}
lb_status test_counter_name(lb_context *ctx, lb_str *result)
{ (void)ctx; *result = lb_text("native"); return LB_OK; }
#ifdef INIT
lb_status lb_init(lb_context *ctx, lb_str config) { (void)config; return host_logger_info(ctx, lb_text("init")); }
#endif
"""
PYTHON = """
from support.plugins import Logger
class Plugin:
    def __init__(self, logger: Logger):
        self.logger = logger
    def add(self, amount):
        self.logger.info("one")
        self.logger.info("two")
        return amount
    def name(self):
        return "python"
"""
IDS = {"native": "test.native", "python": "test.python"}


class Lines:
    """A logger of its own; each remembers what it was told."""

    made: list[Lines]

    def __init__(self, plugin: Manifest | None = None) -> None:
        self.plugin, self.lines, self.closed = plugin.id if plugin is not None else "", [], 0  # type: ignore[var-annotated]

    def info(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    found: list[Lines] = []

    def remember(self: Lines, plugin: Manifest | None = None) -> None:
        self.plugin, self.lines, self.closed = plugin.id if plugin is not None else "", [], 0
        found.append(self)

    monkeypatch.setattr(Lines, "__init__", remember)
    return found


def add(plugins: PluginFolder, kind: str, *flags: str, **more: Any) -> None:
    manifest = {"provides": COUNTS, "requires": LOGGER, **more}
    if kind == "native":
        plugins.add("test.native", TALKS, flags=flags, **manifest)
    else:
        plugins.python("test.python", PYTHON, **manifest)


def host_with(plugins: PluginFolder, logger: object, *load: str, **more: Any) -> Host:
    made = Host(everything_allowed(), {Logger: logger}, contracts=[Counter, Words], **more)
    made.discover(plugins.root)
    for plugin in load:
        made.load(plugin)
    return made


# Constructors.


INJECTED = """
from support.plugins import Logger, Words
class Plugin:
    def __init__({constructor}):
        self.all = {{k: v for k, v in locals().items() if k != "self"}}
    def add(self, amount):
        return amount
    def name(self):
        return ",".join(f"{{k}}={{type(v).__name__}}" for k, v in self.all.items())
"""


def plugin_class(plugins: PluginFolder, constructor: str, requires: list[dict[str, object]], head: str = "") -> None:
    source = head + INJECTED.format(constructor=constructor)
    plugins.python("test.python", source, provides=COUNTS, requires=requires)


@pytest.mark.parametrize(
    ("constructor", "requires", "given"),
    [
        ("self", [], ""),
        ("self, context", LOGGER, "context=PluginContext"),
        ("self, log: Logger", LOGGER, "log=StandIn"),
        ("self, context, *, log: Logger", LOGGER, "context=PluginContext,log=StandIn"),
        ("self, log: Logger | None", [{**LOGGER[0], "optional": True}], "log=StandIn"),
        ("self, words: Words | None", [{"contract": "test.words", "optional": True}], "words=NoneType"),
        ("self, words: Words = 3", [{"contract": "test.words", "optional": True}], "words=int"),
        ("self, size: int = 3", [], "size=int"),
    ],
)
def test_a_constructor_gets_what_it_is_annotated_with(
    plugins: PluginFolder, constructor: str, requires: list[dict[str, object]], given: str
) -> None:
    for head in ("", "from __future__ import annotations"):
        plugin_class(plugins, constructor, requires, head)
        with host_with(plugins, Recorder(Logger), "test.python") as host:
            assert host.get(Counter).name() == given


@pytest.mark.parametrize(
    ("constructor", "requires", "what"),
    [
        ("self, log: Logger", [], "wants host.logger, which its manifest does not require"),
        (
            "self, words: Words",
            [{"contract": "test.words", "optional": True}],
            "is optional in its manifest and absent",
        ),
        ("self, context, size: int", [], "parameter size is annotated with no contract and has no default"),
    ],
)
def test_a_constructor_that_wants_what_is_not_there_is_refused(
    plugins: PluginFolder, constructor: str, requires: list[dict[str, object]], what: str
) -> None:
    plugin_class(plugins, constructor, requires)
    with host_with(plugins, Recorder(Logger)) as host, pytest.raises(ContractError, match=what):
        host.load("test.python")


def test_an_annotation_that_only_type_checkers_see_counts_as_none(plugins: PluginFolder) -> None:
    plugin_class(plugins, "self, context: PluginContext", [], "from __future__ import annotations")
    with host_with(plugins, Recorder(Logger), "test.python") as host:
        assert host.get(Counter).name() == "context=PluginContext"


# Scopes.


@pytest.mark.parametrize("kind", ["native", "python"])
def test_a_service_for_each_plugin_is_made_once_and_closed_with_it(
    plugins: PluginFolder, made: list[Lines], kind: str
) -> None:
    add(plugins, kind)
    with host_with(plugins, per_plugin(Lines), IDS[kind]) as host:
        counter = host.get(Counter)
        counter.add(1)
        host.reload(IDS[kind])
        counter.add(1)
        assert [(one.plugin, one.lines, one.closed) for one in made] == [(IDS[kind], ["one", "two"] * 2, 0)]
        host.unload(IDS[kind])
        assert made[0].closed == 1
        host.load(IDS[kind])
        assert len(made) == 2


def test_two_plugins_do_not_share_a_service_for_each_plugin(plugins: PluginFolder, made: list[Lines]) -> None:
    add(plugins, "native")
    add(plugins, "python")
    with host_with(plugins, per_plugin(Lines), "test.native", "test.python") as host:
        host.get(Counter, plugin="test.python").add(1)
        assert {one.plugin: one.lines for one in made} == {"test.native": [], "test.python": ["one", "two"]}


@pytest.mark.parametrize("kind", ["native", "python"])
def test_a_service_for_each_call_is_made_once_in_it_and_closed_at_its_end(
    plugins: PluginFolder, made: list[Lines], kind: str
) -> None:
    add(plugins, kind)
    with host_with(plugins, per_call(Lines), IDS[kind]) as host:
        counter = host.get(Counter)
        counter.name()
        assert made == [], "a call that does not use it makes none"
        counter.add(1)
        host.reload(IDS[kind])
        counter.add(1)
        assert [(one.lines, one.closed) for one in made] == [(["one", "two"], 1)] * 2


def test_calls_of_several_threads_do_not_share_a_service(plugins: PluginFolder, made: list[Lines]) -> None:
    add(plugins, "native", concurrency="parallel")
    with host_with(plugins, per_call(Lines), "test.native") as host:
        counter = host.get(Counter)
        threads = [threading.Thread(target=counter.add, args=(1,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(one.lines, one.closed) for one in made] == [(["one", "two"], 1)] * 6


def test_outside_of_a_call_a_service_for_each_call_is_made_for_one_use(
    plugins: PluginFolder, made: list[Lines]
) -> None:
    add(plugins, "native", "-DINIT")
    with host_with(plugins, per_call(Lines), "test.native"):
        assert [(one.lines, one.closed) for one in made] == [(["init"], 1)]


def test_a_factory_that_fails_is_refused_before_loading_and_leaves_nothing(plugins: PluginFolder) -> None:
    add(plugins, "native")
    for make, what in (
        (lambda plugin: plugin.nonsense, "making it for plugin test.native failed: AttributeError"),
        (lambda _: 3, "what was made for plugin test.native, int has no method info"),
    ):
        with host_with(plugins, per_plugin(make)) as host, pytest.raises(ContractError, match=what):
            host.load("test.native")


def test_a_service_that_fails_to_close_is_told(plugins: PluginFolder) -> None:
    class Stuck(Lines):
        def close(self) -> None:
            raise OSError("stuck")

    add(plugins, "python")
    with host_with(plugins, per_plugin(Stuck), "test.python") as host:
        problems = host.unload("test.python")
        assert [str(p) for p in problems] == ["test.python: closing a service that was made for it: OSError: stuck"]
    with host_with(plugins, per_call(Stuck), "test.python") as host, pytest.raises(OSError, match="stuck"):
        host.get(Counter).add(1)


# Overrides.


@pytest.mark.parametrize("kind", ["native", "python"])
@pytest.mark.parametrize(
    "scope", [lambda log: log, lambda log: per_plugin(lambda _: log), lambda log: per_call(lambda _: log)]
)
def test_an_override_reaches_plugins_that_are_loaded_and_ends(plugins: PluginFolder, kind: str, scope: Any) -> None:
    real, fake, inner = Lines(), Recorder(Logger), Recorder(Logger)
    add(plugins, kind)
    with host_with(plugins, scope(real), IDS[kind]) as host:
        counter = host.get(Counter)
        with host.override({Logger: fake}):
            counter.add(1)
            with host.override({Logger: inner}):
                counter.add(1)
            host.get(Logger).info("app")
        counter.add(1)
        assert len(fake.calls) == 3
        assert len(inner.calls) == 2
        assert real.lines == ["one", "two"]


def test_an_override_of_a_plugins_contract_answers_for_it_and_its_users_go_at_the_end(plugins: PluginFolder) -> None:
    class Fake:
        def find(self, word: str) -> list[str]:
            return [f"fake {word}"]

    plugins.python(
        "test.asks",
        "from support.plugins import Words\nclass Plugin:\n    def __init__(self, words: Words): self.words = words\n"
        "    def add(self, amount): return amount\n    def name(self): return self.words.find('x')[0]\n",
        provides=COUNTS, requires=[{"contract": "test.words", "version": "^1"}],
    )  # fmt: skip
    with host_with(plugins, Recorder(Logger)) as host:
        with pytest.raises(NotFound, match=r"test\.words: not found, needed by test\.asks 1\.0\.0"):
            host.load("test.asks")
        with host.override({Words: Fake()}):
            host.load("test.asks")
            words = host.get(Words)
            assert (host.get(Counter).name(), words.find("y"), host.all(Words)[0].find("z")) == (
                "fake x", ["fake y"], ["fake z"],
            )  # fmt: skip
        assert not host.plugins()[0].loaded
        with pytest.raises(NotFound, match="the override that it was: has ended"):
            words.find("y")


def test_an_override_that_lacks_a_method_is_refused_whole(plugins: PluginFolder) -> None:
    add(plugins, "python")
    with host_with(plugins, Recorder(Logger)) as host:
        with (
            pytest.raises(ContractError, match="the override int has no method find"),
            host.override({Logger: Lines(), Words: 3}),
        ):
            pass
        with pytest.raises(NotFound):
            host.get(Logger)


def test_an_override_ends_when_the_block_raises(plugins: PluginFolder) -> None:
    real = Lines()
    add(plugins, "python")
    with host_with(plugins, real, "test.python") as host:
        with pytest.raises(KeyError), host.override({Logger: Recorder(Logger)}):
            raise KeyError
        host.get(Counter).add(1)
        assert real.lines == ["one", "two"]


# Refused before loading.


@pytest.mark.parametrize("kind", ["native", "python"])
def test_a_service_of_another_version_is_refused_naming_who_needs_it(plugins: PluginFolder, kind: str) -> None:
    add(plugins, kind, requires=[{"contract": "host.logger", "version": "^2"}])
    plugins.python("test.outer", "raise SystemExit", requires=[{"plugin": IDS[kind]}])
    with host_with(plugins, Recorder(Logger)) as host:
        with pytest.raises(VersionConflict) as caught:
            host.load("test.outer")
        assert caught.value.chain == (
            "test.outer is to be loaded",
            f"test.outer 1.0.0 requires plugin {IDS[kind]} *",
            f"{IDS[kind]} 1.0.0 requires contract host.logger ^2",
        )
        assert "the host's service has version 1.0.0" in caught.value.what
        assert not any(s.loaded for s in host.plugins())


def test_what_a_service_raises_reaches_the_caller(plugins: PluginFolder) -> None:
    add(plugins, "native")
    with (
        host_with(
            plugins, per_plugin(lambda _: Recorder(Logger, info=OSError(28, "disk full"))), "test.native"
        ) as host,
        pytest.raises(PluginError, match="disk full"),
    ):
        host.get(Counter).add(1)
