"""Reloads and the store under faults from outside: hosts that are killed, two hosts at once, a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from latebind import Host, SystemFailure
from latebind.plugin import Step
from latebind.testing import everything_allowed
from support import needs
from support.plugins import Counter, Logger, PluginFolder

if TYPE_CHECKING:
    from pathlib import Path

    from latebind.testing import Recorder


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


def test_a_store_that_is_removed_under_a_host_is_made_again(host: Host, counter: Counter) -> None:
    shutil.rmtree(host._store.root)
    host.reload("test.counter")
    assert counter.add(1) == 6
