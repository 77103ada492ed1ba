"""Section groups (gABI, "Section Groups"): sections of a relocatable file that are kept or dropped together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

GRP_COMDAT, GRP_MASKOS, GRP_MASKPROC = 0x1, 0x0FF00000, 0xF0000000


class Group(NamedTuple):
    """One SHT_GROUP section: its flags (GRP_COMDAT) and the indexes of its members."""

    flags: int
    members: tuple[int, ...]


def read_group(source: ByteSource, offset: int, size: int) -> Group:
    """The group in `size` bytes at `offset`; raises `MalformedElf` where they are not in the file or too few."""
    if size < 4:
        raise source.malformed(f"a section group of {size} bytes has no room for its flags", offset)
    flags, *members = (row[0] for row in source.records("I", offset, size // 4, "section group"))
    return Group(flags, tuple(members))
