"""A plugin's build command, for source mode: run it, say how it went, and tell what changed.

Builds write into the folder that is watched. So a build counts as settled only when running it again writes nothing
that the run before did not write: an edit that came while it ran is then built too, and its own output is not taken for
an edit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Final

from latebind.errors import BuildFailed, SystemFailure
from latebind.plugin.fingerprint import Snapshot, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL: Final = 0.05  # seconds between two looks at whether the build is to be given up
_SHOWN: Final = 200_000  # characters of what it printed that are kept: the last ones


class Builder:
    """Builds the plugin in `folder` with `command`, a line for the shell.

    `tell` is told of each run: the seconds that it took, and `BuildFailed` with what it printed if it failed.
    """

    def __init__(self, folder: str, command: str, tell: Callable[[float, BuildFailed | None], object]) -> None:
        self.folder, self.command, self._tell = folder, command, tell
        self._stop = threading.Event()
        self._after: Snapshot | None = None
        self._outputs: set[str] = set()

    def needed(self) -> bool:
        """Whether files changed since the last build, other than by it."""
        return self._after is None or snapshot(self.folder) != self._after

    def run(self) -> bool:
        """Build until nothing is left to do. Whether it went well (`stop` makes it false)."""
        written: set[str] = set()
        failed: BuildFailed | None = None
        while True:
            before = snapshot(self.folder)
            seconds, error = self._run()
            self._after = snapshot(self.folder)  # before it is told: who hears of it may edit at once
            is_known = error is not None and failed is not None and str(error) == str(failed)
            if not is_known:
                self._tell(seconds, error)
            failed = error
            changed = differences(before, self._after)
            if self._stop.is_set() or is_known:
                return False
            if changed <= written | self._outputs:
                # Nothing new: what the run before wrote is what a build writes.
                if error is None:
                    self._outputs |= written | changed
                return error is None
            written = changed

    def stop(self) -> None:
        """Give a running build up, and run no other."""
        self._stop.set()

    def _run(self) -> tuple[float, BuildFailed | None]:
        """The seconds that it took, and what went wrong."""
        begun = time.monotonic()
        with tempfile.TemporaryFile() as output:
            try:
                child = subprocess.Popen(
                    ["/bin/sh", "-c", self.command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as e:
                raise SystemFailure("run the build", e.errno or 0, self.folder) from e
            try:
                status = self._wait(child)
            finally:
                _end(child)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")[-_SHOWN:]
        return time.monotonic() - begun, BuildFailed(self.command, status, text) if status else None

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        while True:
            try:
                return child.wait(_POLL)
            except subprocess.TimeoutExpired:
                if self._stop.is_set():
                    _end(child)
                    return child.wait()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:  # not reaped, so the number is still its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def differences(before: Snapshot, after: Snapshot) -> set[str]:
    """The files that came, went or changed."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
