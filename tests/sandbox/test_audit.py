"""The audit log: one line of JSON an event, and what happens when it cannot be written."""

from __future__ import annotations

import io
import json
import os
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


def test_a_full_disk_is_survived_and_counted() -> None:
    log = AuditLog("/dev/full")
    log.record("one", "a.b")
    log.record("two", "a.b")
    assert log.lost == 2
    assert isinstance(log.failure, OSError)
    log.close()


def test_a_pipe_that_nobody_empties_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = AuditLog(tmp_path / "pipe")
    for _ in range(100):
        log.record("call", "a.b", text="x" * 4000)
    assert log.lost > 0
    received = os.read(reader, 1 << 20)
    log.record("last", "a.b")
    received += os.read(reader, 1 << 20)
    last = json.loads(received.splitlines()[-1])
    assert (last["event"], last["lost"] > 0) == ("last", True)
    log.close()
    os.close(reader)


def test_half_a_line_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"event": "whole"}\n{"event": "ha')
    log = AuditLog(path)
    log.record("next", "a.b")
    log.close()
    lines = path.read_text().splitlines()
    assert lines[1] == '{"event": "ha'
    assert json.loads(lines[2])["event"] == "next"


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_file_is_rotated_before_it_grows_too_large(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, clock, rotate=200, keep=2)
    for number in range(9):
        log.record(str(number), "a.b")
    log.close()
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert [events(tmp_path / name) for name in files] == [["8"], ["6", "7"], ["4", "5"]]
    assert all(p.stat().st_size <= 200 for p in tmp_path.iterdir())


def test_without_kept_files_a_rotation_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, rotate=100, keep=0)
    for number in range(5):
        log.record(str(number), "a.b")
    log.close()
    assert [p.name for p in tmp_path.iterdir()] == ["audit.jsonl"]
    assert events(path) == ["4"]


def test_two_logs_on_one_file_lose_nothing_when_one_rotates(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    logs = [AuditLog(path, rotate=300, keep=100) for _ in range(2)]

    def write(log: AuditLog) -> None:
        for number in range(40):
            log.record(str(number), "a.b")

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    assert sorted(int(e) for p in tmp_path.iterdir() for e in events(p)) == sorted([*range(40)] * 2)


def test_what_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.record("one", "a.b")
    path.rename(tmp_path / "archive")
    log.record("two", "a.b")
    log.close()
    assert (events(tmp_path / "archive"), events(path)) == (["one"], ["two"])


def test_each_line_can_be_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = AuditLog(tmp_path / "audit.jsonl", fsync=True)
    log.record("one", "a.b")
    log.record("two", "a.b")
    log.close()
    assert len(synced) == 2


@pytest.mark.parametrize("file", [io.StringIO(), io.BytesIO()])
def test_a_file_object_is_written_to_and_left_open(file: io.StringIO | io.BytesIO) -> None:
    log = AuditLog(file)
    log.record("one", "a.b")
    log.close()
    assert json.loads(file.getvalue())["event"] == "one"


@pytest.mark.parametrize(("rotate", "keep"), [(0, 5), (100, -1)])
def test_numbers_that_make_no_sense_are_refused(rotate: int, keep: int) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        AuditLog(rotate=rotate, keep=keep)
