"""A bar on standard error while many files are read, and only where a person sees it."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_MANY: Final = 16
_INTERVAL: Final = 0.1  # seconds between two drawings
_BAR: Final = 24


def with_progress(files: Sequence[str]) -> Iterator[str]:
    """The files one by one, drawing how far it is. The bar is erased before each file, so reports stay whole."""
    if len(files) < _MANY or not sys.stderr.isatty():
        yield from files
        return
    drawn, next_time = False, time.monotonic() + _INTERVAL
    try:
        for number, file in enumerate(files):
            if drawn and sys.stdout.isatty():
                _write("\r\x1b[K")  # this file's report goes to the same screen
                drawn = False
            if time.monotonic() >= next_time:
                sys.stdout.flush()
                _write("\r" + _bar(number, len(files), file) + "\x1b[K")
                drawn, next_time = True, time.monotonic() + _INTERVAL
            yield file
    finally:
        _write("\r\x1b[K")


def _bar(done: int, total: int, file: str) -> str:
    filled = _BAR * done // total
    text = f"{'━' * filled}{' ' * (_BAR - filled)} {done}/{total} "
    try:
        room = os.get_terminal_size(sys.stderr.fileno()).columns - len(text) - 1
    except OSError:
        room = 40
    return text + os.path.basename(file)[: max(room, 0)]


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
