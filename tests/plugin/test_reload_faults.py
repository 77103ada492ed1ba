"""Reloads under faults from outside: killed at every step, interrupted at every step, a full disk, changing files."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Host, PluginError, SystemFailure
from latebind.plugin import Event, Step
from latebind.plugin.events import CannotUnload, ReloadStep, RolledBack
from latebind.testing import everything_allowed
from support import needs
from support.plugins import COUNTER, MANIFEST, Counter, Logger, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from latebind.testing import Recorder

STEPS = [s for s in Step if s is not Step.PROBATION]


@pytest.fixture
def counter(host: Host, plugins: PluginFolder) -> Counter:
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    found = host.get(Counter)
    found.add(5)
    return found


def mapped() -> int:
    gc.collect()
    with open("/proc/self/maps") as maps:
        return len({line.split()[-1] for line in maps if line.rstrip().endswith("/plugin.so")})


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
    assert mapped() == 1
    host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("second", 7)
    assert mapped() == 1


KILLED = """
import json, os, signal, sys
sys.path[:] = json.loads(sys.argv[1])
root, store, steps, step = sys.argv[2], sys.argv[3], [], sys.argv[4]
from latebind import Host
from latebind.plugin.events import ReloadStep
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger
host = Host(everything_allowed(), {Logger: Recorder(Logger)}, contracts=[Counter], store=store)
host.discover(root)
host.load("test.counter")
counter = host.get(Counter)
counter.add(5)
print(counter.name(), flush=True)
def kill(event):
    if isinstance(event, ReloadStep) and event.step == step:
        os.kill(os.getpid(), signal.SIGKILL)
host.subscribe(kill)
os.rename(root + "/test.counter/next.so", root + "/test.counter/plugin.so")
os.rename(root + "/test.counter/next-libx.so", root + "/test.counter/libx.so")
if step == "copy":  # in the middle of writing to the store
    real, left = os.write, [int(sys.argv[5])]
    def write(fd, data):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(fd, data[:1000])
    os.write = write
if step == "link":
    os.link = os.symlink = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
host.reload("test.counter", probation=step == "probation")
print("survived", counter.name(), flush=True)
"""


def prepare(plugins: PluginFolder) -> Path:
    """The counter with a library beside it, and the next build of both."""
    folder = plugins.counter('-DNAME="next"')
    (folder / "plugin.so").rename(folder / "next.so")
    command = [needs.program("cc", "gcc libc6-dev"), "-shared", "-fPIC", "-xc", "-", "-o"]
    for name, answer in (("libx.so", 1), ("next-libx.so", 2)):
        text = f"int x(void); int x(void) {{ return {answer}; }}"
        subprocess.run([*command, str(folder / name)], input=text, text=True, check=True)
    return plugins.counter()


def run_killed(plugins: PluginFolder, store: Path, step: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, json.dumps(sys.path), str(plugins.root), str(store), step, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def check_started_again(plugins: PluginFolder, store: Path, logger: Recorder, expected: set[str]) -> None:
    """A host on the same store loads what is there, and finds nothing unfinished."""
    with Host(everything_allowed(), {Logger: logger}, contracts=[Counter], store=store) as host:
        assert not [name for name in os.listdir(store) if name.startswith("draft")]
        host.discover(plugins.root)
        host.load("test.counter")
        counter = host.get(Counter)
        assert counter.name() in expected
        assert counter.add(1) == 1
        host.reload("test.counter")
        assert counter.add(1) == 2
    for name in os.listdir(store):  # every copy is what its name says
        for file in (store / name).iterdir():
            if not name.startswith("set-"):
                import hashlib

                assert hashlib.sha256(file.read_bytes()).hexdigest() == name


KILLS = [str(s) for s in Step] + ["copy 0", "copy 1", "copy 5", "copy 20", "link"]
QUICK = {"save", "copy 5", "link"}


@pytest.mark.parametrize("at", [pytest.param(k, marks=() if k in QUICK else pytest.mark.slow) for k in KILLS])
def test_a_host_that_is_killed_in_a_reload_starts_again_on_a_whole_store(
    plugins: PluginFolder, tmp_path: Path, logger: Recorder, at: str
) -> None:
    prepare(plugins)
    store = tmp_path / "store"
    step = at.split(maxsplit=1)[0] if at.startswith("copy") else at
    run = run_killed(plugins, store, step, at.rpartition(" ")[2])
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "first\n"), run.stderr
    check_started_again(plugins, store, logger, {"next"})


@pytest.mark.slow
def test_a_host_that_is_killed_at_any_moment_starts_again_on_a_whole_store(
    plugins: PluginFolder, tmp_path: Path, logger: Recorder
) -> None:
    """Killed from outside at forty moments spread over its whole life."""
    import random
    import time

    dice = random.Random(6)
    store = tmp_path / "store"
    for _ in range(40):
        prepare(plugins)
        command = [sys.executable, "-c", KILLED, json.dumps(sys.path), str(plugins.root), str(store), "never"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(dice.uniform(0, 0.02))
        child.kill()
        child.communicate()
        check_started_again(plugins, store, logger, {"first", "next"})


def test_two_hosts_on_one_store_reload_the_same_plugin_without_harm(
    plugins: PluginFolder, tmp_path: Path, logger: Recorder
) -> None:
    prepare(plugins)
    builds = [(plugins.root / "test.counter" / name).read_bytes() for name in ("plugin.so", "next.so")]
    hosts = [
        Host(everything_allowed(), {Logger: logger}, contracts=[Counter], store=tmp_path / "store") for _ in range(2)
    ]
    try:
        for host in hosts:
            host.discover(plugins.root)
            host.load("test.counter")
        counters = [host.get(Counter) for host in hosts]
        for turn in range(6):
            (plugins.root / "test.counter" / "plugin.so").write_bytes(builds[turn % 2])
            hosts[turn // 2 % 2].reload("test.counter")
            assert [c.add(1) for c in counters] == [turn + 1, turn + 1]
        hosts[0].close()
        assert counters[1].add(1) == 7, "the other one's store is not its own to remove"
    finally:
        for host in hosts:
            host.close()


def test_a_full_disk_in_a_reload_is_rolled_back(
    host: Host, plugins: PluginFolder, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    plugins.counter('-DNAME="second"')
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if f"{host._store.root}/" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SystemFailure, match="No space left on device") as caught:
        host.reload("test.counter")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert (counter.name(), counter.add(1)) == ("first", 6)
    assert not [name for name in os.listdir(host._store.root) if name.startswith("draft")]
    host.reload("test.counter")
    assert (counter.name(), counter.add(1)) == ("second", 7)


TINY = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from latebind import SystemFailure
from latebind.plugin.store import Store
store = Store(sys.argv[2])
print(store.put_file(sys.argv[3]).sha256)
for turn in range(2):
    try:
        store.put_file(sys.argv[4])
    except SystemFailure as e:
        print(e.errno, sorted(n for n in os.listdir(store.root) if n.startswith("draft")))
print(store.put_file(sys.argv[3]).sha256)
"""


