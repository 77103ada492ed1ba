"""The one place that the search reads files through: each file is opened and parsed once in a run.

With a `root` (a sysroot, an unpacked image), every path is looked up below it, and symbolic links are followed as they
would be there: an absolute link in an image means a place in that image, not on this machine.
"""

from __future__ import annotations

import os
import stat

from latebind._core import map_path
from latebind.elf.summary import Ahead, Summary, read_summary
from latebind.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    from latebind._core import FileMapping
    from latebind.elf import Elf
    from latebind.errors import MalformedElf

    Kept = TypeVar("Kept")

_MOST_LINKS = 40  # Linux's own limit on symbolic links in one path (path_resolution(7))


class Files:
    """Opens ELF files below `root` (default: the machine's own root) and remembers them by device and inode."""

    def __init__(self, root: str | None = None) -> None:
        self.root = os.path.abspath(root) if root and os.path.abspath(root) != "/" else None
        self._by_path: dict[str, Summary | NotFound | MalformedElf] = {}
        self._by_identity: dict[tuple[int, int], Summary] = {}
        self._kept: dict[Any, Any] = {}
        self._folders: dict[str, bool] = {}
        self._settings: dict[str, bytes | None] = {}
        self._looked_at: dict[str, os.stat_result | None] = {}
        self._ahead: Ahead | None = None
        self._target: tuple[int, int] | None = None
        self._ahead_into: set[str] = set()

    @property
    def is_native(self) -> bool:
        """Whether this is the running machine's own file system."""
        return self.root is None

    def canonical(self, path: str) -> str:
        """`path` without symbolic links, as it is called inside the root."""
        if self.root is None:
            return self.kept(("canonical", path), lambda: os.path.realpath(path))
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

    def summary(self, path: str) -> Summary:
        """What is to be known of the file at `path`.

        Raises `NotFound`, `MalformedElf` or `SystemFailure`; the first two each time the same.
        """
        found = self.look(path)
        if isinstance(found, Summary):
            return found
        raise found

    def look(self, path: str) -> Summary | NotFound | MalformedElf:
        """The same, but returns `NotFound` and `MalformedElf`: to a search they are answers."""
        known = self._by_path.get(path)
        if known is None:
            known = self._by_path[path] = self._read(self.real(path), path)
        return known

    def _read(self, place: str, path: str) -> Summary | NotFound | MalformedElf:
        if self._target is None:
            return read_summary(place, path, self._by_identity, self._ahead)
        from latebind.elf.reading import read_whole

        return read_whole(place, path, self._by_identity, self._target, self._ahead)

    def read_whole(self, machine: int, page: int) -> None:
        """Have each file open when it was looked at: all are going to be. `machine` has pages of up to `page` bytes."""
        self._target = machine, page

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Have a thread begin to read what `look` will be asked for; worth it for many files."""
        self._ahead = Ahead([self.real(path) for path in paths], self._target)

    def end_reading(self) -> None:
        """End that thread: its work is done, or does not matter any more. None must be left where code is run."""
        if self._ahead is not None:
            self._ahead.stop()

    def expect_in(self, folder: str) -> None:
        """Names that files need lead to this folder: have the thread read what others need from there, too."""
        if self._ahead is not None and folder not in self._ahead_into:
            self._ahead_into.add(folder)
            self._ahead.look_into(self.real(folder))

    def elf(self, path: str) -> Elf:
        """The whole ELF file at `path`; raises what `summary` does."""
        return self.summary(path).elf

    def content(self, path: str) -> memoryview | FileMapping | bytes | None:
        """The bytes of the regular file at `path`; None where it is empty or something else. Raises OSError."""
        known = self._by_path.get(path)
        if self._target is not None and isinstance(known, Summary):
            return known.elf.data  # it is open
        return map_path(self.real(path))[0]

    def add(self, elf: Elf) -> None:
        """Remember a file that was read elsewhere."""
        self._by_path.setdefault(elf.path, elf.summary)
        if elf.identity is not None:
            self._by_identity.setdefault((elf.identity.device, elf.identity.inode), elf.summary)

    def kept(self, key: object, make: Callable[[], Kept]) -> Kept:
        """What `make` returned when it was first asked for `key`: for what the search works out from these files."""
        try:
            value: Kept = self._kept[key]
        except KeyError:
            value = self._kept[key] = make()
        return value

    def evidence(self) -> Iterator[tuple[str, os.stat_result | tuple[int, int, int, int] | None]]:
        """Every path of this machine that was looked at and what was there: what an answer of the search rests on.

        What was there is the identity of a file that was read, else what stat(2) said, or None where nothing was.
        """
        for path, known in self._by_path.items():
            if isinstance(known, Summary):
                yield self.real(path), known.identity
            else:
                yield self.real(path), None if isinstance(known, NotFound) else _look(self.real(path))
        yield from self._looked_at.items()

    def has_folder(self, folder: str) -> bool:
        """Whether `folder` exists; asked once."""
        known = self._folders.get(folder)
        if known is None:
            real = self.real(folder)
            status = self._looked_at[real] = _look(real)
            known = self._folders[folder] = status is not None and stat.S_ISDIR(status.st_mode)
        return known

    def is_setuid(self, path: str) -> bool:
        """Whether the file at `path` has the set-user-ID bit: in secure mode only such objects are preloaded."""
        try:
            return bool(os.stat(self.real(path)).st_mode & stat.S_ISUID)
        except OSError:
            return False

    def setting(self, path: str) -> bytes | None:
        """The text of a small file of settings, read once; None where it is not there or not readable."""
        if path not in self._settings:
            real = self.real(path)
            status = self._looked_at[real] = _look(real)
            self._settings[path] = None if status is None else _read(real)
        return self._settings[path]


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as f:
            return f.readall()
    except OSError:
        return None


def _look(path: str) -> os.stat_result | None:
    """What is at `path` of this machine, or None."""
    try:
        return os.stat(path)
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return None
