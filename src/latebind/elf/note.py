"""Notes (gABI, "Note Section"): small named records for whoever reads the file; what they mean is in known_note.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.bytesource import compiled
from latebind.elf.section import SHT_NOTE, Section
from latebind.elf.segment import PT_NOTE, Segment

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

NT_GNU_BUILD_ID = 3
NT_FDO_DLOPEN = 0x407C0C0A  # uapi-group.org: "ELF dlopen metadata"


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


def read_section_notes(
    source: ByteSource, segments: tuple[Segment, ...], sections: tuple[Section, ...]
) -> tuple[Note, ...]:
    """The notes that no PT_NOTE segment holds: those in sections that are not loaded, as systemtap's probes."""
    covered = [(s.offset, s.offset + s.filesz) for s in segments if s.type == PT_NOTE]
    if not covered and not segments:
        return ()  # then `read_notes` has them
    source.spend("note sections", len(covered) * sum(s.type == SHT_NOTE for s in sections))
    return tuple(
        note
        for s in sections
        if s.type == SHT_NOTE and not any(start <= s.offset < end for start, end in covered)
        for note in _notes_at(source, s.offset, s.size, s.addralign)
    )


def _notes_at(source: ByteSource, offset: int, size: int, align: int) -> list[Note]:
    data = source.take(offset, size, "note segment")
    source.spend("notes", size, offset)
    step = 8 if align == 8 else 4  # GNU property notes of 64-bit files are the only ones that align to 8
    head = compiled(source.prefix, "III")
    notes, at = [], 0
    while at + 12 <= size:
        name_size, desc_size, kind = head.unpack_from(data, at)
        desc_at = _round_up(at + 12 + name_size, step)
        if desc_at + desc_size > size:
            raise source.malformed(f"a note of {name_size}+{desc_size} bytes reaches beyond its segment", offset + at)
        owner = data[at + 12 : at + 12 + name_size].rstrip(b"\0").decode("latin-1")
        notes.append(Note(owner, kind, data[desc_at : desc_at + desc_size]))
        at = _round_up(desc_at + desc_size, step)
    return notes


def _round_up(number: int, step: int) -> int:
    return (number + step - 1) // step * step
