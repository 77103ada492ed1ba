"""The members of a static archive as the linker asks for them: by the names that they define."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from latebind.elf import read_member
from latebind.elf.symbol import SHN_UNDEF, STB_LOCAL
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.elf import Elf
    from latebind.elf.archive import Archive, Member


class Members:
    """Which member of `archive` defines what. Members are read when they are asked for, once."""

    def __init__(self, archive: Archive) -> None:
        self.path = archive.path
        self._archive = archive
        self._elfs: dict[int, Elf] = {}

    def elf(self, member: Member) -> Elf:
        """The member as an ELF file, called ``archive(member)``. Raises `MalformedElf` where it is none."""
        known = self._elfs.get(member.header)
        if known is None:
            known = self._elfs[member.header] = read_member(self._archive, member)
        return known

    @cached_property
    def definers(self) -> dict[str, Member]:
        """Name → the first member that defines it, in the order of the archive's symbol index."""
        by_header = {m.header: m for m in self._archive.members}
        found: dict[str, Member] = {}
        for name, header in self._archive.symbols or self._from_members():
            member = by_header.get(header)  # type: ignore[call-overload]  # the index says where headers are
            if member is None:
                raise MalformedElf(self.path, header, f"the symbol index has no member for {name}")
            found.setdefault(name, member)
        return found

    def _from_members(self) -> list[tuple[str, int]]:
        """The same from the members themselves, for an archive without an index (`ar S`)."""
        found = []
        for member in self._archive.members:
            try:
                elf = self.elf(member)
            except MalformedElf:  # archives may hold other files too
                continue
            names = (s.name for s in elf.static_symbols if s.binding != STB_LOCAL and s.section != SHN_UNDEF)
            found += [(name, int(member.header)) for name in names]
        return found
