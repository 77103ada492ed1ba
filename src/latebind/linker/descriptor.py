"""Loading from an open file descriptor: what was opened is loaded, whatever a path leads to by now.

Where the descriptor's file still has its name, the name is used, so that `$ORIGIN`, the library's `path` and the
recognition of a file that is loaded already work. An unnamed one (memfd_create(2), O_TMPFILE, deleted, or opened by
another process and passed on) is read from the descriptor.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from latebind._core import FileMapping
from latebind.elf import Elf, read
from latebind.errors import LatebindError, SystemFailure

if TYPE_CHECKING:
    from latebind.search import Files


def read_descriptor(fd: int, files: Files) -> Elf:
    """The ELF file that is open as `fd`. Raises `SystemFailure` or `MalformedElf`."""
    try:
        wanted = os.fstat(fd)
        path = os.readlink(f"/proc/self/fd/{fd}")
    except OSError as e:
        raise SystemFailure("fstat", e.errno or 0, f"descriptor {fd}") from e
    try:
        named = files.elf(path)
    except LatebindError:
        named = None
    if named is not None and named.identity is not None and named.identity[:2] == (wanted.st_dev, wanted.st_ino):
        return named
    try:
        data = memoryview(FileMapping(fd))
    except OSError as e:
        raise SystemFailure("mmap", e.errno or 0, f"descriptor {fd} ({path})") from e
    return read(data, name=path)
