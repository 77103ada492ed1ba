"""The audit log: one line of JSON an event, and what happens when it cannot be written."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from latebind import AuditLog, SystemFailure

if TYPE_CHECKING:
    from pathlib import Path


def clock() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


def test_an_event_is_one_line_of_json() -> None:
    lines: list[str] = []
    AuditLog(lines.append, clock).record("load", "a.b", version="1.0.0", why=ValueError("new\nline"))
    assert [json.loads(line) for line in lines] == [
        {
            "time": "2026-01-02T03:04:05.000678+00:00",
            "event": "load",
            "plugin": "a.b",
            "version": "1.0.0",
            "why": "new\nline",
        }
    ]
    assert lines[0].count("\n") == 1


def test_a_file_is_appended_to_by_many_threads_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"event": "earlier"}\n')
    log = AuditLog(path)

    def write() -> None:
        for _ in range(50):
            log.record("call", "a.b", text="x" * 500)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    log.close()
    log.close()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["earlier"] + ["call"] * 200


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    AuditLog(tmp_path / "audit.jsonl").close()
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_lost_lines_are_counted_and_told() -> None:
    lines: list[str] = []
    broken = True

    def sink(line: str) -> None:
        if broken:
            raise ValueError("I/O operation on closed file")
        lines.append(line)

    log = AuditLog(sink)
    log.record("one", "a.b")
    log.record("two", "a.b")
    assert log.lost == 2
    assert log.failure is not None
    broken = False
    log.record("three", "a.b")
    log.record("four", "a.b")
    assert [json.loads(line).get("lost") for line in lines] == [2, None]


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(SystemFailure):
        AuditLog(tmp_path / "nowhere" / "audit.jsonl")
