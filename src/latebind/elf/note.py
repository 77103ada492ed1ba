"""Notes (gABI, "Note Section"): small named records for whoever reads the file; build-id and our own plugin note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.section import SHT_NOTE, Section
from latebind.elf.segment import PT_NOTE, Segment

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

NT_GNU_BUILD_ID = 3


@dataclass(frozen=True, slots=True)
class Note:
    """One note: who wrote it (`owner`), what kind (`type`, the owner's number) and its bytes (`desc`)."""

    owner: str
    type: int
    desc: bytes


def read_notes(source: ByteSource, segments: tuple[Segment, ...], sections: tuple[Section, ...]) -> tuple[Note, ...]:
    """All notes, through PT_NOTE segments; a file without segments (relocatable) is read through its sections."""
    places = [(s.offset, s.filesz, s.align) for s in segments if s.type == PT_NOTE]
    if not segments:
        places = [(s.offset, s.size, s.addralign) for s in sections if s.type == SHT_NOTE]
    return tuple(note for place in places for note in _notes_at(source, *place))


def _notes_at(source: ByteSource, offset: int, size: int, align: int) -> list[Note]:
    source.take(offset, size, "note segment")
    step = 8 if align == 8 else 4  # GNU property notes of 64-bit files are the only ones that align to 8
    notes, at, end = [], offset, offset + size
    while at + 12 <= end:
        name_size, desc_size, kind = source.unpack("III", at, "note header")
        name_at = at + 12
        desc_at = name_at + (name_size + step - 1) // step * step if step == 4 else (name_at + name_size + 7) // 8 * 8
        if desc_at + desc_size > end:
            raise source.malformed(f"a note of {name_size}+{desc_size} bytes reaches beyond its segment", at)
        owner = source.take(name_at, name_size, "note owner").rstrip(b"\0").decode("latin-1")
        notes.append(Note(owner, kind, source.take(desc_at, desc_size, "note")))
        at = (desc_at + desc_size + step - 1) // step * step
    return notes
