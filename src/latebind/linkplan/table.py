"""One object's symbols as the core searches them: file offsets of the tables, gathered from the dynamic section."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from latebind._core import SymbolTable
from latebind.elf import Elf
from latebind.elf import dynamic as dyn
from latebind.errors import MalformedElf

_tables: WeakKeyDictionary[Elf, SymbolTable] = WeakKeyDictionary()


def symbol_table(elf: Elf) -> SymbolTable:
    """The core's view of `elf`'s dynamic symbols, made once; `MalformedElf` for broken version records."""
    known = _tables.get(elf)
    if known is None:
        known = _tables[elf] = _make(elf)
    return known


def _make(elf: Elf) -> SymbolTable:
    values = elf.dynamic.values

    def offset(tag: int, name: str) -> int:
        return elf.addresses.offset(values[tag], name) if tag in values else -1

    def size(tag: int) -> int:
        return min(values.get(tag, 0), elf.source.size)  # a damaged number may be more than the core takes

    tables = (
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
    try:
        return SymbolTable(elf.data, elf.source.is64, elf.source.little, tables)
    except ValueError as e:
        raise MalformedElf(elf.path, int(e.args[0]), "a version record reaches beyond the file") from e
