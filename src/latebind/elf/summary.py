"""What searching for shared objects needs to know of a file: quick to read and quick to import.

The core (src/core/summary.c) reads plain files. What is not plain (damaged, or in some respect larger than any honest
file) is left to `Elf`, so that every answer and every error is `Elf`'s.
"""

from __future__ import annotations

import os
import stat

from latebind._core import look_ahead_into, read_ahead, stop_ahead, summarize, summarize_bytes, take_ahead
from latebind.elf.numbers import ELFCLASS64
from latebind.errors import MalformedElf, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from latebind.elf.file import Elf
    from latebind.elf.known_note import OptionalDependency

_FROM_HEADER = {"elf_class", "data", "os_abi", "type", "machine"}
_FROM_DYNAMIC = {"needed", "soname", "rpath", "runpath", "flags", "flags_1"}


class Summary:
    """One file's header, interpreter and dynamic section; the fields mean what `Header`, `Elf` and `Dynamic` say.

    `path` is what errors call the file, and `identity` its device, inode, size and time as in `Elf.identity`. Where
    the core could not read a field, it is taken from the `Elf` when it is first asked for: then it may raise
    `MalformedElf`.
    """

    __slots__ = (
        "_ahead", "_elf", "_place", "data", "elf_class", "flags", "flags_1", "identity", "interpreter", "is_dynamic",
        "machine", "may_have_dlopen_note", "needed", "os_abi", "path", "rpath", "runpath", "soname", "type",
    )  # fmt: skip
    path: str
    identity: tuple[int, int, int, int] | None
    elf_class: int
    data: int
    os_abi: int
    type: int
    machine: int
    interpreter: str | None
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    flags: int
    flags_1: int
    is_dynamic: bool
    may_have_dlopen_note: bool
    """Whether it may say in a .note.dlopen what it may open at run time."""

    def __init__(
        self,
        path: str,
        place: str | None,
        values: tuple[Any, ...] | None,
        elf: Elf | None,
        ahead: Ahead | None = None,
    ) -> None:
        """Made by `read_summary` and `Elf.summary`: from what the core read at `place`, or of `elf`.

        `ahead` is going to have the whole file.
        """
        self.path = path
        self._ahead = ahead
        self._place = place
        self._elf = elf
        if values is not None:
            (
                self.identity, self.elf_class, self.data, self.os_abi, self.type, self.machine, self.interpreter,
                self.needed, self.soname, self.rpath, self.runpath, self.flags, self.flags_1, self.is_dynamic,
                self.may_have_dlopen_note,
            ) = values  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        """A field that the core did not read."""
        if name in _FROM_HEADER:
            value = getattr(self.elf.header, name)
        elif name in _FROM_DYNAMIC:
            value = getattr(self.elf.dynamic, name)
        elif name == "may_have_dlopen_note":
            value = True
        elif name in {"identity", "interpreter", "is_dynamic"}:
            value = getattr(self.elf, name)
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        setattr(self, name, value)
        return value

    def __repr__(self) -> str:
        return f"<Summary of {self.path}>"

    def opened(self, elf: Elf) -> None:
        """`elf` is the whole file, which was read with this."""
        self._elf = elf

    @property
    def elf(self) -> Elf:
        """The whole file; opened when it is first asked for."""
        if self._elf is None:
            assert self._place is not None
            from latebind.elf.reading import open_summarized

            self._elf = open_summarized(self, self._place, self._ahead)
            self._ahead = None
        return self._elf

    @property
    def bits(self) -> int:
        """32 or 64."""
        return 64 if self.elf_class == ELFCLASS64 else 32

    @property
    def optional_dependencies(self) -> tuple[OptionalDependency, ...]:
        """What .note.dlopen says that the file may open at run time."""
        return self.elf.optional_dependencies if self.may_have_dlopen_note else ()


def summary_of(file: Elf | Summary) -> Summary:
    """The summary of `file`, which may be one already."""
    return file if isinstance(file, Summary) else file.summary


def summarize_elf(elf: Elf) -> Summary:
    """The summary of a file that is open; use `Elf.summary`, which keeps it."""
    return Summary(elf.path, None, summarize_bytes(elf.data, elf.identity), elf)


class Ahead:
    """A thread that reads, in this order, the files at `places`, of which `read_summary` will be asked.

    It reads while the search does other things, so that most are read already when the search comes to them.
    """

    __slots__ = ("reading",)

    def __init__(self, places: list[str], target: tuple[int, int] | None = None) -> None:
        """With `target` they are read for `latebind.elf.reading.read_whole`."""
        self.reading = read_ahead(places) if target is None else read_ahead(places, target)
        """What the core has of it."""

    def look_into(self, folder: str) -> None:
        """Read also what the files need, where it is in `folder`; this counts for the first few folders."""
        look_ahead_into(self.reading, folder)

    def stop(self) -> None:
        """End the thread: nobody waits for what it does."""
        stop_ahead(self.reading)


def read_summary(
    place: str, path: str, known: dict[tuple[int, int], Summary], ahead: Ahead | None = None
) -> Summary | NotFound | MalformedElf:
    """The summary of the file at `place`, which errors call `path`.

    `known` has those read before, by device and inode; a new one is added. `NotFound` and `MalformedElf` are returned,
    since a search tries many places; raises `SystemFailure` as `read` does. What `ahead` has read, or is
    going to, is not read again.
    """
    values: Any  # a tuple, one of `known`, False or None
    values = summarize(place, known) if ahead is None else take_ahead(ahead.reading, place, known)
    if isinstance(values, tuple):
        summary = Summary(path, place, values, None)
        known[values[0][:2]] = summary
        return summary
    if values is False:
        return NotFound(path)
    found: Summary | None = values
    return read_odd(place, path, known) if found is None else found


def read_odd(place: str, path: str, known: dict[tuple[int, int], Summary]) -> Summary | NotFound | MalformedElf:
    """The same as `read_summary` where the core gave up."""
    try:
        status = os.stat(place)
    except OSError:
        return NotFound(path)
    if not stat.S_ISREG(status.st_mode):
        return MalformedElf(path, None, "not a regular file")
    from latebind.elf.reading import read

    try:
        elf = read(place, name=path)
    except (NotFound, MalformedElf) as error:
        return error
    summary = known[status.st_dev, status.st_ino] = Summary(path, place, None, elf)
    return summary
