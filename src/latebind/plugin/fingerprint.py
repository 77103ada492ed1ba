"""Whether a plugin's files have changed since they were looked at: by inode, size and time, without reading them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.plugin.manifest import Manifest

Fingerprint: TypeAlias = frozenset[tuple[str, int, int, int]]
"""(path, inode, size, time of the last change in nanoseconds) of each file."""
Snapshot: TypeAlias = dict[str, tuple[int, int, int]]
"""(inode, size, time of the last change in nanoseconds) of each file, by its path."""


def fingerprint(manifest: Manifest) -> Fingerprint:
    """Of everything that a load would read: the manifest, a native entry with the libraries beside it, or all modules.

    What is not there is not in it.
    """
    return frozenset(_facts(path) for path in files_of(manifest) if os.path.exists(path))


def files_of(manifest: Manifest) -> Iterator[str]:
    """The paths of the files that make up a plugin."""
    yield manifest.path
    if not manifest.is_python:
        yield manifest.entry_path
    for place, folders, names in os.walk(manifest.folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            wanted = not name.endswith(".pyc") if manifest.is_python else is_library(name)
            if wanted:
                yield os.path.join(place, name)


def is_library(name: str) -> bool:
    """Whether a file's name is that of a shared object: `libx.so`, `libx.so.1.2`."""
    return name.endswith(".so") or ".so." in name


def snapshot(folder: str) -> Snapshot:
    """The facts of every file in a folder and below; hidden ones and byte code are left out."""
    found: Snapshot = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith(".pyc"):
                path = os.path.join(place, name)
                with contextlib.suppress(OSError):  # it has just gone
                    facts = os.stat(path)
                    found[path] = facts.st_ino, facts.st_size, facts.st_mtime_ns
    return found


def _facts(path: str) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return path, 0, 0, 0
    return path, found.st_ino, found.st_size, found.st_mtime_ns
