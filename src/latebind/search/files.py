"""The one place that the search reads files through: each file is opened and parsed once in a run.

With a `root` (a sysroot, an unpacked image), every path is looked up below it.
"""

from __future__ import annotations

import os
from functools import cached_property

from latebind.elf import Elf, read
from latebind.errors import LatebindError, MalformedElf, NotFound


class Files:
    """Opens ELF files below `root` (default: the machine's own root) and remembers them by device and inode."""

    def __init__(self, root: str | None = None) -> None:
        self.root = os.path.normpath(root) if root else None
        self._by_path: dict[str, Elf | LatebindError] = {}
        self._by_identity: dict[tuple[int, int], Elf] = {}
        self._folders: dict[str, bool] = {}

    def real(self, path: str) -> str:
        """Where `path` really is: below the root, where there is one."""
        return self.root + path if self.root and path.startswith("/") else path

    def elf(self, path: str) -> Elf:
        """The ELF file at `path`. Raises `NotFound`, `MalformedElf` or `SystemFailure`, each time the same."""
        known = self._by_path.get(path)
        if known is None:
            known = self._by_path[path] = self._open(path)
        if isinstance(known, LatebindError):
            raise known
        return known

    def _open(self, path: str) -> Elf | LatebindError:
        try:
            status = os.stat(self.real(path))
        except OSError:
            return NotFound(path)
        if (status.st_dev, status.st_ino) in self._by_identity:
            return self._by_identity[status.st_dev, status.st_ino]
        try:
            elf = read(self.real(path), name=path)
        except (NotFound, MalformedElf) as e:
            return e
        self._by_identity[status.st_dev, status.st_ino] = elf
        return elf

    def add(self, elf: Elf) -> None:
        """Remember a file that was read elsewhere."""
        self._by_path.setdefault(elf.path, elf)
        if elf.identity is not None:
            self._by_identity.setdefault((elf.identity.device, elf.identity.inode), elf)

    def has_folder(self, folder: str) -> bool:
        """Whether `folder` exists; asked once."""
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = os.path.isdir(self.real(folder))
        return known

    def bytes(self, path: str) -> bytes | None:
        """A whole file, or None where it is not there or not readable."""
        try:
            with open(self.real(path), "rb") as f:
                return f.read()
        except OSError:
            return None

    @cached_property
    def is_native(self) -> bool:
        """Whether this is the running machine's own file system."""
        return self.root is None
