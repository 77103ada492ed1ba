"""Runs the command `latebind` as a user would: the installed program, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "latebind")


def latebind(
    *arguments: str | Path, text: str = "", environment: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `latebind ARGUMENTS` with `text` on standard input and `environment` added to this process's."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=60,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
