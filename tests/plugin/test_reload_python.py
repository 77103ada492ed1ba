"""Reloads of Python plugins: what fails in them rolls back, and no call is lost meanwhile."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from latebind import Host, PluginError
from latebind.plugin import Step
from latebind.plugin.events import RolledBack
from latebind.testing import everything_allowed
from support.plugins import Counter, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Iterator


PYTHON = """
class Plugin:
    def __init__(self, context): {init}
    def find(self, word): return [word, {name!r}]
    def lb_save(self): {save}
    def lb_restore(self, schema, state): {restore}
    def lb_fini(self): {fini}
"""


def python(name: str, **how: str) -> str:
    parts = {"init": "pass", "save": "return b'kept'", "restore": "assert state == b'kept'", "fini": "pass"}
    return PYTHON.format(name=name, **{**parts, **how})


RAISES = "raise RuntimeError('no disk')"
BAD_NEW: dict[str, tuple[str, str, Step]] = {
    "init raises": (python("new", init=RAISES), "__init__: RuntimeError: no disk", Step.LOAD),
    "restore raises": (python("new", restore=RAISES), "lb_restore: RuntimeError: no disk", Step.RESTORE),
    "cannot restore": (python("new").replace("lb_restore", "other"), "cannot take over the state", Step.RESTORE),
    "half a file": (python("new")[:60], "import: SyntaxError", Step.LOAD),
    "exits": (python("new", init="raise SystemExit(3)"), "__init__: SystemExit: 3", Step.LOAD),
}


@pytest.fixture
def words(plugins: PluginFolder) -> Iterator[Host]:
    with Host(everything_allowed(), contracts=[Words]) as host:
        plugins.python("p.a", python("old"), provides=[{"contract": "test.words", "version": "1.0.0"}])
        host.discover(plugins.root)
        host.load("p.a")
        yield host


@pytest.mark.parametrize("name", BAD_NEW)
def test_a_python_plugin_that_fails_is_rolled_back(words: Host, plugins: PluginFolder, name: str) -> None:
    code, what, step = BAD_NEW[name]
    (plugins.root / "p.a" / "work.py").write_text(code)
    modules = set(sys.modules)
    with pytest.raises(PluginError, match=what):
        words.reload("p.a")
    assert [e.step for e in words.events.recent() if isinstance(e, RolledBack)] == [step]
    assert words.get(Words).find("x") == ["x", "old"]
    assert {m for m in set(sys.modules) - modules if m.startswith("_latebind_plugin")} == set()


@pytest.mark.parametrize("save", [RAISES, "return 'text'"])
def test_a_python_plugin_that_cannot_save_goes_on(plugins: PluginFolder, save: str) -> None:
    with Host(everything_allowed(), contracts=[Words]) as host:
        plugins.python("p.a", python("old", save=save), provides=[{"contract": "test.words", "version": "1.0.0"}])
        host.discover(plugins.root)
        host.load("p.a")
        with pytest.raises(PluginError, match="lb_save"):
            host.reload("p.a")
        assert host.get(Words).find("x") == ["x", "old"]


def test_an_old_python_fini_that_fails_is_told_and_the_new_code_serves(plugins: PluginFolder) -> None:
    with Host(everything_allowed(), contracts=[Words]) as host:
        plugins.python("p.a", python("old", fini=RAISES), provides=[{"contract": "test.words", "version": "1.0.0"}])
        host.discover(plugins.root)
        host.load("p.a")
        (plugins.root / "p.a" / "work.py").write_text(python("new"))
        (problem,) = host.reload("p.a").problems
        assert "lb_fini: RuntimeError: no disk" in str(problem)
        assert host.get(Words).find("x") == ["x", "new"]


COUNTS = """
class Plugin:
    def __init__(self, context): self.sum = 0
    def add(self, amount):
        self.sum += amount
        return self.sum
    def name(self): return {name!r}
    def lb_save(self): return str(self.sum).encode()
    def lb_restore(self, schema, state): self.sum = int(state)
"""


def test_every_call_of_a_python_plugin_is_answered_exactly_once_during_reloads(
    host: Host, plugins: PluginFolder
) -> None:
    provides = [{"contract": "test.counter", "version": "1.1.0"}]
    plugins.python("p.counter", COUNTS.format(name="0"), provides=provides)
    host.discover(plugins.root)
    host.load("p.counter")
    counter, stop = host.get(Counter), threading.Event()
    answers: list[list[int]] = [[] for _ in range(4)]

    def call(mine: list[int]) -> None:
        while not stop.is_set():
            mine.append(counter.add(1))

    threads = [threading.Thread(target=call, args=(mine,)) for mine in answers]
    for thread in threads:
        thread.start()
    for turn in range(30):
        plugins.python("p.counter", COUNTS.format(name=str(turn)), provides=provides)
        host.reload("p.counter")
        assert counter.name() == str(turn)
    stop.set()
    for thread in threads:
        thread.join(20)
    total = sorted(n for mine in answers for n in mine)
    assert total == list(range(1, 1 + len(total))), "no call was lost, none answered twice"
    assert counter.add(0) == len(total) > 100
