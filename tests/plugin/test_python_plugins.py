"""Plugins in Python: the same contracts, services, state and reloads as native ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from latebind import (
    CapabilityDenied,
    ContractError,
    Host,
    LifecycleError,
    NotProvided,
    PluginError,
    Policy,
    VersionConflict,
)
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, PluginFolder

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from .helper import NAME

class Plugin:
    def __init__(self, context):
        self.sum = context.config.get("start", 0)
        self.context = context

    def add(self, amount):
        if amount < 0:
            raise ValueError("negative")
        self.sum += amount
        return self.sum

    def name(self):
        return NAME

    def lb_save(self):
        return str(self.sum).encode()

    def lb_restore(self, schema, state):
        self.sum = int(state)
"""
COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]


def write(plugins: PluginFolder, source: str = SOURCE, name: str = "first", **manifest: Any) -> Path:
    folder = plugins.python("test.python", source, **{"provides": COUNTS, **manifest})
    (folder / "helper.py").write_text(f"NAME = {name!r}\n")
    return folder


def start(host: Host, plugins: PluginFolder) -> Counter:
    host.discover(plugins.root)
    host.load("test.python")
    return host.get(Counter)


def test_it_is_called_like_any_other_plugin(host: Host, plugins: PluginFolder) -> None:
    write(plugins)
    counter = start(host, plugins)
    assert (counter.add(2), counter.add(amount=3), counter.name()) == (2, 5, "first")
    with pytest.raises(TypeError, match=r"test\.counter\.add\(\), parameter amount: expected int"):
        counter.add("x")  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="ValueError: negative") as caught:
        counter.add(-1)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_reload_keeps_the_state_and_takes_the_new_code_even_within_a_second(
    host: Host, plugins: PluginFolder
) -> None:
    write(plugins)
    counter = start(host, plugins)
    counter.add(5)
    for name in ("secnd", "third", "forth"):  # of equal length: byte code would be taken for fresh by size and second
        write(plugins, name=name)
        host.reload("test.python")
        assert (counter.name(), counter.add(1)) == (name, counter.add(0))
    assert counter.add(0) == 8


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("class Plugin(: ...", "import: SyntaxError"),
        ("import no_such_module", "import: ModuleNotFoundError"),
        ("class Other: ...", "work has no class Plugin"),
        ("class Plugin:\n    def __init__(self, context): raise KeyError('x')", "__init__: KeyError: 'x'"),
        ("class Plugin:\n    def __init__(self, context): ...", "has no method add, name"),
        (SOURCE.replace("int(state)", "int(state) // 0"), "lb_restore: ZeroDivisionError"),
        (SOURCE.replace("lb_restore", "other"), "cannot take over the state"),
    ],
)
def test_a_broken_version_is_rolled_back(host: Host, plugins: PluginFolder, source: str, what: str) -> None:
    write(plugins)
    counter = start(host, plugins)
    counter.add(5)
    write(plugins, source, name="broken")
    modules = set(sys.modules)
    with pytest.raises((PluginError, ContractError), match=what):
        host.reload("test.python")
    assert (counter.name(), counter.add(1)) == ("first", 6)
    assert set(sys.modules) == modules


def test_a_save_that_fails_or_answers_wrongly_is_rolled_back(host: Host, plugins: PluginFolder) -> None:
    write(plugins, SOURCE.replace("str(self.sum).encode()", "self.sum"))
    counter = start(host, plugins)
    counter.add(5)
    with pytest.raises(PluginError, match="lb_save: it answered int, expected bytes"):
        host.reload("test.python")
    assert counter.add(1) == 6


def test_a_result_of_another_type_breaks_the_contract(host: Host, plugins: PluginFolder) -> None:
    write(plugins, SOURCE.replace("return NAME", "return 3"))
    counter = start(host, plugins)
    with pytest.raises(PluginError, match="its result breaks the contract: expected str, not int"):
        counter.name()


def test_services_come_with_the_context(host: Host, plugins: PluginFolder, logger: Recorder) -> None:
    source = SOURCE.replace("from .helper", "from support.plugins import Logger\nfrom .helper")
    source = source.replace("return NAME", "self.context.service(Logger).info(NAME); return NAME")
    write(plugins, source, requires=[{"contract": "host.logger"}])
    start(host, plugins).name()
    assert logger.calls == [("info", ("first",))]
    host.unload("test.python")
    write(plugins, source)
    counter = start(host, plugins)
    with pytest.raises(PluginError, match="its manifest does not require it") as caught:
        counter.name()
    assert isinstance(caught.value.__cause__, LifecycleError)


def test_the_configuration_is_checked_and_given(host: Host, plugins: PluginFolder) -> None:
    schema = {"type": "object", "properties": {"start": {"type": "integer", "default": 40}}}
    write(plugins, config=schema)
    host.discover(plugins.root)
    host.load("test.python")
    assert host.get(Counter).add(2) == 42


def test_an_older_plugin_serves_with_what_it_has(plugins: PluginFolder) -> None:
    older = [{"contract": "test.counter", "version": "1.0.0"}]
    write(
        plugins,
        "class Plugin:\n    def __init__(self, context): ...\n    def add(self, amount): return 1\n",
        provides=older,
    )
    with Host(everything_allowed(), contracts=[Counter]) as host:
        counter = start(host, plugins)
        assert counter.add(3) == 1
        with pytest.raises(NotProvided, match=r"test\.counter\.name"):
            counter.name()


def test_a_newer_contract_is_refused(host: Host, plugins: PluginFolder) -> None:
    write(plugins, provides=[{"contract": "test.counter", "version": "1.2.0"}])
    host.discover(plugins.root)
    with pytest.raises(VersionConflict, match="needs a newer contract"):
        host.load("test.python")


def test_what_it_declares_must_be_granted(plugins: PluginFolder) -> None:
    write(plugins, capabilities=["network:connect:443"])
    with Host(Policy(inline=["*"])) as host:
        host.discover(plugins.root)
        with pytest.raises(CapabilityDenied, match="not granted"):
            host.load("test.python")


def test_unloading_runs_fini_and_forgets_its_modules(host: Host, plugins: PluginFolder, logger: Recorder) -> None:
    source = SOURCE.replace("from .helper", "from support.plugins import Logger\nfrom .helper")
    source += (
        "\n    def lb_fini(self):\n        self.context.service(Logger).info('bye')\n        raise OSError('late')\n"
    )
    write(plugins, source, requires=[{"contract": "host.logger"}])
    before = {n for n in sys.modules if n.startswith("_latebind_plugin")}
    start(host, plugins)
    problems = host.unload("test.python")
    assert logger.calls == [("info", ("bye",))]
    assert [str(p) for p in problems] == ["plugin test.python 1.0.0, lb_fini: OSError: late"]
    assert {n for n in sys.modules if n.startswith("_latebind_plugin")} == before
