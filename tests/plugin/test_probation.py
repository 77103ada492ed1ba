"""Probation: new code is tried in a process of its own, and what fails there never reaches the host."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import (
    ContractError,
    Host,
    LifecycleError,
    PluginError,
    PluginTimeout,
    Policy,
    UnresolvedSymbol,
    Unsupported,
    contract,
)
from latebind.contracts import contract_of, layout_digest
from latebind.plugin import Event, Step, TimeLimits
from latebind.plugin.events import ProbationPassed, RolledBack
from latebind.plugin.portable import as_class, pack, unpack
from latebind.testing import Recorder, everything_allowed
from support.plugins import COUNTER, MANIFEST, Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Callable


SELFTEST = "lb_status lb_selftest(lb_context *ctx)\n{\n    %s\n}\n"


def test_good_code_passes_and_serves(host: Host, plugins: PluginFolder, counter: Counter, logger: Recorder) -> None:
    events: list[Event] = []
    host.subscribe(events.append)
    says = 'host_logger_info(ctx, lb_text("testing")); return LB_OK;'
    requires = [{"contract": "host.logger"}]
    plugins.add("test.counter", COUNTER + SELFTEST % says, **MANIFEST, requires=requires)
    host.reload("test.counter", probation=True)
    assert counter.add(1) == 6
    (passed,) = [e for e in events if isinstance(e, ProbationPassed)]
    assert (passed.selftest, passed.inconclusive) == (True, "")
    assert logger.calls == [], "its services there were not the host's"


FAULTS: dict[str, tuple[Callable[[PluginFolder], object], str]] = {
    "crashes in init": (
        lambda p: p.counter("-DINIT=(__builtin_trap(),LB_OK)"), r"start: the process was ended by SIG(ILL|TRAP)",
    ),
    "ends the process": (
        lambda p: p.add(
            "test.counter", "#include <stdlib.h>\n" + COUNTER, flags=("-DINIT=(exit(3),LB_OK)",), **MANIFEST,
            capabilities=["process:execute:/x"],
        ),
        r"start: the process ended with exit status 3",
    ),
    "init fails": (lambda p: p.counter('-DINIT=lb_fail(ctx,"no disk")'), "lb_init: no disk"),
    "fini fails": (lambda p: p.counter('-DFINI=lb_fail(ctx,"busy")'), "lb_fini: busy"),
    "self-test fails": (
        lambda p: p.add("test.counter", COUNTER + SELFTEST % 'return lb_fail(ctx, "2 + 2 is 5");', **MANIFEST),
        "lb_selftest: 2 . 2 is 5",
    ),
    "crashes in its self-test": (
        lambda p: p.add("test.counter", COUNTER + SELFTEST % "(void)ctx; __builtin_trap();", **MANIFEST),
        r"lb_selftest: the process was ended by SIG(ILL|TRAP)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_bad_code_is_refused_and_the_host_serves_on(
    host: Host, plugins: PluginFolder, counter: Counter, name: str
) -> None:
    make, what = FAULTS[name]
    make(plugins)
    events: list[Event] = []
    host.subscribe(events.append)
    with pytest.raises(PluginError, match=what) as caught:
        host.reload("test.counter", probation=True)
    assert "the host's was not touched" in caught.value.__notes__[0]
    assert [e.step for e in events if isinstance(e, RolledBack)] == [Step.PROBATION]
    assert (counter.name(), counter.add(1)) == ("first", 6)


def test_what_is_refused_before_it_runs_is_refused_with_the_same_error(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    plugins.counter("-DNO_ADD")
    with pytest.raises(ContractError, match="does not export test_counter_add") as caught:
        host.reload("test.counter", probation=True)
    assert (caught.value.contract, caught.value.method) == ("test.counter", "add")
    assert counter.add(1) == 6


def test_a_symbol_that_is_nowhere_is_told_with_all_its_facts(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    text = COUNTER + '\nextern void strlem(void); __attribute__((visibility("default"))) void use(void) { strlem(); }'
    plugins.add("test.counter", text, **MANIFEST)
    with pytest.raises(UnresolvedSymbol) as caught:
        host.reload("test.counter", probation=True)
    error = caught.value
    assert (error.symbol, error.version) == ("strlem", None)
    assert error.referrer is not None
    assert isinstance(error.near, tuple)
    assert "undefined symbol strlem" in str(error)
    assert counter.add(1) == 6


def test_what_hangs_is_ended_with_all_that_it_started(plugins: PluginFolder, logger: Recorder) -> None:
    limits = TimeLimits(probation=3.0)
    with Host(everything_allowed(), {Logger: logger}, contracts=[Words], limits=limits) as host:
        good = "class Plugin:\n    def __init__(self, context): pass\n    def find(self, word): return [word]\n"
        plugins.python("p.a", good, provides=[{"contract": "test.words", "version": "1.0.0"}])
        host.discover(plugins.root)
        host.load("p.a")
        told = plugins.root / "pid"
        hangs = (
            "import subprocess, time\nclass Plugin:\n    def __init__(self, context):\n"
            "        child = subprocess.Popen(['sleep', '60'])\n"
            f"        open({str(told)!r}, 'w').write(str(child.pid))\n"
            "        time.sleep(60)\n"
        )
        plugins.python("p.a", hangs, provides=[{"contract": "test.words", "version": "1.0.0"}])
        with pytest.raises(PluginTimeout, match=r"probation waited 3 s for (start|load) to return"):
            host.reload("p.a", probation=True)
        assert host.get(Words).find("x") == ["x"]
        if told.exists():  # else this machine took longer to start Python
            state = _state(int(told.read_text()))
            assert state in {"", "Z", "X"}, "nothing that it started is left"


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


@contract("test.settings", version="1.0.0")
class Settings(Protocol):
    """What the host knows."""

    def get(self, name: str) -> str:
        """A setting."""
        ...


def test_a_failure_over_an_invented_answer_is_not_held_against_it(plugins: PluginFolder) -> None:
    source = COUNTER.replace('#include "host_logger.h"', '#include "host_logger.h"\n#include "test_settings.h"')
    source = source.replace("(void)ctx, (void)config;\n    return INIT;", (
        "lb_str place; (void)config;\n"
        '    if (test_settings_get(ctx, lb_text("place"), &place) != LB_OK || !place.size)\n'
        '        return lb_fail(ctx, "no place");\n    return LB_OK;'
    ))  # fmt: skip
    document = {**MANIFEST, "requires": [{"contract": "test.settings"}]}
    plugins.add("test.counter", source, contracts=(Settings,), **document)
    events: list[Event] = []
    with Host(everything_allowed(), {Settings: Recorder(Settings, get="here")}, contracts=[Counter]) as host:
        host.subscribe(events.append)
        host.discover(plugins.root)
        host.load("test.counter")
        host.reload("test.counter", probation=True)
    (passed,) = [e for e in events if isinstance(e, ProbationPassed)]
    assert "lb_init: no place; but the stand-in for test.settings.get had to invent an answer" in passed.inconclusive


def test_files_that_change_during_the_trial_are_not_taken(host: Host, plugins: PluginFolder, counter: Counter) -> None:
    plugins.counter('-DNAME="second"')

    def change(event: Event) -> None:
        if isinstance(event, ProbationPassed):
            plugins.counter('-DNAME="third"')

    with host.subscribe(change), pytest.raises(LifecycleError, match="changed while they were tried out"):
        host.reload("test.counter", probation=True)
    assert counter.name() == "first"
    host.reload("test.counter", probation=True)
    assert counter.name() == "third"


class Colour(enum.Enum):
    """A colour."""

    RED = "r"
    BLUE = "b"


@dataclass(frozen=True)
class Point:
    """A point."""

    x: int
    colour: Colour = Colour.BLUE


@contract("test.points", version="1.2.0")
class Points(Protocol):
    """Points."""

    def move(self, point: Point, by: int = 3, colour: Colour = Colour.RED) -> list[Point]:
        """Move it."""
        ...

    def known(self) -> bool:
        """Has a default body."""
        return True


def test_a_contract_arrives_elsewhere_as_what_it_is() -> None:
    made = contract_of(Points)
    (other,) = unpack(pack([made]))
    assert (other.id, other.version, layout_digest(other)) == (made.id, made.version, layout_digest(made))
    move, known = other.methods
    record = move.parameters[0].kind
    assert record.cls is not Point  # type: ignore[union-attr]
    assert [m.name for m in move.parameters[2].kind.cls] == ["RED", "BLUE"]  # type: ignore[union-attr]
    assert move.parameters[2].default.value == "r"  # type: ignore[attr-defined]
    assert record.make([1, None]).x == 1  # type: ignore[union-attr]
    with pytest.raises(NotImplementedError):
        known.body(None)  # type: ignore[misc]
    assert contract_of(as_class(other)) is other


def children() -> set[str]:
    """The processes that this one's threads have started and that are not waited for yet."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_a_trial_leaves_no_descriptor_and_no_process(host: Host, plugins: PluginFolder, counter: Counter) -> None:
    plugins.counter('-DNAME="second"')
    before, running = len(os.listdir("/proc/self/fd")), children()
    host.reload("test.counter", probation=True)
    assert len(os.listdir("/proc/self/fd")) == before
    assert counter.name() == "second"
    assert children() <= running


@dataclass(frozen=True)
class Odd:
    """Holds what no other process can be given."""

    text: str = "odd"

    def __reduce__(self) -> Any:
        raise TypeError("cannot be copied")


@contract("test.odd", version="1.0.0")
class OddThings(Protocol):
    """Odd things."""

    def see(self, odd: Odd = Odd()) -> None:
        """Look at one."""
        ...


@pytest.mark.parametrize("odd", [False, True])
def test_a_policy_of_any_mapping_goes_over_and_what_cannot_is_said(plugins: PluginFolder, *, odd: bool) -> None:
    plugins.python("p.a", "class Plugin:\n    def __init__(self, context): pass\n")
    policy = Policy(grants=MappingProxyType({"p.*": ["threads"]}), inline=("p.*",))
    with Host(policy, contracts=[OddThings] if odd else []) as host:
        host.discover(plugins.root)
        host.load("p.a")
        if odd:
            with pytest.raises(Unsupported, match="cannot be told to another process: cannot be copied"):
                host.reload("p.a", probation=True)
        else:
            assert host.reload("p.a", probation=True).generation == 2
