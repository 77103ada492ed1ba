"""One object's tables as the core reads them: its symbols, ready to be searched, and its layout."""

from __future__ import annotations

from latebind._core import SymbolTable, layout
from latebind.elf import Elf
from latebind.elf import dynamic as dyn
from latebind.elf.layout import Layout
from latebind.elf.numbers import ELFCLASS64, ELFDATA2LSB
from latebind.errors import MalformedElf
from latebind.linkplan.machines import MACHINES, UNKNOWN


def layout_of(elf: Elf) -> Layout | None:
    """The layout of `elf`, read once; None where the file is not plain, and `elf` itself has to be asked."""
    known = elf.layout
    if known is None:
        known = elf.layout = _read_layout(elf)
    return known or None


def _read_layout(elf: Elf) -> Layout | tuple[()]:
    """The same; empty for None."""
    summary = elf.summary
    largest_page = MACHINES.get(summary.machine, UNKNOWN).largest_page
    is64, little = summary.elf_class == ELFCLASS64, summary.data == ELFDATA2LSB
    found = layout(elf.data, is64, little, largest_page)
    return () if found is None else Layout(*found)


def symbol_table(elf: Elf) -> SymbolTable:
    """The core's view of `elf`'s dynamic symbols, made once; `MalformedElf` for broken version records."""
    known = elf.symbols_in_core
    if known is None:
        known = elf.symbols_in_core = _make(elf)
    return known


def _make(elf: Elf) -> SymbolTable:
    plain, summary = layout_of(elf), elf.summary
    found, size = plain.tables if plain is not None else _places(elf), len(elf.data)
    # DT_STRSZ, DT_VERDEFNUM, DT_VERNEEDNUM: damaged ones may be more than the core takes.
    tables = (*found[:2], min(found[2], size), *found[3:7], min(found[7], size), found[8], min(found[9], size))
    try:
        return SymbolTable(elf.data, summary.elf_class == ELFCLASS64, summary.data == ELFDATA2LSB, tables)
    except ValueError as e:
        raise MalformedElf(elf.path, int(e.args[0]), "a version record reaches beyond the file") from e


def _places(elf: Elf) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    values = elf.dynamic.values

    def offset(tag: int, name: str) -> int:
        return elf.addresses.offset(values[tag], name) if tag in values else -1

    def size(tag: int) -> int:
        return min(values.get(tag, 0), elf.source.size)  # a damaged number may be more than the core takes

    return (
        offset(dyn.DT_SYMTAB, "DT_SYMTAB"),
        offset(dyn.DT_STRTAB, "DT_STRTAB"),
        size(dyn.DT_STRSZ),
        offset(dyn.DT_GNU_HASH, "DT_GNU_HASH"),
        offset(dyn.DT_HASH, "DT_HASH"),
        offset(dyn.DT_VERSYM, "DT_VERSYM"),
        offset(dyn.DT_VERDEF, "DT_VERDEF"),
        size(dyn.DT_VERDEFNUM),
        offset(dyn.DT_VERNEED, "DT_VERNEED"),
        size(dyn.DT_VERNEEDNUM),
    )
