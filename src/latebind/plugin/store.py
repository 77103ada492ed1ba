"""The store: a plugin's files under the hash of their contents, so that what is loaded never changes underneath.

A build that overwrites a file in place would pull the code away from under the running generation, and the linker
would see the same inode with other contents. So a file is copied first, and everything after looks at the copy.

Several processes share one store, and any of them may be killed at any moment: what has a hash for its name was renamed
there when it was whole, and is read once more before it is used; what is unfinished is called a draft, and goes when
nobody is at work (writers share a lock on the folder). A host holds a lock on each copy that it runs; what nobody runs
and nobody asked for in a week goes when the next host starts.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from latebind.errors import NotFound, SystemFailure, Tried
from latebind.plugin.fingerprint import is_library, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CHUNK: Final = 1 << 20
_DRAFT: Final = "draft-"
_NAME: Final = re.compile(r"(set-|tree-)?[0-9a-f]{64}")
_UNUSED: Final = 7 * 24 * 3600.0
"""Seconds after which a copy goes that no host runs."""
_TRIES: Final = 3
"""How often a file is read that changes while it is read."""
_ALWAYS_WRITTEN: Final = "copy to the store: it is being written all the time"


@dataclass(frozen=True, slots=True)
class Stored:
    """A copy in the store: its `path`, and the SHA-256 of its contents in hexadecimal digits.

    Of a native plugin these are the entry's; `folder` is then where the copies lie as in the plugin's folder, `files`
    their hashes by their path there, and `whole` a hash of all of them together.
    """

    path: str
    sha256: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""


class Store:
    """A folder of copies. Without a `root` it is a private temporary folder that `close` removes."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self._temporary = root is None
        try:
            self.root = tempfile.mkdtemp(prefix="latebind-") if root is None else os.path.abspath(os.fspath(root))
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        except OSError as e:
            raise SystemFailure("mkdir", e.errno or 0, os.fspath(root or tempfile.gettempdir())) from e
        # Libraries beside an entry seldom change: the facts of a file and of its copy, and the copy.
        self._unchanged: dict[str, tuple[_Facts, _Facts, Stored]] = {}
        if not self._temporary:
            self._tidy()

    def put_file(self, path: str) -> Stored:
        """Copy one file. Raises `NotFound`, or `SystemFailure` (the store stays as it was)."""
        try:
            with self._at_work():
                return self._put_file(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as e:
            raise NotFound(path, None, (Tried(path, "is no file"),)) from e
        except OSError as e:
            raise SystemFailure("copy to the store", e.errno or 0, path) from e

    def put_plugin(self, folder: str, entry: str) -> Stored:
        """Copy a native plugin's entry, and the shared objects in its folder, each to the same place in the copy.

        So $ORIGIN means the same to the copies, and what is opened at run time is a copy too. Raises as `put_file`.
        """
        stored = self.put_file(os.path.join(folder, entry))
        entry = os.path.normpath(entry)
        beside = [name for name in _libraries(folder) if name != entry]
        if not beside:
            return Stored(
                stored.path, stored.sha256, os.path.dirname(stored.path), {entry: stored.sha256}, stored.sha256
            )
        try:
            with self._at_work():
                return self._put_set(folder, entry, stored, beside)
        except OSError as e:
            raise SystemFailure("copy to the store", e.errno or 0, e.filename or folder) from e

    def put_tree(self, folder: str) -> Stored:
        """Copy a folder, without byte code. Raises `SystemFailure` (the store stays as it was)."""
        try:
            with self._at_work():
                return self._put_tree(folder)
        except OSError as e:
            raise SystemFailure("copy to the store", e.errno or 0, folder) from e

    def keep(self, stored: Stored, user: object) -> None:
        """Keep a copy as long as `user` (what was loaded from it) exists, whatever other hosts tidy away."""
        if not self._temporary:
            fd = _lock(stored.folder, fcntl.LOCK_SH)
            if fd is not None:
                weakref.finalize(user, os.close, fd)

    def close(self) -> None:
        """Remove the folder if it is temporary. More than once does no harm."""
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """While there are drafts of ours, nobody takes them for left over."""
        if not os.path.isdir(self.root):  # whoever tidies /tmp may have removed it
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        fd = _lock(self.root, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if fd is not None:
                os.close(fd)

    def _tidy(self) -> None:
        """Remove the drafts of processes that were killed and what nobody uses; if somebody is at work, later."""
        fd = _lock(self.root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if fd is None:
            return
        try:
            for name in os.listdir(self.root):
                path = os.path.join(self.root, name)
                if name.startswith(_DRAFT) or (_NAME.fullmatch(name) and _is_unused(path)):
                    _remove(path)
        except OSError:  # not ours to look at or remove: it takes room and does no other harm
            return
        finally:
            os.close(fd)

    def _put_file(self, path: str) -> Stored:
        fd, draft = tempfile.mkstemp(prefix=_DRAFT, dir=self.root)
        try:
            with open(fd, "wb") as target, open(path, "rb") as source:
                sha256 = _copy(source.fileno(), target.fileno(), path)
            os.chmod(draft, 0o400)
            folder = os.path.join(self.root, sha256)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            final = os.path.join(folder, os.path.basename(path))
            os.utime(folder)
            if not _holds(final, sha256):
                os.replace(draft, final)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)
        return Stored(final, sha256, folder, whole=sha256)

    def _put_set(self, folder: str, entry: str, stored: Stored, beside: list[str]) -> Stored:
        """A folder of the entry and what lies beside it, linked to the store's copies of them."""
        parts, links = {entry: stored}, {}
        for name in beside:
            path = os.path.join(folder, name)
            target = _link_within(folder, name)
            if target is not None:
                links[name] = target
            else:
                parts[name] = self._put_unchanged(path)
        files = {name: part.sha256 for name, part in parts.items()}
        named = sorted([*files.items(), *((name, f"-> {target}") for name, target in links.items())])
        whole = hashlib.sha256(repr(named).encode("utf-8", "surrogateescape")).hexdigest()
        final = os.path.join(self.root, f"set-{whole}")

        def is_whole() -> bool:
            return all(_same(os.path.join(final, name), part.path) for name, part in parts.items()) and all(
                os.path.islink(os.path.join(final, name)) for name in links
            )

        if not is_whole():
            with self._draft() as draft:
                copy = os.path.join(draft, "set")
                for name, part in parts.items():
                    _link(part.path, os.path.join(copy, name))
                for name, target in links.items():
                    os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
                    os.symlink(target, os.path.join(copy, name))
                _settle(copy, final, is_whole)
        os.utime(final)
        return Stored(os.path.join(final, entry), stored.sha256, final, files, whole)

    def _put_unchanged(self, path: str) -> Stored:
        """`_put_file`, but for a file that has not changed since, nor its copy: by inode, size and times."""
        facts, known = _facts(path), self._unchanged.get(path)
        there = known is not None and os.path.exists(known[2].path)
        if known is not None and there and known[:2] == (facts, _facts(known[2].path)):
            return known[2]
        stored = self._put_file(path)
        self._unchanged[path] = facts, _facts(stored.path), stored
        return stored

    def _put_tree(self, folder: str) -> Stored:
        with self._draft() as draft:
            copy = os.path.join(draft, "tree")
            for _ in range(_TRIES):
                before = snapshot(folder)
                _copy_tree(folder, copy)
                if snapshot(folder) == before:
                    break
                shutil.rmtree(copy)
            else:
                raise SystemFailure(_ALWAYS_WRITTEN, 0, folder)
            sha256 = _tree_digest(copy)
            final = os.path.join(self.root, "tree-" + sha256)
            _settle(copy, final, lambda: _tree_digest(final) == sha256)
            os.utime(final)
        return Stored(final, sha256, final, whole=sha256)

    @contextmanager
    def _draft(self) -> Iterator[str]:
        draft = tempfile.mkdtemp(prefix=_DRAFT, dir=self.root)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _lock(folder: str, how: int) -> int | None:
    """A descriptor that holds a lock on a folder until it is closed; None where it is not to be had.

    A file system without locks gives none to anybody, so nobody tidies there either.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
    except OSError:
        os.close(fd)
        return None
    return fd


def _is_unused(folder: str) -> bool:
    """Whether a copy was not asked for lately, and nobody runs it."""
    if time.time() - os.stat(folder).st_mtime < _UNUSED:
        return False
    fd = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if fd is None:
        return False
    os.close(fd)
    return True


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


_Facts = tuple[int, int, int, int, int]


def _facts(path: str) -> _Facts:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _copy(source: int, target: int, path: str) -> str:
    """Copy a file's contents and answer their SHA-256: of one moment, if the file is being written."""
    for _ in range(_TRIES):
        before = os.fstat(source)
        os.lseek(source, 0, os.SEEK_SET)
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        digest = hashlib.sha256()
        while chunk := os.read(source, _CHUNK):
            digest.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(target, rest) :]
        after = os.fstat(source)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return digest.hexdigest()
    raise SystemFailure(_ALWAYS_WRITTEN, 0, path)


def _copy_tree(source: str, target: str) -> None:
    """A folder and what is below, without byte code; `shutil.copytree` would hide which error it was."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name == "__pycache__" or entry.name.endswith(".pyc"):
                continue
            (_copy_tree if entry.is_dir() else shutil.copy2)(entry.path, os.path.join(target, entry.name))


def _settle(copy: str, final: str, is_whole: Callable[[], bool]) -> None:
    """Rename a finished folder to its place. Where there is one already, that one stays, unless it is damaged."""
    for turn in range(100):  # each turn somebody else was faster
        try:
            os.rename(copy, final)
        except OSError as e:
            if e.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            return
        with suppress(FileNotFoundError):
            if is_whole():
                return
            os.rename(final, f"{copy}-damaged-{turn}")
    raise SystemFailure("rename", errno.EEXIST, final)


def _holds(path: str, sha256: str) -> bool:
    """Whether a copy is there already and still whole."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _same(path: str, other: str) -> bool:
    """Whether two paths are one file, or two of the same contents where the file system knows no hard links."""
    try:
        if os.path.samefile(path, other):
            return True
        with open(path, "rb") as one, open(other, "rb") as two:
            digests = [hashlib.file_digest(file, "sha256").digest() for file in (one, two)]
    except FileNotFoundError:
        return False
    return digests[0] == digests[1]


def _link(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as e:
        if e.errno not in {errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        shutil.copy2(source, target)


def _libraries(folder: str) -> Iterator[str]:
    """The shared objects in a folder, by their paths there."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        for name in sorted(names):
            path = os.path.join(place, name)
            if is_library(name) and os.path.isfile(path):
                yield os.path.relpath(path, folder)


def _link_within(folder: str, name: str) -> str | None:
    """Where a symbolic link leads that stays among the folder's libraries (`libx.so` → `libx.so.1`); else None."""
    path = os.path.join(folder, name)
    if not os.path.islink(path):
        return None
    target = os.readlink(path)
    there = os.path.normpath(os.path.join(os.path.dirname(name), target))
    inside = not os.path.isabs(target) and not there.startswith("..")
    return target if inside and there in set(_libraries(folder)) else None


def _tree_digest(folder: str) -> str:
    digest = hashlib.sha256()
    for name, data in _contents(folder):
        digest.update(b"%d %s %d " % (len(name), name, len(data)) + data)
    return digest.hexdigest()


def _contents(folder: str) -> Iterator[tuple[bytes, bytes]]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                yield os.fsencode(os.path.relpath(path, folder)), file.read()
