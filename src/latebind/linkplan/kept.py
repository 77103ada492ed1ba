"""Kept plans: what was planned once is loaded again without reading, searching or binding anything.

A plan depends on a *question* (which library, in which surroundings, with which settings) and on *evidence* (what the
search and the planning found in the file system). The question is the key: a text with everything in it. The evidence
is kept beside the plan, every path with the identity of what was there, or that nothing was; where one of them is
otherwise now, the plan is not used, and a new one takes its place.

One file an entry, in the user's cache folder: written beside and renamed, so that any number of processes may use the
folder at once; with a checksum over the whole, so that a damaged entry is a missing one. Only the user may write there,
else nothing is kept: a plan says which code is run.

    8 bytes   magic
    I I I I   version; sizes of the three parts that follow, in bytes
    Q         checksum of everything else
    texts     separated by NUL, which none of them holds: question, paths, names (`_write` says in which order)
    numbers   64 bits each, of this machine's byte order: counts, identities, object indexes
    plan      the packed plan (src/core/plan.h)
"""

from __future__ import annotations

import os
import struct
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind._core import checksum, identities
from latebind.elf.file import FileIdentity
from latebind.elf.mapping import Descriptor
from latebind.linkplan.format import VERSION as PLAN_VERSION
from latebind.linkplan.prepared import PreparedObject, PreparedPlan
from latebind.linkplan.roles import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

type_of_evidence = tuple[tuple[str, tuple[int, int, int, int]], ...]
"""Paths and what was there: a file's identity, or `NOTHING`."""

MAGIC: Final = b"LBKEPT\r\n"
VERSION: Final = 1 << 16 | PLAN_VERSION
SUFFIX: Final = ".plan"
_HEADER: Final = struct.Struct("<8sIIIIQ")
_MOST_ENTRIES: Final = 512
_ROLES: Final = tuple(Role)
_IS_PRIVILEGED: Final = os.getuid() != os.geteuid() or os.getgid() != os.getegid()
NOTHING: Final = (-1, -1, -1, -1)
"""The identity of nothing, as the core's `identities` has it."""


class Damaged(ValueError):
    """Raised where an entry is not what was written. `Store.find` takes it for a missing one; `read_entry` says why."""


class Entry(NamedTuple):
    """One kept plan with the question that it answers and the evidence that it stands on."""

    question: str
    evidence: type_of_evidence
    plan: PreparedPlan

    @property
    def path(self) -> str:
        """The library that it loads."""
        return self.plan.objects[0].path

    def stale(self) -> str | None:
        """The first path that is not as it was; None while the plan holds."""
        paths, before = zip(*self.evidence, strict=True) if self.evidence else ((), ())
        now = identities(paths)
        return None if now == before else next(p for p, a, b in zip(paths, before, now, strict=True) if a != b)


# ---- one entry as bytes --------------------------------------------------------------------------------------------


def encode(entry: Entry) -> bytes:
    """`entry` as a file's bytes."""
    texts: list[str] = []
    numbers = array("q")
    _write(entry, texts, numbers)
    text = "\0".join(texts).encode("utf-8", "surrogateescape")
    text += b"\0" * (8 - (_HEADER.size + len(text)) % 8)
    body = b"".join([text, numbers.tobytes(), entry.plan.packed])
    sizes = len(text), 8 * len(numbers), len(entry.plan.packed)
    return _HEADER.pack(MAGIC, VERSION, *sizes, checksum(body, len(text))) + body


def _write(entry: Entry, texts: list[str], numbers: array[int]) -> None:
    plan = entry.plan
    texts.append(entry.question)
    numbers.extend((len(entry.evidence), len(plan.objects), plan.closure_size, len(plan.scope), len(plan.init_order)))
    for path, identity in entry.evidence:
        texts.append(path)
        numbers.extend(identity)
    numbers.extend((*plan.scope, *plan.init_order))
    for o in plan.objects:
        texts += (o.name, o.path, *(symbol for _, symbol in o.unique))
        flags = o.present | o.gives_tls << 1 | o.nodelete << 2
        numbers.extend((_ROLES.index(o.role), flags, *(o.identity or NOTHING)))
        numbers.extend(
            (len(o.needs), len(o.holds), len(o.unique), *o.needs, *o.holds, *(owner for owner, _ in o.unique))
        )


