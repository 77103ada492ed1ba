"""The audit log: one line of JSON for each thing that happened to a plugin.

Each line has `time` (UTC, ISO 8601), `event` and `plugin`, and what the event adds. Writing must never undo what it
reports (a full disk during a reload), so a line that cannot be written is counted, and the next line that can says
how many were lost.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from latebind.errors import SystemFailure

Sink: TypeAlias = Callable[[str], object]
"""Takes one line, with its newline."""


class AuditLog:
    """Writes events to a file, which is appended to, or to a function that takes lines. Without either to nowhere.

    `now` is the clock, for tests. A file that cannot be opened raises `SystemFailure` at once.
    """

    def __init__(
        self, to: str | os.PathLike[str] | Sink | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._file: int | None = None
        self._sink: Sink | None = None
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self.failure: Exception | None = None
        """Why the last lost line was lost."""
        if callable(to):
            self._sink = to
        elif to is not None:
            self._file = _open(os.fspath(to))

    def record(self, event: str, plugin: str, **fields: object) -> None:
        """Write one line. Values that JSON does not know are written as their text."""
        if self._file is None and self._sink is None:
            return
        with self._lock:
            entry: dict[str, object] = {"time": self._now().isoformat(timespec="microseconds"), "event": event}
            entry |= {"plugin": plugin, **fields}
            if self.lost:
                entry["lost"] = self.lost
            try:
                self._write(json.dumps(entry, default=str, ensure_ascii=True) + "\n")
            except Exception as e:  # noqa: BLE001 - a sink is the host's code and may fail in any way
                self.lost += 1
                self.failure = e
            else:
                self.lost = 0

    def _write(self, line: str) -> None:
        if self._sink is not None:
            self._sink(line)
        elif self._file is not None:
            # One write of a whole line to a file opened for appending: lines of several processes do not mix.
            data = line.encode()
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Close the file, if there is one. More than once does no harm."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, path) from e
