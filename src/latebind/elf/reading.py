"""The ways to get an `Elf`: from a path, bytes, a file object, a member of a static archive, a process's memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from latebind._core import map_path, take_map, take_whole
from latebind.elf.file import Elf, FileIdentity
from latebind.elf.layout import Layout
from latebind.elf.summary import Summary, read_odd
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried

if TYPE_CHECKING:
    from latebind._core import FileMapping
    from latebind.elf.archive import Archive, Member
    from latebind.elf.bytesource import type_of_bytes
    from latebind.elf.layout import type_of_layout
    from latebind.elf.summary import Ahead


@runtime_checkable
class BinaryFile(Protocol):
    """What `read` asks of a file object that was opened in binary mode."""

    def read(self) -> bytes:
        """The rest of the file."""
        ...


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile


def read(file: Source, *, name: str | None = None) -> Elf:
    """Read an ELF file lazily.

    `file` is a path, a member of a static archive as ``"libfoo.a(bar.o)"``, the file's bytes, or a file object open in
    binary mode (read from where it stands to its end); `name` is what errors call it (default: the path).
    Raises `NotFound` where there is no such file or member, `MalformedElf` where it is not ELF, `SystemFailure` where
    the system refuses to read it.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        return Elf(name or "<memory>", bytes(file) if isinstance(file, bytearray) else file, None)
    if not isinstance(file, (str, os.PathLike)):
        return _read_object(file, name)
    path = os.fspath(file)
    if path.endswith(")") and not os.path.exists(path):
        from latebind.elf.archive import split_member

        parts = split_member(path)
        if parts is not None:
            archive = read_archive(parts[0])
            return read_member(archive, archive.member(parts[1]))
    data, identity = map_file(path)
    return Elf(name or path, data, identity)


def read_archive(file: Source, *, name: str | None = None) -> Archive:
    """Read a static archive; takes and raises what `read` does, `MalformedElf` where it is no archive."""
    from latebind.elf.archive import parse_archive

    if isinstance(file, (bytes, bytearray, memoryview)):
        return parse_archive(name or "<memory>", bytes(file) if isinstance(file, bytearray) else file)
    if not isinstance(file, (str, os.PathLike)):
        return parse_archive(name or _name_of(file), _contents(file))
    path = os.fspath(file)
    return parse_archive(name or path, map_file(path)[0])


def read_member(archive: Archive, member: Member) -> Elf:
    """The ELF file that `member` of `archive` is, called ``libfoo.a(bar.o)``.

    Raises `NotFound` where the member of a thin archive is a file that is not there, else what `read` raises.
    """
    name = f"{archive.path}({member.name})"
    if member.path is None:
        assert member.start is not None
        return Elf(name, memoryview(archive.data)[member.start : member.start + member.size], None)
    data, _ = map_file(member.path)
    if member.nested is None:
        return Elf(name, data, None)
    from latebind.elf.archive import parse_archive

    inner = parse_archive(member.path, data)
    for candidate in inner.members:
        if candidate.header == member.nested and candidate.path is None:
            return read_member(inner, candidate)
    raise MalformedElf(archive.path, member.header, f"{member.path} has no member at {member.nested}")


def read_process(pid: int, address: int) -> Elf:
    """The object whose ELF header is at `address` in the memory of process `pid`; see `latebind.elf.memory`."""
    from latebind.elf.memory import read_image

    return Elf(f"process {pid} at {address:#x}", read_image(pid, address), None)


def map_file(path: str) -> tuple[type_of_bytes, FileIdentity]:
    """The bytes of the regular file at `path`, and which file that is."""
    try:
        data, found = map_path(path)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise NotFound(path, None, (Tried(path, "no such file"),)) from e
    except (OSError, ValueError) as e:  # ValueError: a zero byte in the path
        raise SystemFailure("open", getattr(e, "errno", None) or 0, path) from e
    if isinstance(found, bool) or data is None:
        raise (
            MalformedElf(path, 0, "not an ELF file: it is empty")
            if found
            else MalformedElf(path, None, "not a regular file")
        )
    return memoryview(data), FileIdentity._make(found)


def read_whole(
    place: str, path: str, known: dict[tuple[int, int], Summary], target: tuple[int, int], ahead: Ahead | None = None
) -> Summary | NotFound | MalformedElf:
    """As `read_summary`, but the file is open then, with its layout where it is for `target`: (e_machine, page size).

    For a search whose results are all going to be read: it takes one look at the file instead of three. What `ahead`
    reads, it opens later.
    """
    found = take_whole(None if ahead is None else ahead.reading, place, known, target)
    if isinstance(found, tuple):
        values, data, layout = found
        identity = values[0]
        summary = known[identity[0], identity[1]] = Summary(path, place, values, None, ahead)
        if data is not None:
            summary.opened(_opened(summary, data, layout))
        return summary
    if found is False:
        return NotFound(path)
    return read_odd(place, path, known) if found is None else found


def open_summarized(summary: Summary, place: str, ahead: Ahead | None) -> Elf:
    """The whole file of `summary`, which was read at `place`, and which `ahead` may have by now."""
    found = None if ahead is None else take_map(ahead.reading, place)
    if found is not None:
        return _opened(summary, *found)
    data, identity = map_file(place)
    elf = Elf(summary.path, data, identity)
    elf.__dict__["summary"] = summary  # a file has one summary: it is known by it
    return elf


def _opened(summary: Summary, data: FileMapping, layout: type_of_layout | None) -> Elf:
    """The file of `summary`, as the core has opened it."""
    assert summary.identity is not None
    elf = Elf(summary.path, memoryview(data), FileIdentity._make(summary.identity), summary)
    if layout is not None:
        elf.layout = Layout._make(layout)
    return elf


def _read_object(file: BinaryFile, name: str | None) -> Elf:
    return Elf(name or _name_of(file), _contents(file), None)


def _name_of(file: BinaryFile) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "<file>"


def _contents(file: BinaryFile) -> bytes:
    if not isinstance(file, BinaryFile):
        raise TypeError(f"expected a path, bytes or a file open in binary mode, not {type(file).__name__}")
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError("the file is open in text mode; open it with 'rb'")
    return data
