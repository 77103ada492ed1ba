"""Runs the command on a terminal of its own, as a person does."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

from support.command import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path


def on_terminal(
    *arguments: str | Path, columns: int = 80, environment: dict[str, str] | None = None, only_errors: bool = False
) -> str:
    """What `latebind ARGUMENTS` writes to a terminal of `columns`; `only_errors`: its standard output is a pipe."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS"}}
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if only_errors else slave,
        stderr=slave,
        env={**settings, "TERM": "xterm", **(environment or {})},
    )
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # EIO: the last writer is gone
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    process.wait(30)
    return b"".join(parts).decode().replace("\r\n", "\n")
