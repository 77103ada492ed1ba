"""`readelf -V`: the version sections; and the version of a dynamic symbol, for the tables that name symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.compat.readelf_sections import SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM
from latebind.compat.text import c_string
from latebind.elf import dynamic as dt
from latebind.elf.raw.version import read_definitions, read_needs
from latebind.elf.version import VER_FLG_BASE, VERSYM_HIDDEN, VERSYM_VERSION

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.raw.version import Definition

_FLAGS: Final = ((0x1, "BASE"), (0x2, "WEAK"), (0x4, "INFO"))
_HIDDEN_GLOBAL: Final = VERSYM_HIDDEN | 1  # an index that never means a definition
_UNBOUNDED: Final = 1 << 15  # there are no more indexes than that


def show_versions(file: File) -> None:
    """Print the version sections in the order in which they stand."""
    found = False
    for section in file.sections:
        if section.type == SHT_GNU_VERDEF:
            found = True
            _show_definitions(file, section)
        elif section.type == SHT_GNU_VERNEED:
            found = True
            _show_needs(file, section)
        elif section.type == SHT_GNU_VERSYM:
            found = _show_symbol_versions(file, section) or found
    if not found:
        file.out.write("\nNo version information found in this file.\n")


def _heading(file: File, section: SectionHeader, what: str, count: int) -> str:
    entries = "entry" if count == 1 else "entries"
    return (
        f"\n{what} section '{file.shown_name(section)}' contains {count} {entries}:\n"
        f" Addr: 0x{section.addr:016x}  Offset: 0x{section.offset:08x}  "
        f"Link: {section.link} ({file.shown_name_at(section.link)})\n"
    )


def _flag_names(flags: int) -> str:
    names = [name for bit, name in _FLAGS if flags & bit]
    if flags & ~0x7:
        names.append("<unknown>")
    return " | ".join(names) or "none"


def _offset(number: int) -> str:
    """C's ``%#06x``: zero has no prefix."""
    return f"{number:#06x}" if number else "000000"


def _string(file: File, index: int) -> str | None:
    strings = file.dynamic_strings
    return c_string(strings, index) if strings is not None and index < len(strings) else None


def _show_definitions(file: File, section: SectionHeader) -> None:
    out = file.out
    out.write(_heading(file, section, "Version definition", section.info))
    if file.take(section.offset, section.size, "version definition section") is None:
        return
    definitions, complete = read_definitions(file.source, section.offset, section.size, section.info)
    for record in definitions:
        out.write(
            f"  {_offset(record.offset)}: Rev: {record.revision}  Flags: {_flag_names(record.flags)}"
            f"  Index: {record.number}  Cnt: {record.name_count}  {_definition_names(file, record)}"
        )
        if not record.complete:
            out.write("  Version def aux past end of section\n")
    if not complete:
        out.write("  Version definition past end of section\n")


def _definition_names(file: File, record: Definition) -> str:
    lines = []
    for number, (offset, index) in enumerate(record.names):
        name = _string(file, index)
        if number == 0:
            lines.append(f"Name index: {index}\n" if name is None else f"Name: {name}\n")
        elif name is None:
            lines.append(f"  {_offset(offset)}: Parent {number}, name index: {index}\n")
        else:
            lines.append(f"  {_offset(offset)}: Parent {number}: {name}\n")
    return "".join(lines)


def _show_needs(file: File, section: SectionHeader) -> None:
    out = file.out
    out.write(_heading(file, section, "Version needs", section.info))
    if file.take(section.offset, section.size, "Version Needs section") is None:
        return
    needs, complete = read_needs(file.source, section.offset, section.size, section.info)
    for record in needs:
        needed = _string(file, record.file)
        out.write(
            f"  {_offset(record.offset)}: Version: {record.revision}  "
            f"File: {f'{record.file:x}' if needed is None else needed}  Cnt: {record.name_count}\n"
        )
        for offset, flags, other, index in record.names:
            name = _string(file, index)
            shown = f"Name index: {index:x}" if name is None else f"Name: {name}"
            out.write(f"  {_offset(offset)}:   {shown}  Flags: {_flag_names(flags)}  Version: {other}\n")
        if not record.complete:
            out.warn("Missing Version Needs auxiliary information")
    if not complete:
        out.warn("Missing Version Needs information")


# the versions of symbols ---------------------------------------------------------------------------------------


class Known(NamedTuple):
    """The versions that the dynamic section points to: index → name (an offset in the string table)."""

    definitions: dict[int, tuple[int, int]]
    """The first definition of each index: its flags and its name."""
    needs: dict[int, int]
    """The first need of each index, hidden bit included."""
    highest: int
    """The highest index that is defined."""


def known_versions(file: File) -> Known:
    """Read DT_VERDEF and DT_VERNEED; what is broken is left out."""
    definitions: dict[int, tuple[int, int]] = {}
    needs: dict[int, int] = {}
    highest = 0
    info, source = file.dynamic_info, file.source
    if address := info.get(dt.DT_VERDEF, 0):
        at = file.offset_of(address, 20)
        for record in read_definitions(source, at, max(source.size - at, 0), _UNBOUNDED)[0]:
            highest = max(highest, record.number & VERSYM_VERSION)
            if record.names:
                definitions.setdefault(record.number, (record.flags, record.names[0].name))
    if address := info.get(dt.DT_VERNEED, 0):
        at = file.offset_of(address, 16)
        for need in read_needs(source, at, max(source.size - at, 0), _UNBOUNDED)[0]:
            for name in need.names:
                needs.setdefault(name.other, name.name)
    return Known(definitions, needs, highest)