def test_a_file_system_that_is_really_full_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    unshare, mount = needs.program("unshare", "util-linux"), needs.program("mount", "mount")
    (tmp_path / "small.so").write_bytes(b"1" * 10_000)
    (tmp_path / "large.so").write_bytes(b"2" * 1_000_000)
    (tmp_path / "disk").mkdir()
    script = f'{mount} -t tmpfs -o size=256k none "$1" && shift && exec "$@"'
    command: list[str | Path] = [
        unshare, "-r", "-m", "sh", "-c", script, "sh", tmp_path / "disk", sys.executable, "-c", TINY,
        json.dumps(sys.path), tmp_path / "disk" / "store", tmp_path / "small.so", tmp_path / "large.so",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    first, *failed, last = run.stdout.splitlines()
    assert failed == ["28 []", "28 []"]
    assert first == last


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


# State of an older schema.

MIGRATES = r"""
#undef RESTORE
lb_status lb_restore(lb_context *ctx, uint32_t schema, lb_bytes state)
{
    struct { int64_t sum, calls; } now;
    if (schema == 1 && state.size == sizeof now.sum) {  /* the first schema had the sum alone */
        now.sum = *(const int64_t *)(const void *)state.data;
        now.calls = -1;
    } else {
        return lb_fail(ctx, "schema %u is not known", (unsigned)schema);
    }
    sum = now.sum * 100;
    return LB_OK;
}
"""


def test_a_native_plugin_takes_over_the_state_of_an_older_schema(
    host: Host, plugins: PluginFolder, counter: Counter
) -> None:
    source = COUNTER.replace("*schema = 1;", "*schema = 2;") + MIGRATES
    changes: dict[str, Any] = {**MANIFEST, "version": "2.0.0", "state": {"schema": 2}}
    plugins.add("test.counter", source, flags=("-DNO_RESTORE", '-DVERSION="2.0.0"'), **changes)
    host.reload("test.counter")
    assert counter.add(1) == 501
    with pytest.raises(PluginError, match="schema 2 is not known"):
        host.reload("test.counter")  # this build cannot read what it writes itself
    assert counter.add(1) == 502


def test_a_python_plugin_takes_over_the_state_of_an_older_schema(plugins: PluginFolder) -> None:
    code = """
class Plugin:
    def __init__(self, context): self.known = {{}}
    def find(self, word):
        self.known[word] = self.known.get(word, 0) + 1
        return [f"{{w}}:{{n}}" for w, n in sorted(self.known.items())]
    def lb_save(self): return {save}
    def lb_restore(self, schema, state):
        {restore}
"""
    provides = [{"contract": "test.words", "version": "1.0.0"}]
    first = code.format(save="','.join(sorted(self.known)).encode()", restore="pass")
    plugins.python("p.a", first, provides=provides, state={"schema": 1})
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.a")
        words = host.get(Words)
        words.find("b")
        second = code.format(
            save="__import__('json').dumps(self.known).encode()",
            restore=(
                "import json\n"
                "        self.known = {w: 10 for w in state.decode().split(',')} if schema == 1 else json.loads(state)"
            ),
        )
        plugins.python("p.a", second, provides=provides, state={"schema": 2}, version="2.0.0")
        host.reload("p.a")
        assert words.find("a") == ["a:1", "b:10"]
        host.reload("p.a")
        assert words.find("a") == ["a:2", "b:10"]


# Python plugins that fail.

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


# What cannot be unloaded.

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
    from latebind import LifecycleError

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
    assert mapped() == 1


def test_a_store_that_is_removed_under_a_host_is_made_again(host: Host, counter: Counter) -> None:
    import shutil

    shutil.rmtree(host._store.root)
    host.reload("test.counter")
    assert counter.add(1) == 6
