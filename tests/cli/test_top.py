"""`latebind plugin top`: the report of a running host, once, as documents, and live on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from latebind import Host
from latebind.cli.top import duration, report
from latebind.plugin import Monitor
from latebind.testing import everything_allowed
from latebind.view.look import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "latebind", "plugin", "top"]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    """A host with nothing in it, that can be looked at."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Host(everything_allowed()) as host, Monitor(host) as monitor:
        yield monitor


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_only_host_is_found_and_shown_once(served: Monitor) -> None:
    found = top("--once")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith(f"process {os.getpid()}, 0 of 0 plugins loaded, threads: 0 of ")
    assert top(served.path).stdout.startswith("process ")


def test_json_is_one_document(served: Monitor) -> None:
    found = top("--once", "--json", str(os.getpid()))
    assert served.path
    assert json.loads(found.stdout)["schema"] == 1


def test_several_hosts_are_listed(served: Monitor) -> None:
    with Host(everything_allowed()) as host, Monitor(host) as other:
        found = top("--once")
    assert found.returncode == 2
    assert served.path in found.stderr
    assert other.path in found.stderr


def test_no_host_says_where_one_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = top("--once")
    assert found.returncode == 1
    assert "it does with latebind.plugin.Monitor(host)" in found.stderr


def test_on_a_terminal_it_is_live_until_q(served: Monitor) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, served.path, "--interval", "0.05"], stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        text = read_until(ours, b"threads: 0 of", 3)
        assert text.startswith(b"\x1b[?1049h")
        os.write(ours, b"q")
        assert process.wait(60) == 0
        assert b"\x1b[?1049l" in read_until(ours, b"\x1b[?1049l", 1)
    os.close(ours)


def read_until(terminal: int, text: bytes, times: int) -> bytes:
    received, end = b"", time.monotonic() + 60
    while received.count(text) < times:
        assert time.monotonic() < end, received
        if select.select([terminal], [], [], 1)[0]:
            received += os.read(terminal, 65536)
    return received


def method(name: str, calls: int, errors: int = 0, total_ns: int = 0) -> dict[str, Any]:
    return {"contract": "acme.text", "method": name, "calls": calls, "errors": errors, "running": 1,
            "total_ns": total_ns, "buckets": [], "p50_ns": 1500, "p90_ns": 0, "p99_ns": 2_500_000}  # fmt: skip


def document(seconds: float, *methods: dict[str, Any]) -> dict[str, Any]:
    plugin = {"id": "acme.one", "version": "1.0.0", "state": "started", "reason": "", "generation": 2}
    failed = {"id": "acme.two", "version": "2.0.0", "state": "discovered", "reason": "lb_init:\n no", "generation": 0}
    return {
        "schema": 1, "pid": 7, "monotonic_ns": int(seconds * 1e9), "audit": {"lost": 3},
        "workers": {"threads": 4, "running": 2, "waiting": 5, "abandoned": 1},
        "plugins": [{**plugin, "methods": list(methods)}, {**failed, "methods": []}],
        "events": [{"time": "2026-11-28T01:02:03.456+00:00", "event": "Failed", "plugin": "acme.two", "text": "no"}],
    }  # fmt: skip


def test_the_report_has_rates_since_the_last_look() -> None:
    before = document(10, method("count", 100, total_ns=10**9), method("find", 5))
    now = document(12, method("count", 300, 1, 2 * 10**9), method("find", 1005))
    lost = "3 lines of the audit log lost"
    assert list(report(now, before, "calls", PLAIN)) == [
        f"process 7, 1 of 2 plugins loaded, threads: 2 of 4 in calls (1 abandoned), 5 calls waiting, {lost}",
        "",
        "PLUGIN    METHOD           CALLS  CALLS/S  ERRORS  RUNNING     MEAN     P50     P99  BUSY",
        "acme.one  acme.text.find    1005      500       0        1     0 ns  1.5 us  2.5 ms    0%",
        "acme.one  acme.text.count    300      100       1        1  6.67 ms  1.5 us  2.5 ms   50%",
        "",
        "PLUGIN    VERSION  STATE       WHY",
        "acme.two  2.0.0    discovered  lb_init: no",
        "",
        "TIME          PLUGIN    EVENT",
        "01:02:03.456  acme.two  Failed  no",
    ]


@pytest.mark.parametrize(
    ("sort", "first"), [("calls", "find"), ("errors", "count"), ("time", "count"), ("name", "count")]
)
def test_it_can_be_sorted(sort: str, first: str) -> None:
    lines = list(report(document(1, method("count", 1, 1, 5), method("find", 2)), None, sort, PLAIN))
    assert lines[3].split()[1] == f"acme.text.{first}"
    assert lines[3].split()[3] == "-"


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (None, "-"),
        (0, "0 ns"),
        (1234, "1.23 us"),
        (999_400, "999 us"),
        (999_600, "1 ms"),
        (4 * 10**12, "4000 s"),
    ],
)
def test_durations_have_three_digits(nanoseconds: int | None, expected: str) -> None:
    assert duration(nanoseconds) == expected