def question_of(data: bytes) -> bytes:
    """The question of an entry, as bytes, without checking anything else."""
    return data[_HEADER.size : data.find(b"\0", _HEADER.size)]


def decode(data: bytes) -> Entry:
    """The entry that `data` is. Raises `Damaged`, saying what is wrong."""
    if len(data) < _HEADER.size:
        raise Damaged(f"is cut off: {len(data)} bytes are no header")
    magic, version, text_size, numbers_size, plan_size, expected = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("does not begin with the mark of a kept plan")
    if version != VERSION:
        raise Damaged(f"has format {version:#x}; this version of latebind writes {VERSION:#x}")
    if len(data) != _HEADER.size + text_size + numbers_size + plan_size:
        raise Damaged(f"has {len(data)} bytes, which are not what its header speaks of")
    body = memoryview(data)[_HEADER.size :]
    if checksum(body, text_size) != expected:
        raise Damaged("does not agree with its checksum")
    texts = str(body[:text_size], "utf-8", "surrogateescape").split("\0")
    numbers = array("q")
    try:
        numbers.frombytes(body[text_size : text_size + numbers_size])
        return _read(texts, numbers.tolist(), body[text_size + numbers_size :])
    except (ValueError, IndexError) as e:
        raise Damaged(f"has fields that contradict each other: {e}") from e


def _read(texts: list[str], numbers: list[int], packed: memoryview) -> Entry:
    paths, count, closure_size, scope, order = numbers[:5]
    at = 5 + 4 * paths
    identities = zip(*[iter(numbers[5:at])] * 4, strict=True)
    evidence = tuple(zip(texts[1 : 1 + paths], identities, strict=True))
    places = tuple(numbers[at : at + scope]), tuple(numbers[at + scope : at + scope + order])
    objects = _read_objects(texts[1 + paths :], numbers[at + scope + order :], count)
    used = {*places[0], *places[1]}
    for o in objects:
        used.update(o.needs, o.holds, [owner for owner, _ in o.unique])
    if not 1 <= closure_size <= count or not used.issubset(range(count)):
        raise ValueError("an object that there is not")
    return Entry(texts[0], evidence, PreparedPlan(packed, objects, *places, closure_size))


def _read_objects(texts: list[str], numbers: list[int], count: int) -> tuple[PreparedObject, ...]:
    objects = []
    text = at = 0
    for _ in range(count):
        role, flags, device, inode, size, mtime, needs, holds, unique = numbers[at : at + 9]
        held, owned, end = at + 9 + needs, at + 9 + needs + holds, at + 9 + needs + holds + unique
        symbols = zip(numbers[owned:end], texts[text + 2 : text + 2 + unique], strict=True) if unique else ()
        identity = FileIdentity(device, inode, size, mtime) if inode >= 0 else None
        relations = tuple(numbers[at + 9 : held]), tuple(numbers[held:owned]), tuple(symbols)
        gives_tls, nodelete = bool(flags & 2), bool(flags & 4)
        name, path = texts[text : text + 2]
        objects.append(
            PreparedObject(name, path, _ROLES[role], bool(flags & 1), identity, gives_tls, nodelete, *relations)
        )
        text, at = text + 2 + unique, end
    return tuple(objects)


# ---- the folder ----------------------------------------------------------------------------------------------------


class Store:
    """The folder of kept plans. Nothing here raises because the folder is missing, full or not ours: it is a cache."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find(self, question: str) -> Entry | None:
        """The kept plan for `question`; None where there is none, or none that holds."""
        asked = question.encode("utf-8", "surrogateescape")
        data = self._read(self._file(asked))
        if data is None or question_of(data) != asked:
            return None
        try:
            return decode(data)
        except Damaged:
            return None

    def keep(self, entry: Entry) -> bool:
        """Write `entry`, in the place of an older one for the same question. False where that cannot be done."""
        if not self._prepare_folder():
            return False
        name = self._file(entry.question.encode("utf-8", "surrogateescape"))
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

    def _file(self, question: bytes) -> str:
        return f"{self.folder}/{checksum(question):016x}{SUFFIX}"

    def _read(self, path: str) -> bytes | None:
        try:
            with Descriptor(path, os.O_NOFOLLOW) as fd:
                status = os.fstat(fd)
                is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
                return os.read(fd, status.st_size) if is_ours else None
        except OSError:
            return None

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
            data = self._read(path)
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
