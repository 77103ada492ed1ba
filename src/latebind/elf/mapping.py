"""A file's bytes in memory, for readers that do not want `elf.read`'s errors."""

from __future__ import annotations

import os

from latebind._core import FileMapping


def map_file(path: str) -> memoryview:
    """The bytes of the regular, non-empty file at `path`; raises OSError where it cannot be mapped."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return memoryview(FileMapping(fd))
    finally:
        os.close(fd)
