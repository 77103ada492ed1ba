"""The one place that the search reads files through: each file is opened and parsed once in a run.

With a `root` (a sysroot, an unpacked image), every path is looked up below it, and symbolic links are followed as they
would be there: an absolute link in an image means a place in that image, not on this machine.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from latebind.elf import Elf, read
from latebind.errors import LatebindError, MalformedElf, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_LINKS = 40  # Linux's own limit on symbolic links in one path (path_resolution(7))


class Files:
    """Opens ELF files below `root` (default: the machine's own root) and remembers them by device and inode."""

    def __init__(self, root: str | None = None) -> None:
        self.root = os.path.abspath(root) if root and os.path.abspath(root) != "/" else None
        self._by_path: dict[str, Elf | LatebindError] = {}
        self._by_identity: dict[tuple[int, int], Elf] = {}
        self._folders: dict[str, bool] = {}
        self._settings: dict[str, bytes | None] = {}
        self._seen: dict[str, os.stat_result | None] = {}

    @property
    def is_native(self) -> bool:
        """Whether this is the running machine's own file system."""
        return self.root is None

    def canonical(self, path: str) -> str:
        """`path` without symbolic links, as it is called inside the root."""
        if self.root is None:
            return os.path.realpath(path)
        done, pending, links = "", [p for p in reversed(path.split("/")) if p], 0
        while pending:
            part = pending.pop()
            if part in {".", ".."}:
                done = done if part == "." else done.rpartition("/")[0]
                continue
            here = f"{done}/{part}"
            try:
                target = os.readlink(self.root + here)
            except OSError:
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return path
            if target.startswith("/"):
                done = ""
            pending += [p for p in reversed(target.split("/")) if p]
        return done or "/"

    def real(self, path: str) -> str:
        """Where `path` lies on this machine: below the root, where there is one."""
        return path if self.root is None else self.root + self.canonical(path)

    @property
    def seen(self) -> Mapping[str, os.stat_result | None]:
        """Every path that was looked at, with what was there (None: nothing): what an answer of the search rests on."""
        return self._seen

    def _look(self, path: str) -> os.stat_result | None:
        """What is at `path` (of this machine); remembered in `seen`."""
        if path not in self._seen:
            try:
                self._seen[path] = os.stat(path)
            except (OSError, ValueError):  # ValueError: a zero byte in the path
                self._seen[path] = None
        return self._seen[path]

    def elf(self, path: str) -> Elf:
        """The ELF file at `path`. Raises `NotFound`, `MalformedElf` or `SystemFailure`, each time the same."""
        known = self._by_path.get(path)
        if known is None:
            known = self._by_path[path] = self._open(path)
        if isinstance(known, LatebindError):
            raise known
        return known

    def _open(self, path: str) -> Elf | LatebindError:
        real = self.real(path)
        status = self._look(real)
        if status is None:
            return NotFound(path)
        if not stat.S_ISREG(status.st_mode):
            return MalformedElf(path, None, "not a regular file")
        if (status.st_dev, status.st_ino) in self._by_identity:
            return self._by_identity[status.st_dev, status.st_ino]
        try:
            elf = read(real, name=path)
        except (NotFound, MalformedElf) as e:
            return e
        self._by_identity[status.st_dev, status.st_ino] = elf
        return elf

    def add(self, elf: Elf) -> None:
        """Remember a file that was read elsewhere. It counts as seen when it is looked for by its path."""
        self._by_path.setdefault(elf.path, elf)
        if elf.identity is not None:
            self._by_identity.setdefault((elf.identity.device, elf.identity.inode), elf)

    def has_folder(self, folder: str) -> bool:
        """Whether `folder` exists; asked once."""
        known = self._folders.get(folder)
        if known is None:
            status = self._look(self.real(folder))
            known = self._folders[folder] = status is not None and stat.S_ISDIR(status.st_mode)
        return known

    def is_setuid(self, path: str) -> bool:
        """Whether the file at `path` has the set-user-ID bit: in secure mode only such objects are preloaded."""
        status = self._look(self.real(path))
        return status is not None and bool(status.st_mode & stat.S_ISUID)

    def setting(self, path: str) -> bytes | None:
        """The text of a small file of settings, read once; None where it is not there or not readable."""
        if path not in self._settings:
            self._look(self.real(path))
            try:
                with open(self.real(path), "rb") as f:
                    self._settings[path] = f.read()
            except OSError:
                self._settings[path] = None
        return self._settings[path]
