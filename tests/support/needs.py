"""What a test needs from the machine: skip, and say which Debian package brings it, where it is missing.

`.ci/run` installs all of them (tools/system-packages) and turns a skip into a failure.
"""

from __future__ import annotations

import shutil

import pytest


def program(name: str, package: str) -> str:
    """The path of the program `name`; skips the test where it is missing, naming the Debian `package`."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing; apt install {package}")
    return path
