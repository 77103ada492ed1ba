"""Hot reload: the state moves, calls go on, and every way in which it can fail rolls back."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from latebind import (
    CapabilityDenied,
    ContractError,
    DependencyCycle,
    Host,
    LatebindError,
    LifecycleError,
    MalformedElf,
    ManifestError,
    NotFound,
    PluginError,
    PluginTimeout,
    UnresolvedSymbol,
    VersionConflict,
    contract,
)
from latebind.testing import everything_allowed
from support.plugins import COUNTER, MANIFEST, Counter, PluginFolder, Words, mapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_new_code_takes_over_the_state(
    host: Host, plugins: PluginFolder, counter: Counter, log: list[dict[str, Any]]
) -> None:
    plugins.counter('-DVERSION="1.1.0"', '-DNAME="second"', version="1.1.0")
    report = host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("second", 6)
    assert (report.old, report.new, report.generation, report.state) == (
        "test.counter 1.0.0",
        "test.counter 1.1.0",
        2,
        8,
    )
    assert 0 < report.held < 1
    assert (report.lasting, report.problems) == ((), ())
    assert len(mapped()) == 1
    assert [s.manifest.version.minor for s in host.plugins()] == [1]
    assert (log[-1]["event"], log[-1]["state"], log[-1]["generation"]) == ("reload", 8, 2)


def test_the_same_file_can_be_reloaded(host: Host, counter: Counter) -> None:
    assert host.reload("test.counter").generation == 2
    assert host.reload("test.counter").generation == 3
    assert counter.add(1) == 6


def test_a_file_overwritten_in_place_does_not_touch_what_runs(plugins: PluginFolder, counter: Counter) -> None:
    with open(plugins.root / "test.counter" / "plugin.so", "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.write(b"\xcc" * size)  # int3
    assert counter.add(1) == 6


def test_without_lb_save_there_is_no_state(host: Host, plugins: PluginFolder) -> None:
    source = COUNTER.replace("lb_status lb_save", "lb_status other_save")
    source = source.replace(
        "static int64_t sum;", "static int64_t sum; lb_status other_save(lb_context *, uint32_t *, lb_bytes *);"
    )
    plugins.add("test.counter", source, **MANIFEST)
    host.discover(plugins.root)
    host.load("test.counter")
    assert host.get(Counter).add(5) == 5
    assert host.reload("test.counter").state is None
    assert host.get(Counter).add(1) == 1


def truncate(folder: Path) -> None:
    whole = (folder / "plugin.so").read_bytes()
    (folder / "plugin.so").write_bytes(whole[: len(whole) // 2])


def empty(folder: Path) -> None:
    (folder / "plugin.so").write_bytes(b"")


def spoil_manifest(folder: Path) -> None:
    (folder / "plugin.yaml").write_text("id: test.counter\nversion: 1\n")


def rebuild(*flags: str, **manifest: Any) -> Callable[[PluginFolder], None]:
    def make(plugins: PluginFolder) -> None:
        plugins.counter('-DNAME="broken"', *flags, **manifest)

    return make


def spoil(how: Callable[[Path], None]) -> Callable[[PluginFolder], None]:
    def make(plugins: PluginFolder) -> None:
        how(plugins.counter('-DNAME="broken"'))

    return make


def add_source(text: str) -> Callable[[PluginFolder], None]:
    def make(plugins: PluginFolder) -> None:
        plugins.add("test.counter", COUNTER + text, **MANIFEST)

    return make


FAULTS: dict[str, tuple[Callable[[PluginFolder], None], type[LatebindError], str, str]] = {
    "truncated": (spoil(truncate), MalformedElf, "plugin.so", "check and load beside"),
    "empty": (spoil(empty), MalformedElf, "empty", "check and load beside"),
    "gone": (spoil(lambda f: (f / "plugin.so").unlink()), NotFound, "plugin.so", "check and load beside"),
    "manifest gone": (spoil(lambda f: (f / "plugin.yaml").unlink()), NotFound, "plugin.yaml", "read the manifest"),
    "manifest broken": (spoil(spoil_manifest), ManifestError, "2 problems", "read the manifest"),
    "another plugin": (rebuild(id="test.other"), LifecycleError, "now the manifest of test.other", "resolve"),
    "missing export": (rebuild("-DNO_ADD"), ContractError, "does not export test_counter_add", "check and load beside"),
    "no note": (rebuild("-DNO_NOTE"), ContractError, "no plugin note", "check and load beside"),
    "contract version": (
        rebuild(provides=[{"contract": "test.counter", "version": "2.0.0"}]), ContractError,
        "was compiled against 1.1.0", "check and load beside",
    ),
    "contract dropped": (rebuild(provides=[]), VersionConflict, "no longer provides test.counter", "resolve"),
    "new requirement": (rebuild(requires=[{"plugin": "no.such"}]), NotFound, "no.such", "resolve"),
    "capability": (
        add_source('#include <stdlib.h>\nint go(void); int go(void) { return system("true"); }'), CapabilityDenied,
        "import of system", "check and load beside",
    ),
    "unresolved": (
        add_source("int nowhere(void); int go(void); int go(void) { return nowhere(); }"), UnresolvedSymbol, "nowhere",
        "check and load beside",
    ),
    "init fails": (rebuild('-DINIT=lb_fail(ctx,"no disk")'), PluginError, "lb_init: no disk", "check and load beside"),
    "no restore": (rebuild("-DNO_RESTORE"), PluginError, "cannot take over the state", "restore"),
    "restore fails": (rebuild('-DRESTORE=lb_fail(ctx,"too old")'), PluginError, "lb_restore: too old", "restore"),
    "restore lies": (rebuild("-DRESTORE=42"), PluginError, "unknown status 42", "restore"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_build_is_rolled_back_with_the_state_kept(
    host: Host, plugins: PluginFolder, counter: Counter, log: list[dict[str, Any]], name: str
) -> None:
    make, error, what, step = FAULTS[name]
    make(plugins)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(error, match=what):
        host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("first", 6), "the old generation serves on with its state"
    assert len(mapped()) == 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert (log[-1]["event"], log[-1]["step"]) == ("rollback", step)
    plugins.counter('-DNAME="third"')
    host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("third", 7), "and a good build is taken afterwards"


def test_a_save_that_fails_is_rolled_back(host: Host, plugins: PluginFolder) -> None:
    plugins.counter('-DSAVE=lb_fail(ctx,"no room")')
    host.discover(plugins.root)
    host.load("test.counter")
    counter = host.get(Counter)
    counter.add(5)
    plugins.counter('-DNAME="second"')
    with pytest.raises(PluginError, match="lb_save: no room"):
        host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("first", 6)
    assert len(mapped()) == 1


def test_a_schema_that_the_manifest_does_not_promise_is_rolled_back(host: Host, plugins: PluginFolder) -> None:
    plugins.counter(state={"schema": 7})
    host.discover(plugins.root)
    host.load("test.counter")
    host.get(Counter).add(5)
    with pytest.raises(PluginError, match="saved state of schema 1, its manifest says 7"):
        host.reload("test.counter")
    assert host.get(Counter).add(1) == 6


def test_an_old_fini_that_fails_does_not_stop_the_reload(host: Host, plugins: PluginFolder) -> None:
    plugins.counter('-DFINI=lb_fail(ctx,"still busy")')
    host.discover(plugins.root)
    host.load("test.counter")
    host.get(Counter).add(5)
    plugins.counter('-DNAME="second"')
    report = host.reload("test.counter")
    assert [str(p) for p in report.problems] == ["plugin test.counter 1.0.0, lb_fini: still busy"]
    assert (host.get(Counter).name(), host.get(Counter).add(1)) == ("second", 6)
    assert len(mapped()) == 1


def test_what_cannot_be_unloaded_is_named(host: Host, plugins: PluginFolder, counter: Counter) -> None:
    plugins.counter('-DNAME="second"', "-Wl,-z,nodelete")
    assert host.reload("test.counter").lasting == ()
    plugins.counter('-DNAME="third"')
    assert host.reload("test.counter").lasting == ("plugin.so: it is marked as never to be unloaded (DF_1_NODELETE)",)
    assert (counter.name(), counter.add(1)) == ("third", 6)


def test_what_is_not_loaded_cannot_be_reloaded(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    with pytest.raises(LifecycleError, match="it is not loaded"):
        host.reload("test.counter")


def test_every_call_is_answered_exactly_once_during_fifty_reloads(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    """Four threads add 1 all the time. Each sum must be answered to one call, with none left out."""
    folder = plugins.counter('-DNAME="odd"')
    odd = (folder / "plugin.so").read_bytes()
    even = (plugins.counter('-DNAME="even"') / "plugin.so").read_bytes()
    stop, answers, failures = threading.Event(), [[] for _ in range(4)], []  # type: tuple[threading.Event, list[list[int]], list[Exception]]

    def call(mine: list[int]) -> None:
        try:
            while not stop.is_set():
                mine.append(counter.add(1))
        except Exception as e:  # noqa: BLE001 - told below
            failures.append(e)

    threads = [threading.Thread(target=call, args=(mine,)) for mine in answers]
    for t in threads:
        t.start()
    names, done = [], []
    for turn in range(50):
        (folder / "plugin.so").write_bytes(odd if turn % 2 else even)
        host.reload("test.counter")
        names.append(counter.name())
        done.append(sum(map(len, answers)))
    stop.set()
    for t in threads:
        t.join(20)
    assert failures == []
    assert names == ["even", "odd"] * 25
    total = sorted(n for mine in answers for n in mine)
    assert total == list(range(6, 6 + len(total))), "no call was lost, none answered twice"
    assert counter.add(0) == 5 + len(total)
    assert done[-1] > done[0] > 0, "calls went on in between"
    assert len(mapped()) == 1


WAITS = r"""
#include "test_waits.h"
LATEBIND_PLUGIN("test.waits", "1.0.0")
LATEBIND_PROVIDES(test_waits)
#ifdef CALLS_BACK
#include "host_logger.h"
lb_status test_waits_wait(lb_context *ctx, lb_list_u8 flag)
{
    (void)flag;
    return host_logger_info(ctx, lb_text("inside"));
}
#else
lb_status test_waits_wait(lb_context *ctx, lb_list_u8 flag)
{
    (void)ctx;
    while (!*(const volatile uint8_t *)flag.data)
        ;
    return LB_OK;
}
#endif
"""


def waits_contract() -> Any:
    from latebind import UInt8

    names: dict[str, Any] = {"Protocol": Protocol, "contract": contract, "UInt8": UInt8}
    text = "@contract('test.waits', version='1.0.0')\nclass Waits(Protocol):\n"
    text += "    def wait(self, flag: list[UInt8]) -> None: ...\n"
    exec(text, names)  # noqa: S102 - our own text
    return names["Waits"]


def test_a_reload_waits_for_running_calls_and_gives_up_in_time(host: Host, plugins: PluginFolder) -> None:
    waits = waits_contract()
    provides = [{"contract": "test.waits", "version": "1.0.0"}]
    plugins.add("test.waits", WAITS, contracts=(waits,), provides=provides)
    host.discover(plugins.root)
    host.load("test.waits")
    proxy, flag = host.get(waits), bytearray(1)
    thread = threading.Thread(target=proxy.wait, args=(flag,))
    thread.start()
    while not host._slots["test.waits"].gate.inside:
        time.sleep(0.001)
    with pytest.raises(PluginTimeout):
        host.reload("test.waits", timeout=0.05)
    with pytest.raises(PluginTimeout):
        host.unload("test.waits", timeout=0.05)
    assert host.plugins()[0].generation == 1
    threading.Timer(0.1, flag.__setitem__, (0, 1)).start()
    assert host.reload("test.waits").generation > 1
    thread.join()
    proxy.wait(flag)


def test_a_plugin_cannot_be_reloaded_from_within_its_own_call(plugins: PluginFolder) -> None:
    waits = waits_contract()

    class Reloads:
        def info(self, text: str) -> None:
            assert text == "inside"
            host.reload("test.waits")

    from support.plugins import Logger

    provides, requires = [{"contract": "test.waits", "version": "1.0.0"}], [{"contract": "host.logger"}]
    plugins.add("test.waits", WAITS, flags=("-DCALLS_BACK",), contracts=(waits,), provides=provides, requires=requires)
    with Host(everything_allowed(), {Logger: Reloads()}) as host:
        host.discover(plugins.root)
        host.load("test.waits")
        with pytest.raises(PluginError, match="would wait for itself") as caught:
            host.get(waits).wait([1])
        assert isinstance(caught.value.__cause__, LifecycleError)


def test_a_reload_that_would_close_a_circle_is_refused(plugins: PluginFolder) -> None:
    words = "class Plugin:\n    def __init__(self, context): ...\n    def find(self, word): return [word]\n"
    plugins.python("p.used", words, provides=[{"contract": "test.words", "version": "1.0.0"}])
    user = {"provides": [{"contract": "host.logger", "version": "1.0.0"}], "requires": [{"contract": "test.words"}]}
    plugins.python(
        "p.user", "class Plugin:\n    def __init__(self, context): ...\n    def info(self, text): ...\n", **user
    )
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.user")
        plugins.python(
            "p.used", words, provides=[{"contract": "test.words", "version": "1.0.0"}], requires=[{"plugin": "p.user"}]
        )
        with pytest.raises(DependencyCycle):
            host.reload("p.used")
        assert host.get(Words).find("x") == ["x"]
