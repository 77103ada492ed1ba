"""Notes (gABI, "Note Section") as they stand in a run of bytes: the owner as bytes, with both rules of padding.

The bytes are given, not read from the file: in a relocatable file they must be relocated first (`relocated`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import ByteSource


class NoteRecord(NamedTuple):
    """One note. `name` is what the owner field holds, closing NUL included; `name_size` is the size that it states."""

    offset: int
    type: int
    name_size: int
    name: bytes
    desc: bytes


def read_note_records(source: ByteSource, align: int) -> Iterator[NoteRecord]:
    """The notes in all of `source`, which holds a note section and nothing else; `align` is 4 or 8.

    A note of which a part is missing ends the iteration with `MalformedElf`, after the notes before it.
    """
    at = 0
    while at < source.size:
        if source.size - at < 12:
            raise MalformedElf(source.name, at, f"only {source.size - at} bytes remain, not enough for a note")
        name_size, desc_size, kind = source.unpack("III", at, "note")
        # The description starts at a multiple of the alignment counted from the start of the note (12 bytes of header
        # included), which is the same as from the section's start.
        desc_at = (12 + name_size + align - 1) // align * align
        following = desc_at + (desc_size + align - 1) // align * align
        if following > source.size - at:
            raise MalformedElf(
                source.name,
                at,
                f"a note states {name_size} bytes of name and {desc_size} of description, which are not there",
            )
        name = source.take(at + 12, name_size, "note owner")
        yield NoteRecord(at, kind, name_size, name, source.take(at + desc_at, desc_size, "note description"))
        at += following
