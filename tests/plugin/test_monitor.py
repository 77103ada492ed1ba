"""A host's statistics as a document, and on its socket: whole, for its user alone, and gone when the host is."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Host, NotFound, SystemFailure
from latebind.plugin import Monitor, monitor, quantile, snapshot
from latebind.plugin.monitor import Watcher, running_hosts, runtime_folder
from support.plugins import Counter, PluginFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of this test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "latebind"


@pytest.fixture
def counted(host: Host, plugins: PluginFolder) -> Host:
    """A host whose counter was called five times, once in vain."""
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    counter = host.get(Counter)
    for amount in (1, 2, 3, 4, -1):
        try:
            counter.add(amount)
        except Exception as e:  # noqa: BLE001 - the fifth is meant to fail
            assert amount == -1, e
    return host


def test_the_document_has_everything_that_is_counted(counted: Host) -> None:
    found: dict[str, Any] = json.loads(json.dumps(snapshot(counted)))
    assert (found["schema"], found["pid"]) == (1, os.getpid())
    [plugin] = found["plugins"]
    assert (plugin["id"], plugin["version"], plugin["state"], plugin["generation"]) == (
        "test.counter",
        "1.0.0",
        "started",
        1,
    )
    [add] = [m for m in plugin["methods"] if m["method"] == "add"]
    assert (add["calls"], add["errors"], add["running"], sum(add["buckets"])) == (5, 1, 0, 5)
    assert add["p50_ns"] <= add["p90_ns"] <= add["p99_ns"]
    assert found["workers"] == {"threads": counted.workers.threads, "running": 0, "waiting": 0, "abandoned": 0}


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([0, 0, 0], 0.5, None),
        ([0, 0, 0, 0, 1], 0.0, 0),
        ([0, 0, 0, 0, 1], 1.0, 32),
        ([0, 0, 0, 0, 4], 0.5, 24),
        ([0, 0, 9, 0, 0, 1], 0.9, 8),
        ([0, 0, 9, 0, 0, 1], 0.95, 48),
        ([10], 0.5, 1),
    ],
)
def test_a_quantile_lies_in_its_bucket(buckets: list[int], share: float, expected: int | None) -> None:
    assert quantile(buckets, share) == expected


def test_a_program_of_the_same_user_can_look(counted: Host, runtime: Path) -> None:
    with Monitor(counted) as served:
        [found] = running_hosts()
        assert (found.pid, found.path) == (os.getpid(), served.path)
        with Watcher(found.path) as watcher:
            for _ in range(3):
                assert watcher.ask()["plugins"][0]["id"] == "test.counter"
    assert running_hosts() == ()
    assert os.listdir(runtime) == []


def test_the_socket_and_its_folder_are_the_users_alone(host: Host, runtime: Path) -> None:
    with Monitor(host) as served:
        assert stat.S_IMODE(os.stat(served.path).st_mode) == 0o600
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700


@pytest.mark.parametrize(("user", "welcome"), [(0, True), (os.geteuid(), True), (os.geteuid() + 1, False)])
def test_the_kernel_says_who_is_on_the_other_side(*, user: int, welcome: bool) -> None:
    class Client:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return struct.pack("3i", 1, user, 1)

    client: Any = Client()
    assert monitor._same_user(client) is welcome


@pytest.mark.usefixtures("runtime")
def test_another_user_is_hung_up_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_same_user", lambda _: False)
    with Monitor(host) as served, Watcher(served.path) as watcher, pytest.raises(NotFound, match="it hung up"):
        watcher.ask()


def test_what_a_killed_process_left_is_removed(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    (runtime / "4194305-1.sock").touch()  # beyond the largest process id that Linux gives
    (runtime / "notes").touch()
    assert running_hosts() == ()
    assert os.listdir(runtime) == ["notes"]


def test_a_folder_that_others_may_write_to_is_not_used(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(SystemFailure, match="not this user's alone"):
        runtime_folder()


def test_nobody_behind_a_path_is_told(tmp_path: Path, host: Host) -> None:
    with pytest.raises(NotFound, match="nobody listens there"):
        Watcher(str(tmp_path / "none"))
    with pytest.raises(SystemFailure):
        Monitor(host, tmp_path / "no" / "folder")


def test_a_client_too_many_is_hung_up_on_and_the_others_stay(host: Host, tmp_path: Path) -> None:
    with Monitor(host, tmp_path / "s") as served:
        watchers = [Watcher(served.path) for _ in range(monitor.CLIENTS)]
        assert all(w.ask()["schema"] == 1 for w in watchers)
        with Watcher(served.path) as one_more, pytest.raises(NotFound, match="it hung up"):
            one_more.ask()
        assert all(w.ask()["schema"] == 1 for w in watchers)
        for watcher in watchers:
            watcher.close()
        wait_for(lambda: not served._clients)
        with Watcher(served.path) as again:
            assert again.ask()["schema"] == 1


def test_closing_hangs_up_and_ends_the_threads(host: Host, tmp_path: Path) -> None:
    served = Monitor(host, tmp_path / "s")
    with Watcher(served.path) as watcher:
        watcher.ask()
        served.close()
        served.close()
        with pytest.raises(NotFound, match="it hung up"):
            watcher.ask()
    wait_for(lambda: not any(t.name.startswith("latebind-monitor") for t in threading.enumerate()))


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)
