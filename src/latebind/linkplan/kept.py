"""Kept plans: what was planned once is loaded again without reading, searching or binding anything.

A plan depends on a *question* (which library, in which surroundings, with which settings) and on *evidence* (what the
search and the planning found in the file system). The question is the key: a text with everything in it. The evidence
is kept beside the plan, every path with the identity of what was there, or that nothing was; where one of them is
otherwise now, the plan is not used, and a new one takes its place.

One file an entry, in the user's cache folder: written beside and renamed, so that any number of processes may use the
folder at once; with a checksum over the whole, so that a damaged entry is a missing one. Only the user may write there,
else nothing is kept: a plan says which code is run.

src/core/kept.h has the format.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind._core import checksum, first_change, kept_parts, kept_path, private_file, recall
from latebind.elf.mapping import Descriptor
from latebind.linkplan.format import VERSION as PLAN_VERSION
from latebind.linkplan.kept_record import MAKERS, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from latebind._core import FileMapping
    from latebind.linkplan.prepared import PreparedPlan

type_of_identity = tuple[int, int, int, int]

MAGIC: Final = b"LBKEPT\r\n"
VERSION: Final = 5 << 16 | PLAN_VERSION
SUFFIX: Final = ".plan"
_HEADER: Final = struct.Struct("<8sII5QQ")
_IDENTITY: Final = struct.Struct("<4q")
_MOST_ENTRIES: Final = 512
_IS_PRIVILEGED: Final = os.getuid() != os.geteuid() or os.getgid() != os.getegid()
NOTHING: Final = (-1, -1, -1, -1)
"""The identity of nothing, as the core's `identities` has it, too."""


class Damaged(ValueError):
    """Raised where an entry is not what was written. `Store.find` takes it for a missing one; `read_entry` says why."""


class Evidence(NamedTuple):
    """What a plan stands on: paths, and what was at each of them, a file's identity or `NOTHING`.

    `watched` and `opened` are rows of records as the core's `first_change` reads them. The files in `opened` are those
    that the plan maps: the core compares each with the plan when it opens it, so that a load need not do it before.
    """

    watched: bytes
    opened: bytes

    def paths(self) -> tuple[str, ...]:
        """All paths, in the order of their records."""
        return tuple([os.fsdecode(path) for path, _ in _records(self.watched + self.opened)])


def record_of(path: str, identity: type_of_identity) -> bytes:
    """One record of evidence. Raises ValueError for a path with a NUL, at which nothing can be."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"{path!r} holds a NUL")
    return _IDENTITY.pack(*identity) + name + b"\0"


def _records(data: bytes) -> Iterator[tuple[bytes, type_of_identity]]:
    at = 0
    while at < len(data):
        end = data.index(b"\0", at + _IDENTITY.size)
        yield data[at + _IDENTITY.size : end], _IDENTITY.unpack_from(data, at)
        at = end + 1


class Entry(NamedTuple):
    """One kept plan with the question that it answers and the evidence that it stands on."""

    question: str
    evidence: Evidence
    plan: PreparedPlan

    @property
    def path(self) -> str:
        """The library that it loads."""
        return self.plan.objects[0].path

    def stale(self) -> str | None:
        """The first path that is not as it was; None while the plan holds."""
        number = first_change(self.evidence.watched + self.evidence.opened)
        return None if number is None else self.evidence.paths()[number]


# ---- one entry as bytes --------------------------------------------------------------------------------------------


def encode(entry: Entry) -> bytes:
    """`entry` as a file's bytes. Raises ValueError for a plan that says what no plan can."""
    parts = [entry.question.encode("utf-8", "surrogateescape"), *entry.evidence, write_record(entry.plan)]
    parts[-1] += b"\0" * (-(_HEADER.size + sum(map(len, parts))) % 8)  # nobody looks at what follows the last object
    parts.append(bytes(entry.plan.packed))
    body = b"".join(parts)

    def header(total: int) -> bytes:
        return _HEADER.pack(MAGIC, VERSION, 0, *map(len, parts), total)

    return header(checksum(body, checksum(header(0)))) + body


