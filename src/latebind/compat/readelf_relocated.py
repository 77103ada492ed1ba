"""The contents of a section of a relocatable file with the simple relocations for it applied (`apply_relocations`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from latebind.elf.header import ET_REL
from latebind.elf.raw.relocated import relocated
from latebind.elf.raw.relocation import read_relocation_rows
from latebind.elf.section import SHT_REL, SHT_RELA

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader


def relocated_contents(
    file: File, section: SectionHeader, contents: bytes, *, warn: Callable[[str], None] | None = None
) -> bytes:
    """`contents` with the relocations for `section` applied, in a relocatable file.

    `warn` is told of those that are left out.
    """
    if file.header.type != ET_REL:
        return contents
    for table in file.sections:
        if table.type not in (SHT_REL, SHT_RELA) or not 0 < table.info < len(file.sections):
            continue
        if file.sections[table.info] is not section or not 0 < table.link < len(file.sections) or not table.size:
            continue
        if file.take(table.offset, table.size, "relocation data") is None:
            return contents
        has_addend = table.type == SHT_RELA
        rows = read_relocation_rows(file.source, table.offset, table.size, has_addend=has_addend, machine=file.machine)
        symbols = file.symbols_of(file.sections[table.link], table.link) or []
        return relocated(
            contents, rows, symbols, machine=file.machine, source=file.source, has_addend=has_addend,
            warn=None if warn is None else partial(_warn, warn, file.shown_name(section)),
        )  # fmt: skip
    return contents


def _warn(warn: Callable[[str], None], section: str, message: str) -> None:
    warn(f"{message} section {section}")
