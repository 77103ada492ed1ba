"""Reloads that are interrupted at every step, and files that change while they are read, or in vain."""

from __future__ import annotations

import pytest

from latebind import Host, PluginError
from latebind.plugin import Event, Step
from latebind.plugin.events import ReloadStep
from latebind.testing import everything_allowed
from support.plugins import Counter, PluginFolder, Words, mapped

STEPS = [s for s in Step if s is not Step.PROBATION]


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_at_any_step_leaves_exactly_one_generation_with_the_state(
    host: Host, plugins: PluginFolder, counter: Counter, step: Step
) -> None:
    plugins.counter('-DNAME="second"', '-DVERSION="1.0.1"', version="1.0.1")

    def interrupt(event: Event) -> None:
        if isinstance(event, ReloadStep) and event.step is step:
            raise KeyboardInterrupt

    with host.subscribe(interrupt), pytest.raises(KeyboardInterrupt):
        host.reload("test.counter")
    (status,) = [s for s in host.plugins() if s.id == "test.counter"]
    switched = step is Step.UNLOAD
    assert (counter.name(), counter.add(1)) == ("second" if switched else "first", 6)
    assert status.version == ("1.0.1" if switched else "1.0.0")
    assert len(mapped()) == 1
    host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("second", 7)
    assert len(mapped()) == 1


def test_replaced_twice_in_a_row_the_last_one_serves(host: Host, plugins: PluginFolder, counter: Counter) -> None:
    third = (plugins.counter('-DNAME="third"') / "plugin.so").read_bytes()
    plugins.counter('-DNAME="second"')

    def replace(event: Event) -> None:
        if isinstance(event, ReloadStep) and event.step is Step.LOAD and counter.name() == "first":
            (plugins.root / "test.counter" / "plugin.so").write_bytes(third)

    with host.subscribe(replace):
        host.reload("test.counter")
        assert host.changed("test.counter") or counter.name() == "third"
        host.reload_changed()
    assert (counter.name(), counter.add(1)) == ("third", 6)
    assert not host.changed("test.counter")


def test_files_that_were_tried_in_vain_are_no_change(host: Host, plugins: PluginFolder, counter: Counter) -> None:
    plugins.counter('-DINIT=lb_fail(ctx,"no disk")')
    assert host.changed("test.counter")
    (failed,) = host.reload_changed()
    assert isinstance(failed, PluginError)
    assert host.reload_changed() == ()
    plugins.counter('-DNAME="good"')
    (report,) = host.reload_changed()
    assert not isinstance(report, Exception)
    assert counter.name() == "good"


def test_a_broken_manifest_is_no_change_either_once_it_was_tried(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    (plugins.root / "test.counter" / "plugin.yaml").write_text("id: test.counter\n")
    assert len(host.reload_changed()) == 1
    assert host.reload_changed() == ()
    assert counter.name() == "first"


def test_changes_are_reloaded_in_the_order_of_requirements(plugins: PluginFolder) -> None:
    words = "class Plugin:\n    def __init__(self, context): pass\n    def find(self, word): return [word, {n}]\n"
    provides = [{"contract": "test.words", "version": "1.0.0"}]
    requires = [{"contract": "test.words"}]
    plugins.python("p.z", words.format(n="'1'"), provides=provides)
    plugins.python("p.a", words.format(n="'1'"), requires=requires)
    steps: list[str] = []
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.a")
        host.subscribe(lambda e: steps.append(e.plugin) if isinstance(e, ReloadStep) and e.step is Step.READ else None)
        plugins.python("p.a", words.format(n="'2'"), requires=requires)
        plugins.python("p.z", words.format(n="'2'"), provides=provides)
        assert len(host.reload_changed()) == 2
    assert steps == ["p.z", "p.a"]
