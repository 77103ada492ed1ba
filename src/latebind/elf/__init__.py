"""Bytes → what an ELF file says. One module per ELF concept; no I/O but reading, and nothing is executed.

`read` gives an `Elf`; `read_archive` and `read_member` open static archives, `read_process` looks into a process.
The types of the less common tables live in the modules of their concepts: `archive`, `core_file`, `gnu_property`,
`got`, `init_array`, `known_note`, `memory`, `plt`, `section_relocation`, `symbolhash`, `table`, `version`.
"""

from latebind.elf.dynamic import Dynamic, DynamicEntry
from latebind.elf.file import Elf
from latebind.elf.header import Header
from latebind.elf.note import Note
from latebind.elf.reading import read, read_archive, read_member, read_process
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
    "read_archive",
    "read_member",
    "read_process",
]
