"""Bytes → what an ELF file says. One module per ELF concept; no I/O but reading, and nothing is executed."""

from latebind.elf.dynamic import Dynamic, DynamicEntry
from latebind.elf.file import Elf, read
from latebind.elf.header import Header
from latebind.elf.note import Note
from latebind.elf.relocation import Relocation
from latebind.elf.section import Section
from latebind.elf.segment import Segment
from latebind.elf.symbol import Symbol

__all__ = [
    "Dynamic",
    "DynamicEntry",
    "Elf",
    "Header",
    "Note",
    "Relocation",
    "Section",
    "Segment",
    "Symbol",
    "read",
]
