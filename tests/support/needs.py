"""What a test needs from the machine: skip, and say which Debian package brings it, where it is missing.

`.ci/run` installs what `make test` needs (tools/system-packages) and turns a skip into a failure.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

import pytest


def program(name: str, package: str) -> str:
    """The path of the program `name`; skips the test where it is missing, naming the Debian `package`."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing; apt install {package}")
    return path


def working(name: str, package: str) -> str:
    """As `program`, for one that can be there without working: a launcher whose tool chain lies in another home.

    The first one on the path that answers `--version` is taken.
    """
    for folder in os.get_exec_path():
        path = shutil.which(name, path=folder)
        if path is not None and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"{name} is missing; apt install {package}")


def library(soname: str, package: str) -> ctypes.CDLL:
    """The system linker's copy of the library `soname`; skips the test where it is missing, naming the `package`."""
    try:
        return ctypes.CDLL(soname)
    except OSError:
        pytest.skip(f"{soname} is missing; apt install {package}")


def header(name: str, package: str) -> None:
    """Skips the test where the machine's C compiler does not find the header `name`, naming the `package`."""
    command = [program("cc", "gcc libc6-dev"), "-E", "-x", "c", "-o", os.devnull, "-"]
    run = subprocess.run(command, input=f"#include <{name}>\n", text=True, capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"{name} is missing; apt install {package}")
