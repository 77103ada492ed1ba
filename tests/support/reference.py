"""Runs the tools that latebind prints like, and holds both answers side by side."""

from __future__ import annotations

import io
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from latebind.compat.output import Output
from support import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Answer(NamedTuple):
    """What a tool printed, on both streams, and its exit status."""

    out: str
    errors: str
    status: int


def reference(tool: str, package: str, *arguments: str | Path, folder: Path | None = None) -> Answer:
    """The answer of the real `tool`, which Debian's `package` brings."""
    path = needs.program(tool, package)
    command = [tool, *map(str, arguments)]  # its messages start with the name by which it was called
    run = subprocess.run(command, executable=path, capture_output=True, check=False, cwd=folder, encoding="latin-1")
    # BFD's plugins have something to say about broken files that is not the tool's own.
    return Answer(re.sub(r"(?m)^bfd plugin: .*\n", "", run.stdout), run.stderr, run.returncode)


def ours(tool: str, run: Callable[[Output], int]) -> Answer:
    """The answer of `run`, which writes as `tool` does."""
    out, errors = io.BytesIO(), io.BytesIO()
    status = run(Output(tool, out, errors))
    return Answer(out.getvalue().decode("latin-1"), errors.getvalue().decode("latin-1"), status)
