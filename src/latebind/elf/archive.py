"""Static archives (ar(5)): `libfoo.a` and, in it, relocatable files; thin archives, whose members are files elsewhere.

Both dialects are read, GNU's (names in a table called `//`) and BSD's (`#1/20`). A member is called
``libfoo.a(bar.o)``, as linkers call it, and `latebind.elf.read` takes that name too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.errors import MalformedElf, NotFound, Tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import FileOffset, type_of_bytes

MAGIC, THIN_MAGIC = b"!<arch>\n", b"!<thin>\n"
_HEADER: Final = 60
_LONGEST_NAME: Final = 4096  # PATH_MAX
_TABLES: Final = {"/", "/SYM64/", "//", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64"}


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, where its header is, and `size` bytes of contents at `start`.

    In a thin archive `start` is None: the contents are in the file at `path`, and `nested` is the offset of the
    member's header where that file is itself an archive.
    """

    name: str
    header: FileOffset
    start: FileOffset | None
    size: int
    path: str | None = None
    nested: int | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """A static archive. `members` are in file order and may share names; the symbol index is in `symbols`."""

    path: str
    thin: bool
    members: tuple[Member, ...]
    symbols: tuple[tuple[str, int], ...]
    """(name, offset of the header of the member that defines it)."""
    data: type_of_bytes

    def member(self, name: str) -> Member:
        """The first member called `name`. Raises `NotFound` without one."""
        for member in self.members:
            if member.name == name:
                return member
        raise NotFound(f"{self.path}({name})", None, (Tried(self.path, f"the archive has no member {name!r}"),))


class MemberStatus(NamedTuple):
    """What a member's header says of the file that it was: time (seconds since 1970), owner, mode."""

    time: int
    user: int
    group: int
    mode: int


def member_status(archive: Archive, member: Member) -> MemberStatus | None:
    """The rest of `member`'s header; None where it holds no numbers, as some archivers leave it."""
    header = bytes(archive.data[member.header : member.header + _HEADER])
    fields = (header[16:28], 10), (header[28:34], 10), (header[34:40], 10), (header[40:48], 8)
    try:
        return MemberStatus(*(int(text.strip(b" ") or b"0", base) for text, base in fields))
    except ValueError:
        return None


def is_archive(data: type_of_bytes) -> bool:
    """Whether these are the first bytes of a static archive."""
    return bytes(data[:8]) in {MAGIC, THIN_MAGIC}


def split_member(path: str) -> tuple[str, str] | None:
    """``"libfoo.a(bar.o)"`` → its two parts; None for a name of another form."""
    archive, bracket, member = path.rpartition("(")
    return (archive, member[:-1]) if archive and bracket and member.endswith(")") and len(member) > 1 else None


def parse_archive(path: str, data: type_of_bytes) -> Archive:
    """The archive `data`, called `path`. Raises `MalformedElf` where it is no archive or a header is broken."""
    if not is_archive(data):
        raise MalformedElf(path, 0, "not a static archive: it does not start with !<arch> or !<thin>")
    thin = bytes(data[:8]) == THIN_MAGIC
    members: list[Member] = []
    symbols: tuple[tuple[str, int], ...] = ()
    names = b""
    for member in _headers(path, data, thin=thin):
        if member.name == "//" and member.start is not None:
            names = bytes(data[member.start : member.start + member.size])
        elif member.name in {"/", "/SYM64/"} and member.start is not None:
            table = bytes(data[member.start : member.start + member.size])
            symbols = _symbol_index(path, table, member.header, 4 if member.name == "/" else 8)
        elif member.name not in _TABLES:
            members.append(_named(path, data, member, names, thin=thin))
    return Archive(path, thin, tuple(members), symbols, data)


def _headers(path: str, data: type_of_bytes, *, thin: bool) -> Iterator[Member]:
    """Each member with its name as the header states it."""
    at, end = 8, len(data)
    while at < end:
        header = bytes(data[at : at + _HEADER])
        if len(header) < _HEADER or header[58:] != b"`\n":
            raise MalformedElf(path, at, "a member's header is broken or cut off")
        digits = header[48:58].strip(b" ")
        if not digits.isdigit():
            raise MalformedElf(path, at, f"a member's size is {digits!r} instead of a number")
        name, size, start = header[:16].rstrip(b" ").decode("latin-1"), int(digits), at + _HEADER
        inside = not thin or name in _TABLES
        if inside and start + size > end:
            raise MalformedElf(path, at, f"a member of {size} bytes reaches beyond the end of the archive")
        yield Member(name, at, start if inside else None, size)  # type: ignore[arg-type]  # both are file offsets
        at = start + (size + size % 2 if inside else 0)


def _named(path: str, data: type_of_bytes, member: Member, names: bytes, *, thin: bool) -> Member:
    """`member` under its real name: from the table of long names, or from the start of its contents (BSD)."""
    name, start, size, nested = member.name, member.start, member.size, None
    if name.startswith("#1/") and name[3:].isdigit() and start is not None:
        length = int(name[3:])
        if length > min(size, _LONGEST_NAME):
            raise MalformedElf(path, member.header, f"a member's name of {length} bytes is longer than the member")
        name = bytes(data[start : start + length]).rstrip(b"\0").decode("utf-8", "surrogateescape")
        start, size = start + length, size - length  # type: ignore[assignment]  # still a file offset
    elif name.startswith("/") and name[1:].partition(":")[0].isdigit():
        offset, _, inner = name[1:].partition(":")
        name = _long_name(path, names, int(offset), member.header)
        nested = int(inner) if inner.isdigit() else None
    else:
        name = name.removesuffix("/")
    elsewhere = os.path.join(os.path.dirname(path), name) if thin else None
    return Member(name, member.header, start, size, elsewhere, nested)


def _long_name(path: str, names: bytes, offset: int, header: int) -> str:
    end = names.find(b"\n", offset, offset + _LONGEST_NAME)
    if offset >= len(names) or end < 0:
        raise MalformedElf(path, header, f"a member's name is at {offset} of a table of {len(names)} bytes")
    return names[offset:end].removesuffix(b"/").decode("utf-8", "surrogateescape")


def _symbol_index(path: str, table: bytes, header: int, width: int) -> tuple[tuple[str, int], ...]:
    """The GNU index: a number of symbols, as many offsets (big-endian on every machine), then as many names."""
    count = int.from_bytes(table[:width], "big")
    names_at = width + count * width
    if names_at > len(table):
        raise MalformedElf(path, header, f"the symbol index claims {count} symbols in {len(table)} bytes")
    offsets = [int.from_bytes(table[at : at + width], "big") for at in range(width, names_at, width)]
    names = table[names_at:].split(b"\0")
    if len(names) <= count:
        raise MalformedElf(path, header, f"the symbol index has {count} symbols and {len(names) - 1} names")
    return tuple(
        (name.decode("utf-8", "surrogateescape"), offset) for name, offset in zip(names, offsets, strict=False)
    )