def decode(data: bytes | FileMapping) -> Entry:
    """The entry that `data` is. Raises `Damaged`, saying what is wrong."""
    try:
        question, watched, opened, record, packed = kept_parts(data, VERSION)
        plan = read_record(record, packed)
    except ValueError as e:
        raise Damaged(str(e)) from e
    return Entry(str(question, "utf-8", "surrogateescape"), Evidence(bytes(watched), bytes(opened)), plan)


# ---- the folder ----------------------------------------------------------------------------------------------------


class Store:
    """The folder of kept plans. Nothing here raises because the folder is missing, full or not ours: it is a cache."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find(self, question: str) -> PreparedPlan | None:
        """The kept plan for `question`; None where there is none, or none that holds.

        What became of the files that the core looks at when it opens them is not known yet: see `holds`.
        """
        try:
            return recall(self.folder, question, VERSION, MAKERS)
        except ValueError:  # what a damaged record is
            return None

    def holds(self, question: str) -> bool:
        """Whether there is a kept plan for `question`, and everything that it rests on is as it was."""
        data = private_file(kept_path(self.folder, question))
        try:
            entry = decode(data) if data is not None else None
        except Damaged:
            return False
        return entry is not None and entry.question == question and entry.stale() is None

    def keep(self, entry: Entry) -> bool:
        """Write `entry`, in the place of an older one for the same question. False where that cannot be done."""
        if not self._prepare_folder():
            return False
        name = kept_path(self.folder, entry.question)
        beside = f"{name}.{os.getpid()}.{os.urandom(4).hex()}"
        kept = False
        try:
            with suppress(OSError):  # the disk is full
                with Descriptor(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600) as fd:
                    data = encode(entry)
                    is_whole = os.write(fd, data) == len(data)
                if is_whole:
                    os.rename(beside, name)
                    kept = True
        finally:
            if not kept:  # what was begun is taken away again, control-C or not
                with suppress(OSError):
                    os.unlink(beside)
        return kept

    def _prepare_folder(self) -> bool:
        """Whether the folder is there and ours alone to write; made where it is missing, thinned where it is full."""
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            status = os.stat(self.folder)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return False
            entries = self.files()
            if len(entries) >= _MOST_ENTRIES:
                by_age = sorted(entries, key=lambda path: os.stat(path).st_mtime_ns)
                for path in by_age[: _MOST_ENTRIES // 4]:
                    os.unlink(path)
        except OSError:
            return False
        return True

    def files(self) -> tuple[str, ...]:
        """The files of the entries, in order of their names; what a crash may have left unfinished too."""
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return ()
        return tuple([f"{self.folder}/{name}" for name in names if SUFFIX in name])

    def entries(self) -> Iterator[tuple[str, Entry | Damaged]]:
        """Each file with its entry, or with what is wrong with it."""
        for path in self.files():
            data = private_file(path)
            if data is None:
                yield path, Damaged("cannot be read, or others may write to it")
                continue
            try:
                yield path, decode(data)
            except Damaged as e:
                yield path, e

    def clear(self) -> int:
        """Remove every entry; returns how many there were. Raises OSError where one cannot be removed."""
        files = self.files()
        for path in files:
            with suppress(FileNotFoundError):  # another process was quicker
                os.unlink(path)
        return len(files)


STORE_VARIABLES: Final = ("LATEBIND_CACHE", "XDG_CACHE_HOME", "HOME")
"""What `store_for` looks at."""


def store_for(variables: Mapping[str, str]) -> Store | None:
    """The store that the environment asks for, or None.

    LATEBIND_CACHE names a folder, or is ``off``; otherwise it is ``latebind`` in the user's cache folder (XDG Base
    Directory Specification: XDG_CACHE_HOME, else ``~/.cache``). A set-user-ID process keeps nothing.
    """
    named = variables.get("LATEBIND_CACHE", "")
    if named == "off" or _IS_PRIVILEGED:
        return None
    folder = named or _usual_folder(variables)
    return Store(f"{folder}/plans") if folder.startswith("/") else None


def _usual_folder(variables: Mapping[str, str]) -> str:
    base = variables.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return f"{base}/latebind"
    home = variables.get("HOME", "")
    return f"{home}/.cache/latebind" if home else ""
