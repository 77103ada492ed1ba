"""Reloads of code that cannot be unloaded: it is named before anything is done."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind import Host, LifecycleError
from latebind.plugin import Event, Step
from latebind.plugin.events import CannotUnload, ReloadStep, RolledBack
from support import needs
from support.plugins import Counter, PluginFolder, mapped

if TYPE_CHECKING:
    from pathlib import Path


STAYS = r"""
#include <test_counter.h>
LATEBIND_PLUGIN("test.counter", "1.0.0")
LATEBIND_PROVIDES(test_counter)
struct Held { int64_t sum = 0; ~Held() { sum = -1; } };
thread_local Held held;
extern "C" lb_status test_counter_add(lb_context *, int64_t amount, int64_t *result)
{ *result = held.sum += amount; return LB_OK; }
extern "C" lb_status test_counter_name(lb_context *, lb_str *result) { *result = lb_text("c++"); return LB_OK; }
"""


@pytest.fixture
def thread_local(plugins: PluginFolder) -> PluginFolder:
    """A plugin that keeps a thread_local object with a destructor in every thread that calls it."""
    needs.program("c++", "g++")
    folder = plugins.counter()
    source = folder / "plugin.cc"
    source.write_text(STAYS)
    command: list[str | Path] = [
        "c++",
        "-std=c++17",
        "-O1",
        "-fPIC",
        "-shared",
        f"-I{folder}",
        "-o",
        folder / "plugin.so",
        source,
    ]
    subprocess.run(command, check=True)
    return plugins


def test_what_cannot_be_unloaded_is_named_before_anything_is_done(host: Host, thread_local: PluginFolder) -> None:
    host.discover(thread_local.root)
    host.load("test.counter")
    host.get(Counter).add(1)
    events: list[Event] = []
    host.subscribe(events.append)
    with pytest.raises(LifecycleError, match="its old code would stay in memory: plugin.so: 1 thread_local object"):
        host.reload("test.counter", must_unload=True)
    (named,) = [e for e in events if isinstance(e, CannotUnload)]
    assert "awaits destruction" in named.lasting[0]
    assert [e.step for e in events if isinstance(e, RolledBack)] == [Step.PREFLIGHT]
    assert not [e for e in events if isinstance(e, ReloadStep) and e.step is Step.LOAD]
    assert host.get(Counter).add(1) == 2
    report = host.reload("test.counter")
    assert "thread_local" in report.lasting[0]


UNIQUE = STAYS.replace("struct Held", "inline int &unique() { static int n = 0; return n; }\nstruct Held").replace(
    "thread_local Held held;", "static Held held;"
).replace("held.sum += amount", "held.sum += amount + 0 * unique()++")  # fmt: skip


def test_a_unique_symbol_of_its_own_does_not_keep_a_plugin(host: Host, plugins: PluginFolder) -> None:
    """For glibc it would never be unloaded; in a namespace of its own nobody else is bound to its symbols."""
    needs.program("c++", "g++")
    folder = plugins.counter()
    source = folder / "plugin.cc"
    source.write_text(UNIQUE)
    flags = ["-std=c++17", "-O0", "-fPIC", "-shared", f"-I{folder}"]
    subprocess.run(["c++", *flags, "-o", str(folder / "plugin.so"), str(source)], check=True)
    symbols = subprocess.run(["nm", "-D", str(folder / "plugin.so")], capture_output=True, text=True, check=True).stdout
    assert " u " in symbols
    host.discover(plugins.root)
    host.load("test.counter")
    host.get(Counter).add(1)
    assert host.reload("test.counter", must_unload=True).lasting == ()
    assert len(mapped()) == 1
