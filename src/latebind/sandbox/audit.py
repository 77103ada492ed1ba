"""The audit log: one line of JSON for each thing that happened to a plugin.

Each line has `time` (UTC, ISO 8601), `event` and `plugin`, and what the event adds. Writing must never undo what it
reports (a full disk during a reload), so a line that cannot be written is counted, and the next line that can says
how many were lost.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, Final, TypeAlias

from latebind.errors import SystemFailure

Sink: TypeAlias = Callable[[str], object]
"""Takes one line, with its newline."""
KEPT: Final = 5
"""How many files that were rotated away are kept, unless told otherwise."""


class AuditLog:
    """Writes events to a file by its path, to a file object, or to a function that takes lines. Without any to nowhere.

    A file by its path is appended to, each line with one write(2), so several processes may share it; it is made with
    mode 0600. With `rotate` it becomes `PATH.1` before it would grow beyond so many bytes, `PATH.1` becomes `PATH.2`,
    and so on up to `PATH.<keep>`. Where somebody else moves it away (logrotate), the next line begins a new one.

    A line is with the kernel when `record` returns: the end of this process does not lose it, a power failure may. With
    `fsync` it is on the disk, which takes as long as the disk does. What cannot be written (a full disk, a pipe that
    nobody reads) is never waited for: it is counted in `lost`, and the next line that can be written says so. Only
    a file object or function of the host's own can take its time.

    `now` is the clock, for tests. A file that cannot be opened raises `SystemFailure` at once; ValueError for numbers
    that make no sense.
    """

    def __init__(
        self,
        to: str | os.PathLike[str] | Sink | IO[Any] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        rotate: int | None = None,
        keep: int = KEPT,
        fsync: bool = False,
    ) -> None:
        if (rotate is not None and rotate < 1) or keep < 0:
            raise ValueError(
                f"expected a size of at least a byte and no negative number of files, not {rotate}, {keep}"
            )
        self._now = now
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._sink: Sink | None = None
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self.failure: Exception | None = None
        """Why the last lost line was lost."""
        if callable(to):
            self._sink = to
        elif isinstance(to, str | os.PathLike):
            self._file = _File(os.fspath(to), rotate, keep, fsync=fsync)
        elif to is not None:
            self._sink = _writer(to)

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
            self._file.write(line.encode())

    def close(self) -> None:
        """Close the file, if it was opened here. More than once does no harm."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


class _File:
    """A file that lines are appended to, by its path."""

    def __init__(self, path: str, rotate: int | None, keep: int, *, fsync: bool) -> None:
        self._path, self._rotate, self._keep, self._fsync = path, rotate, keep, fsync
        self._file = _open(path)
        self._torn = _ends_within_a_line(path)

    def write(self, line: bytes) -> None:
        """Append a line. OSError where that cannot be done."""
        self._follow(len(line))
        if self._torn:  # half a line stands there; this one is to be whole for whoever reads
            line = b"\n" + line
        # One write of a whole line to a file opened for appending: lines of several processes do not mix.
        rest = line
        while rest:
            count = os.write(self._file, rest)
            rest = rest[count:]
            self._torn = bool(rest)
        if self._fsync:
            os.fsync(self._file)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _follow(self, size: int) -> None:
        """Open the file anew if it is another one by now, and rotate it if `size` more bytes would be too many."""
        mine = os.fstat(self._file)
        if not stat.S_ISREG(mine.st_mode):
            return
        if not self._is_there(mine):
            self._reopen()
            mine = os.fstat(self._file)
        if self._rotate is None or not mine.st_size or mine.st_size + size <= self._rotate:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process is at it; the next line goes to the new file
        if self._is_there(mine):  # nobody was faster
            for number in range(self._keep, 1, -1):
                if os.path.exists(before := f"{self._path}.{number - 1}"):
                    os.replace(before, f"{self._path}.{number}")
            if self._keep:
                os.replace(self._path, f"{self._path}.1")
            else:
                os.unlink(self._path)
        self._reopen()

    def _is_there(self, mine: os.stat_result) -> bool:
        try:
            return os.path.samestat(mine, os.stat(self._path))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        new = os.open(self._path, _FLAGS, 0o600)
        os.close(self._file)  # which lets go of the lock, too
        self._file, self._torn = new, False


# Without O_NONBLOCK a pipe that nobody reads would make the host wait; regular files do not know it (open(2)).
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS, 0o600)
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, path) from e


def _ends_within_a_line(path: str) -> bool:
    """Whether a file's last line is half a one, which a full disk or a power failure may have left."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except PermissionError:  # a log that this process may only append to
        return False


def _writer(file: IO[Any]) -> Sink:
    """What writes lines to a file object, of text or of bytes."""
    binary = isinstance(file, io.RawIOBase | io.BufferedIOBase)

    def write(line: str) -> None:
        file.write(line.encode() if binary else line)
        file.flush()

    return write