class SymbolVersion(NamedTuple):
    """The version of a symbol: its name, how it is bound, and the index by which a need is known."""

    name: str
    kind: str
    """``"@@"`` for the default definition, ``"@"`` for a hidden one, ``"needed"``."""
    number: int


class SymbolVersions:
    """Finds the version of each dynamic symbol, as readelf appends it to the name.

    `strings` is the string table of the symbols.
    """

    def __init__(self, file: File, strings: bytes) -> None:
        self._strings = strings
        self._known = known_versions(file)
        self._needs = bool(file.dynamic_info.get(dt.DT_VERNEED))
        self._definitions = bool(file.dynamic_info.get(dt.DT_VERDEF))
        self._cache: dict[tuple[int, bool], SymbolVersion | None] = {}

    def of(self, index: int, name: int, *, defined: bool) -> SymbolVersion | None:
        """The version with the Versym entry `index` for the symbol called `name`, or None.

        `name` is the symbol's offset in the string table: a definition that is called like its version has none.
        """
        key = index, defined
        if defined and name == self._known.definitions.get(index & VERSYM_VERSION, (0, -1))[1]:
            return self._find(index, name, defined=defined)
        if key not in self._cache:
            self._cache[key] = self._find(index, -1, defined=defined)
        return self._cache[key]

    def _find(self, index: int, name: int, *, defined: bool) -> SymbolVersion | None:
        if not index:
            return None
        kind = "@" if index & VERSYM_HIDDEN else "@@"
        highest = 0  # which readelf knows only after it has looked for a definition
        if defined and index != _HIDDEN_GLOBAL and self._definitions:
            highest = self._known.highest
            flags, version = self._known.definitions.get(index & VERSYM_VERSION, (0, name))
            if index & VERSYM_VERSION == 1 and flags == VER_FLG_BASE:
                return None
            if version != name:
                return SymbolVersion(self._text(version), kind, index)
        return self._find_need(index, kind, highest) if self._needs else None

    def _find_need(self, index: int, kind: str, highest: int) -> SymbolVersion | None:
        if (needed := self._known.needs.get(index)) is not None:
            return SymbolVersion(self._text(needed), "needed", index)
        number = index & VERSYM_VERSION
        unknown = (highest or number != 1) and number > highest
        return SymbolVersion("<corrupt>", kind, index) if unknown else None

    def _text(self, offset: int) -> str:
        return c_string(self._strings, offset) if offset < len(self._strings) else "<corrupt>"


def symbol_version_indexes(file: File, count: int) -> list[int]:
    """The version index of each of `count` dynamic symbols; 0 for all where the file has none, or too few."""
    address = file.dynamic_info.get(dt.DT_VERSYM, 0)
    if not address:
        return [0] * count
    at = file.offset_of(address, 2 * count)
    there = max(min(count, (file.source.size - at) // 2), 0)
    if there < count:
        file.out.error(f"Reading {2 * count} bytes extends past end of file for version data")
    indexes = [row[0] for row in file.source.records("H", at, there, "version data")]
    return indexes + [0] * (count - there)


def _show_symbol_versions(file: File, section: SectionHeader) -> bool:
    """Print SHT_GNU_versym, four symbols a line. False where it does not say whose versions it holds."""
    if section.link >= len(file.sections):
        return False
    symbols_section = file.sections[section.link]
    if symbols_section.link >= len(file.sections):
        return False
    symbols = file.symbols_of(symbols_section, section.link)
    strings = file.strings_of(symbols_section, "version string table")
    if symbols is None or not strings:
        return True
    total = section.size // 2
    file.out.write(_heading(file, section, "Version symbols", total))
    at = file.offset_of(file.dynamic_info.get(dt.DT_VERSYM, 0), 2 * total)
    if file.take(at, 2 * total, "version symbol data") is None:
        return True
    known = known_versions(file)
    cells: dict[int, str] = {}
    row: list[str] = []
    for number, (index,) in enumerate(file.source.records("H", at, total, "version symbol data")):
        if number % 4 == 0:
            row.append(f"{'' if number == 0 else chr(10)}  {number:03x}:")
        if index not in cells:
            cells[index] = _cell(index, known, strings)
        if number >= len(symbols) and index > 1:
            file.out.warn("invalid index into symbol array")
            row.append(f"{index & VERSYM_VERSION:4x}{'h' if index & VERSYM_HIDDEN else ' '}")
        else:
            row.append(cells[index])
    file.out.write("".join(row) + ("\n" if row else ""))
    return True


def _cell(index: int, known: Known, strings: bytes) -> str:
    """One symbol's version in 18 columns: its number, ``h`` for hidden, and its name."""
    if index < 2:
        return ("   0 (*local*)    ", "   1 (*global*)   ")[index]

    def text(offset: int) -> str:
        return c_string(strings, offset) if offset < len(strings) else "*invalid*"

    number = index & VERSYM_VERSION
    name = text(known.needs[index]) if index in known.needs else None
    if index != _HIDDEN_GLOBAL and number in known.definitions:
        offset = known.definitions[number][1]
        if offset >= len(strings):
            name = "*invalid*"
        elif name is not None and name != "*invalid*":
            name = "*both*"
        else:
            name = text(offset)
    shown = f"{number:4x}{'h' if index & VERSYM_HIDDEN else ' '}"
    if name is not None:
        # A long name makes readelf's padding negative, which C takes for its size.
        shown += f"({name}{')'.ljust(abs(12 - len(name)))}"
    return shown.ljust(18)
