"""Static archives (`ar`, System V and GNU form): members, and the symbol table that says which one defines what.

The format: a magic, then for each member a 60-byte header of blank-padded text (name, date, owner, group, mode, size)
and its contents, each at an even offset. The member "/" (or "/SYM64/") is the symbol table, "//" holds long names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from latebind.elf import Elf, read
from latebind.elf.symbol import SHN_UNDEF, STB_LOCAL
from latebind.errors import MalformedElf, Unsupported

if TYPE_CHECKING:
    from latebind.elf.bytesource import type_of_bytes

_MAGIC = b"!<arch>\n"
_THIN_MAGIC = b"!<thin>\n"
_HEADER = 60


def is_archive(data: type_of_bytes) -> bool:
    """Whether these bytes are an archive, thin ones included."""
    return bytes(data[:8]) in {_MAGIC, _THIN_MAGIC}


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive: its name, the offset of its header, and where its contents are."""

    name: str
    header: int
    offset: int
    size: int


class Archive:
    """A static archive. Raises `MalformedElf` for broken headers, `Unsupported` for a thin archive."""

    def __init__(self, path: str, data: type_of_bytes) -> None:
        self.path = path
        self.data = data
        if bytes(data[:8]) == _THIN_MAGIC:
            raise Unsupported(path, "is a thin archive: its members are elsewhere", "make it without `ar T`")
        if bytes(data[:8]) != _MAGIC:
            raise MalformedElf(path, 0, "not an archive")
        self._long_names = b""
        self._table: tuple[Member, int] | None = None  # the symbol table, and the size of its numbers
        self._elfs: dict[int, Elf] = {}
        self.members = tuple(self._read_members())

    def __repr__(self) -> str:
        return f"<Archive {self.path}: {len(self.members)} members>"

    def _read_members(self) -> list[Member]:
        found = []
        at = len(_MAGIC)
        while at < len(self.data):
            header = bytes(self.data[at : at + _HEADER])
            if len(header) < _HEADER or header[58:] != b"`\n":
                raise MalformedElf(self.path, at, "a member's header is broken")
            try:
                size = int(header[48:58])
            except ValueError:
                raise MalformedElf(self.path, at + 48, "a member's size is no number") from None
            if size < 0 or at + _HEADER + size > len(self.data):
                raise MalformedElf(self.path, at + 48, f"a member of {size} bytes reaches beyond the end of the file")
            member = self._member(header[:16].decode("latin-1").rstrip(), at, size)
            if member is not None:
                found.append(member)
            at += _HEADER + size + size % 2
        return found

    def _member(self, name: str, header: int, size: int) -> Member | None:
        """The member, or None for one that belongs to the archive itself."""
        start = header + _HEADER
        if name in {"/", "/SYM64/"}:
            self._table = Member(name, header, start, size), 4 if name == "/" else 8
            return None
        if name == "//":
            self._long_names = bytes(self.data[start : start + size])
            return None
        if name.startswith("#1/") and name[3:].isdigit():  # BSD: the name stands before the contents
            length = int(name[3:])
            if length > size:
                raise MalformedElf(self.path, header, "a member's name is longer than the member")
            text = bytes(self.data[start : start + length]).rstrip(b"\0").decode("utf-8", "surrogateescape")
            return None if text.startswith("__.SYMDEF") else Member(text, header, start + length, size - length)
        if name.startswith("/") and name[1:].isdigit():  # GNU: an offset into the long names, each ending with "/\n"
            rest = self._long_names[int(name[1:]) :]
            return Member(rest.partition(b"/\n")[0].decode("utf-8", "surrogateescape"), header, start, size)
        return Member(name.removesuffix("/"), header, start, size)

    def elf(self, member: Member) -> Elf:
        """The member as an ELF file, called ``archive(member)``. Raises `MalformedElf` where it is none."""
        known = self._elfs.get(member.header)
        if known is None:
            contents = memoryview(self.data)[member.offset : member.offset + member.size]
            known = self._elfs[member.header] = read(contents, name=f"{self.path}({member.name})")
        return known

    @cached_property
    def symbols(self) -> dict[str, Member]:
        """Name → the first member that defines it, in the order of the table."""
        by_header = {m.header: m for m in self.members}
        found: dict[str, Member] = {}
        for name, header in self._table_entries() if self._table is not None else self._from_members():
            member = by_header.get(header)
            if member is None:
                raise MalformedElf(self.path, header, f"the symbol table has no member for {name}")
            found.setdefault(name, member)
        return found

    def _table_entries(self) -> list[tuple[str, int]]:
        """The symbol table: a big-endian count, that many offsets of headers, then the names."""
        if self._table is None:
            return []
        table, width = self._table
        data = bytes(self.data[table.offset : table.offset + table.size])
        code = "I" if width == 4 else "Q"
        if len(data) < width:
            raise MalformedElf(self.path, table.offset, "the symbol table is cut off")
        (count,) = struct.unpack_from(f">{code}", data)
        if width * (count + 1) > len(data):
            raise MalformedElf(self.path, table.offset, f"the symbol table of {count} entries is cut off")
        offsets = struct.unpack_from(f">{count}{code}", data, width)
        names = data[width * (count + 1) :].split(b"\0")
        if len(names) < count:
            raise MalformedElf(self.path, table.offset, "the symbol table has fewer names than entries")
        return [(name.decode("utf-8", "surrogateescape"), at) for name, at in zip(names, offsets, strict=False)]

    def _from_members(self) -> list[tuple[str, int]]:
        """The same from the members themselves, for an archive that `ranlib` has not seen."""
        return [
            (symbol.name, member.header)
            for member in self.members
            if bytes(self.data[member.offset : member.offset + 4]) == b"\x7fELF"
            for symbol in self.elf(member).static_symbols
            if symbol.binding != STB_LOCAL and symbol.section != SHN_UNDEF
        ]
