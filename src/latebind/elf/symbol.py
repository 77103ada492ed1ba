"""Symbol tables (gABI, "Symbol Table"), dynamic and static, with the version of each dynamic symbol.

A table is read column by column (all names, all values, …), because a loop over records in Python costs ten times
what the loops inside `array` and `dict` cost; table.py makes records of the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.names import SYMBOL_BINDINGS, SYMBOL_TYPES, SYMBOL_VISIBILITIES
from latebind.elf.table import Table
from latebind.elf.version import VERSYM_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf.bytesource import ByteSource, StringTable

STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 0, 1, 2, 10
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 3, 4, 5, 6, 10
STV_DEFAULT, STV_INTERNAL, STV_HIDDEN, STV_PROTECTED = 0, 1, 2, 3
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF


class Symbol(NamedTuple):
    """One symbol. `value` is a virtual address (an offset in the TLS block for STT_TLS), `size` bytes.

    `section` is the number of the section that the symbol belongs to, SHN_UNDEF, SHN_ABS or SHN_COMMON; in a file
    with more than 0xff00 sections the number is already that of the SHT_SYMTAB_SHNDX table.
    `version` is None where the file gives none; `default` marks the definition that an unversioned link takes
    (``name@@V``), as against older versions, references, and copies of another file's data (``name@V``).
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a symbol
    name: str
    value: int
    size: int
    info: int
    other: int
    section: int
    version: str | None
    default: bool

    @property
    def type(self) -> int:
        """ELF_ST_TYPE: STT_FUNC and so on."""
        return self.info & 0xF

    @property
    def binding(self) -> int:
        """ELF_ST_BIND: STB_GLOBAL and so on."""
        return self.info >> 4

    @property
    def visibility(self) -> int:
        """ELF_ST_VISIBILITY: STV_DEFAULT and so on."""
        return self.other & 3

    @property
    def defined(self) -> bool:
        """Whether this file defines the symbol."""
        return self.section != SHN_UNDEF

    @property
    def exported(self) -> bool:
        """Whether other objects can bind to it."""
        return self.defined and self.binding != STB_LOCAL and self.visibility in (STV_DEFAULT, STV_PROTECTED)

    @property
    def type_name(self) -> str:
        """``"FUNC"``, ``"GNU_IFUNC"``, …."""
        return SYMBOL_TYPES.get(self.type, f"type {self.type}")

    @property
    def binding_name(self) -> str:
        """``"GLOBAL"``, ``"WEAK"``, …."""
        return SYMBOL_BINDINGS.get(self.binding, f"binding {self.binding}")

    @property
    def visibility_name(self) -> str:
        """``"DEFAULT"``, ``"HIDDEN"``, …."""
        return SYMBOL_VISIBILITIES[self.visibility]

    @property
    def versioned_name(self) -> str:
        """``name@@VERSION`` for a default definition, ``name@VERSION`` for the others, as binutils write it."""
        if self.version is None:
            return self.name
        return f"{self.name}{'@@' if self.default else '@'}{self.version}"


class SymbolLayout(NamedTuple):
    """Where a symbol table is: file offset, number of entries, its strings, and its SHT_SYMTAB_SHNDX if it has one."""

    offset: int
    length: int
    strings: StringTable
    extended: int | None = None


def symbol_size(source: ByteSource) -> int:
    """The size of one symbol in bytes."""
    return 24 if source.is64 else 16


def read_symbols(
    source: ByteSource,
    layout: SymbolLayout,
    versym_offset: int | None = None,
    version_names: dict[int, str] | None = None,
    defined_versions: frozenset[int] = frozenset(),
) -> Table[Symbol]:
    """All symbols of one table.

    `versym_offset` is the file offset of the parallel Versym array (DT_VERSYM), `version_names` index → name, and
    `defined_versions` the indexes that the file defines itself.
    """
    count = layout.length
    source.view(layout.offset, count * symbol_size(source), "symbol table")
    source.spend("symbol tables", count * symbol_size(source), layout.offset)
    names, values, sizes, infos, others, sections = _columns(source, layout.offset, count)
    texts = layout.strings.many(names)
    if layout.extended is not None and SHN_XINDEX in sections:
        sections = _extend(sections, source.numbers(layout.extended, count, 4, "SHT_SYMTAB_SHNDX table"))
    versions: list[str | None] = [None] * count
    defaults = [False] * count
    if versym_offset is not None:
        versym = source.numbers(versym_offset, count, 2, "DT_VERSYM table")
        known = version_names or {}
        # A Versym without the hidden bit is its own index, so the set of defined versions answers "default?" itself.
        versions = list(map({v: known.get(v & VERSYM_VERSION) for v in set(versym)}.__getitem__, versym))
        defaults = list(map(defined_versions.__contains__, versym))
    return Table(Symbol, (range(count), texts, values, sizes, infos, others, sections, versions, defaults))


def _columns(source: ByteSource, offset: int, count: int) -> tuple[Sequence[int], ...]:
    """st_name, st_value, st_size, st_info, st_other and st_shndx of `count` symbols, as columns of plain numbers."""
    size = symbol_size(source)
    octets = source.view(offset, count * size, "symbol table")
    halves = source.numbers(offset, count * size // 2, 2, "symbol table")
    words = source.numbers(offset, count * size // 4, 4, "symbol table")
    if source.is64:
        longs = source.numbers(offset, count * 3, 8, "symbol table")
        return words[0::6], longs[1::3], longs[2::3], bytes(octets[4::24]), bytes(octets[5::24]), halves[3::12]
    return words[0::4], words[1::4], words[2::4], bytes(octets[12::16]), bytes(octets[13::16]), halves[7::8]


def _extend(sections: Sequence[int], extended: Sequence[int]) -> list[int]:
    return [real if short == SHN_XINDEX else short for short, real in zip(sections, extended, strict=True)]
