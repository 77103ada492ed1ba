"""Symbol tables (gABI, "Symbol Table"), dynamic and static, with the version of each dynamic symbol.

Symbols are named tuples for the same reason as relocations: tables are long, and tuples are cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.names import SYMBOL_BINDINGS, SYMBOL_TYPES, SYMBOL_VISIBILITIES
from latebind.elf.version import VER_NDX_GLOBAL, VERSYM_VERSION

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource, StringTable

STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 0, 1, 2, 10
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 3, 4, 5, 6, 10
STV_DEFAULT, STV_INTERNAL, STV_HIDDEN, STV_PROTECTED = 0, 1, 2, 3
SHN_UNDEF, SHN_ABS, SHN_COMMON = 0, 0xFFF1, 0xFFF2


class Symbol(NamedTuple):
    """One symbol. `value` is a virtual address (an offset in the TLS block for STT_TLS), `size` bytes.

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
    """Where a symbol table is: file offset, number of entries, its strings."""

    offset: int
    length: int
    strings: StringTable


def read_symbols(
    source: ByteSource,
    layout: SymbolLayout,
    versym_offset: int | None = None,
    version_names: dict[int, str] | None = None,
    defined_versions: frozenset[int] = frozenset(),
) -> tuple[Symbol, ...]:
    """All symbols of one table.

    `versym_offset` is the file offset of the parallel Versym array (DT_VERSYM), `version_names` index → name, and
    `defined_versions` the indexes that the file defines itself.
    """
    form = "IBBHQQ" if source.is64 else "IIIBBH"
    rows = source.records(form, layout.offset, layout.length, "symbol table")  # checks the length against the file
    if versym_offset is None:
        versions = [VER_NDX_GLOBAL] * layout.length
    else:
        versions = [row[0] for row in source.records("H", versym_offset, layout.length, "DT_VERSYM table")]
    # A Versym without the hidden bit is its own index, so the set of defined versions answers "default?" by itself.
    names, strings, default = version_names or {}, layout.strings, defined_versions
    if source.is64:
        return tuple(
            Symbol(i, strings[name], value, size, info, other, section, names.get(v & VERSYM_VERSION), v in default)
            for i, ((name, info, other, section, value, size), v) in enumerate(zip(rows, versions, strict=True))
        )
    return tuple(
        Symbol(i, strings[name], value, size, info, other, section, names.get(v & VERSYM_VERSION), v in default)
        for i, ((name, value, size, info, other, section), v) in enumerate(zip(rows, versions, strict=True))
    )
