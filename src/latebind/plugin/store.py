"""The store: a plugin's files under the hash of their contents, so that what is loaded never changes underneath.

A build that overwrites a file in place would pull the code away from under the running generation, and the linker
would see the same inode with other contents. So a file is copied first, and everything after looks at the copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.errors import NotFound, SystemFailure, Tried

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A copy in the store: its `path`, and the SHA-256 of its contents in hexadecimal digits."""

    path: str
    sha256: str


class Store:
    """A folder of copies. Without a `root` it is a private temporary folder that `close` removes.

    Files only ever appear whole, by renaming, so several processes can share one store.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self._temporary = root is None
        try:
            self.root = tempfile.mkdtemp(prefix="latebind-") if root is None else os.path.abspath(os.fspath(root))
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        except OSError as e:
            raise SystemFailure("mkdir", e.errno or 0, os.fspath(root or tempfile.gettempdir())) from e

    def put_file(self, path: str) -> Stored:
        """Copy one file. Raises `NotFound`, or `SystemFailure` (the store stays as it was)."""
        try:
            return self._put_file(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as e:
            raise NotFound(path, None, (Tried(path, "is no file"),)) from e
        except OSError as e:
            raise SystemFailure("copy to the store", e.errno or 0, path) from e

    def put_tree(self, folder: str) -> Stored:
        """Copy a folder, without byte code. Raises `SystemFailure` (the store stays as it was)."""
        try:
            return self._put_tree(folder)
        except OSError as e:
            raise SystemFailure("copy to the store", e.errno or 0, folder) from e

    def close(self) -> None:
        """Remove the folder if it is temporary. More than once does no harm."""
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    def _put_file(self, path: str) -> Stored:
        fd, draft = tempfile.mkstemp(prefix="draft-", dir=self.root)
        try:
            with open(fd, "wb") as target, open(path, "rb") as source:
                digest = hashlib.sha256()
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            os.chmod(draft, 0o400)
            folder = os.path.join(self.root, digest.hexdigest())
            os.makedirs(folder, mode=0o700, exist_ok=True)
            final = os.path.join(folder, os.path.basename(path))
            if not _holds(final, digest.hexdigest()):
                os.replace(draft, final)
        finally:
            if os.path.exists(draft):
                os.unlink(draft)
        return Stored(final, digest.hexdigest())

    def _put_tree(self, folder: str) -> Stored:
        draft = tempfile.mkdtemp(prefix="draft-", dir=self.root)
        try:
            copy = os.path.join(draft, "tree")
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            digest = hashlib.sha256()
            for name, data in _contents(copy):
                digest.update(b"%d %s %d " % (len(name), name, len(data)) + data)
            final = os.path.join(self.root, "tree-" + digest.hexdigest())
            if not os.path.isdir(final):
                os.rename(copy, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return Stored(final, digest.hexdigest())


def _holds(path: str, sha256: str) -> bool:
    """Whether a copy is there already and still whole."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _contents(folder: str) -> Iterator[tuple[bytes, bytes]]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                yield os.fsencode(os.path.relpath(path, folder)), file.read()
