"""`readelf -s` and `--dyn-syms`: the symbol tables.

These are among the longest tables that there are, so what repeats from symbol to symbol (types, bindings, sections,
versions) is turned into text once.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_file import ELFOSABI_FREEBSD, ELFOSABI_GNU, ELFOSABI_SOLARIS, X86_64_FAMILY
from latebind.compat.readelf_sections import SHT_SYMTAB
from latebind.compat.readelf_versions import SymbolVersion, SymbolVersions, symbol_version_indexes
from latebind.compat.text import c_string, symbol_cut, symbol_text
from latebind.elf import dynamic as dt
from latebind.elf.section import SHT_DYNSYM
from latebind.elf.symbol import SHN_ABS, SHN_COMMON, STB_GNU_UNIQUE, STT_GNU_IFUNC, STT_SECTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.raw.symbol import Row as SymbolTuple

_BINDINGS: Final = {0: "LOCAL", 1: "GLOBAL", 2: "WEAK"}
_TYPES: Final = {
    0: "NOTYPE",
    1: "OBJECT",
    2: "FUNC",
    3: "SECTION",
    4: "FILE",
    5: "COMMON",
    6: "TLS",
    8: "RELC",
    9: "SRELC",
}
_MACHINE_TYPES: Final = {(40, 13): "THUMB_FUNC", (43, 13): "REGISTER", (15, 13): "PARISC_MILLI"}
_PARISC_OS_TYPES: Final = {11: "HP_OPAQUE", 12: "HP_STUB"}
_VISIBILITIES: Final = ("DEFAULT", "INTERNAL", "HIDDEN", "PROTECTED")
_SOLARIS_VISIBILITIES: Final = {4: "EXPORTED", 5: "SINGLETON", 6: "ELIMINATE"}
_EM_PARISC, _EM_MIPS, _EM_C6000, _EM_IA_64, _EM_PPC64, _EM_AARCH64, _EM_RISCV, _EM_ALPHA = (
    15, 8, 140, 50, 21, 183, 243, 0x9026,
)  # fmt: skip
_LARGE_COMMON: Final = 0xFF02  # SHN_X86_64_LCOMMON
_MIPS_SCOMMON, _MIPS_SUNDEFINED = 0xFF03, 0xFF04
_SHN_LORESERVE, _SHN_LOOS, _SHN_HIOS = 0xFF00, 0xFF20, 0xFF3F
_NAME_COLUMNS: Final = 21


def binding_text(file: File, binding: int) -> str:
    """What readelf calls the binding."""
    if binding in _BINDINGS:
        return _BINDINGS[binding]
    if binding >= 13:
        return f"<processor specific>: {binding}"
    if binding == STB_GNU_UNIQUE and file.os_abi == ELFOSABI_GNU:
        return "UNIQUE"
    return f"<OS specific>: {binding}" if binding >= 10 else f"<unknown>: {binding}"


def type_text(file: File, kind: int) -> str:
    """What readelf calls the type of a symbol."""
    if kind in _TYPES:
        return _TYPES[kind]
    if kind >= 13:
        return _MACHINE_TYPES.get((file.machine, kind)) or f"<processor specific>: {kind}"
    if kind < 10:
        return f"<unknown>: {kind}"
    if file.machine == _EM_PARISC and kind in _PARISC_OS_TYPES:
        return _PARISC_OS_TYPES[kind]
    if kind == STT_GNU_IFUNC and file.os_abi in (ELFOSABI_GNU, ELFOSABI_FREEBSD):
        return "IFUNC"
    return f"<OS specific>: {kind}"


def special_section(file: File, index: int) -> str | None:
    """The name of an index that is no section but means something on this machine."""
    if index in (_MIPS_SCOMMON, _MIPS_SUNDEFINED) and file.machine == _EM_MIPS:
        return "SCOM" if index == _MIPS_SCOMMON else "SUND"
    if index == _MIPS_SCOMMON and file.machine == _EM_C6000:
        return "SCOM"
    if index == _LARGE_COMMON and file.machine in X86_64_FAMILY:
        return "LARGE_COM"
    if index == _SHN_LORESERVE and file.machine == _EM_IA_64 and file.os_abi == 1:
        return "ANSI_COM"
    return {SHN_ABS: "ABS", SHN_COMMON: "COM"}.get(index)


def section_index_text(file: File, index: int, *, extended: bool) -> str:
    """The column Ndx. `extended` says that the table has an SHT_SYMTAB_SHNDX (see `with_extended_sections`)."""
    if index >= 0xFFFFFF00 or (index >= _SHN_LORESERVE and not extended):
        index &= 0xFFFF
        if (name := special_section(file, index)) is not None:
            return name
        kind = "PRC" if index < _SHN_LOOS else "OS " if index <= _SHN_HIOS else "RSV"
        return f"{kind}[0x{index:04x}]"
    if not index:
        return "UND"
    if file.section_count and index >= file.section_count:
        return f"bad section index[{index:3}]"
    return f"{index:3}"


def _other_text(file: File, other: int) -> str:
    """What the bits of `st_other` above the visibility mean."""
    text = None
    machine = file.machine
    if machine == _EM_ALPHA:
        text = {0x80: "NOPV", 0x88: "STD GPLOAD"}.get(other)
        if text is None:
            file.out.error(f"Unrecognized alpha specific other value: {other}")
            text = "<unknown>"
    elif machine == _EM_AARCH64 and other & 0x80:
        text = "VARIANT_PCS" if other == 0x80 else f"VARIANT_PCS | {other & 0x7F:x}"
    elif machine == _EM_MIPS:
        text = {
            0x4: "OPTIONAL", 0x8: "MIPS PLT", 0x20: "MIPS PIC", 0x80: "MICROMIPS", 0xA0: "MICROMIPS, MIPS PIC",
            0xF0: "MIPS16",
        }.get(other)  # fmt: skip
    elif machine == _EM_PPC64 and not other & ~0xE0 and other >> 5 <= 6:
        entry = other >> 5
        text = f"<localentry>: {(1 << entry >> 2) << 2 if entry >= 2 else entry}"
    elif machine == _EM_RISCV:
        rest = other & 0x7F
        text = f"{rest:x}" if rest else "VARIANT_CC"
    return f"<other>: {other:x}" if text is None else text


def _visibility_text(file: File, other: int) -> str:
    if file.os_abi == ELFOSABI_SOLARIS:
        name = _SOLARIS_VISIBILITIES.get(other) or (_VISIBILITIES[other] if other < 4 else None)
        if name is None:
            file.out.error(f"Unrecognized visibility value: {other}")
        return f" {name or '<unknown>':<7}"
    visibility = other & 3
    more = f" [{_other_text(file, other ^ visibility)}] " if other != visibility else ""
    return f" {_VISIBILITIES[visibility]:<7}{more}"


def show_symbols(file: File) -> None:
    """Print the symbol tables that were asked for."""
    options, out = file.options, file.out
    if not options.symbols and not options.dynamic_symbols:
        return
    hashed = file.dynamic_info.get(dt.DT_HASH) or file.dynamic_info.get(dt.DT_GNU_HASH)
    through_dynamic = options.symbols and options.use_dynamic
    if hashed and through_dynamic and file.dynamic_strings is not None and file.dynamic_symbols is not None:
        rows = file.dynamic_symbols
        out.write(f"\nSymbol table for image contains {_entries(len(rows))}:\n{_heading(file)}")
        _write_rows(file, rows, None, file.dynamic_strings, extended=False)
    elif (options.dynamic_symbols or (options.symbols and not options.use_dynamic)) and file.sections:
        for index, section in enumerate(file.sections):
            if section.type == SHT_DYNSYM or (section.type == SHT_SYMTAB and options.symbols):
                _show_table(file, index, section)
    elif options.symbols:
        out.write("\nDynamic symbol information is not available for displaying symbols.\n")


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _heading(file: File) -> str:
    if file.is64:
        return "   Num:    Value          Size Type    Bind   Vis      Ndx Name\n"
    return "   Num:    Value  Size Type    Bind   Vis      Ndx Name\n"


def _show_table(file: File, index: int, section: SectionHeader) -> None:
    name = file.shown_name(section)
    if not section.entsize:
        file.out.write(f"\nSymbol table '{name}' has a sh_entsize of zero!\n")
        return
    file.out.write(f"\nSymbol table '{name}' contains {_entries(section.size // section.entsize)}:\n{_heading(file)}")
    rows = file.symbols_of(section, index)
    if rows is not None:
        strings = file.strings_of(section, "string table")
        _write_rows(file, rows, section, strings, extended=bool(file.index_sections(index)))


def _write_rows(
    file: File, rows: list[SymbolTuple], section: SectionHeader | None, strings: bytes, *, extended: bool
) -> None:
    """All lines of one table; `section` is None for the table that the dynamic section gives."""
    dynamic = section is None or section.type == SHT_DYNSYM
    versions = SymbolVersions(file, strings) if dynamic else None
    indexes: Iterable[int] = symbol_version_indexes(file, len(rows)) if dynamic else repeat(0)
    kinds: dict[int, str] = {}
    visibilities: dict[int, str] = {}
    places: dict[int, str] = {}
    wide, address_form = file.options.wide, file.address_form
    first_global = section.info if section is not None else 0
    ordered = section is not None and file.machine != _EM_MIPS and file.os_abi != ELFOSABI_SOLARIS
    lines: list[str] = []
    append = lines.append
    find = strings.find
    for number, ((name, info, other, shndx, value, size), index) in enumerate(zip(rows, indexes, strict=False)):
        if (kind := kinds.get(info)) is None:
            kind = kinds[info] = f" {type_text(file, info & 0xF):<7} {binding_text(file, info >> 4):<6}"
        if (visibility := visibilities.get(other)) is None:
            visibility = visibilities[other] = _visibility_text(file, other)
        if (place := places.get(shndx)) is None:
            place = places[shndx] = f" {section_index_text(file, shndx, extended=extended):>4} "
        if not name and info & 0xF == STT_SECTION:
            text = _section_symbol(file, shndx, strings)
        else:
            end = find(b"\0", name)
            text = strings[name:end].decode("latin-1") if end >= 0 else _last_string(strings, name)
        version = versions.of(index, name, defined=shndx != 0) if index and versions is not None else None
        shown = _wide_name(file, text, version) if wide else _narrow_name(file, text, version)
        amount = _size_text(size, file.options.size_base)
        append(f"{number:6}: {address_form % value} {amount}{kind}{visibility}{place}{shown}\n")
        if ordered and info >> 4 == 0 and number >= first_global and section is not None:
            file.out.write("".join(lines))
            lines.clear()
            file.out.warn(
                f"local symbol {number} found at index >= {file.shown_name(section)}'s sh_info value of {section.info}"
            )
    file.out.write("".join(lines))


def _last_string(strings: bytes, name: int) -> str:
    return c_string(strings, name) if name < len(strings) else "<corrupt>"


def _section_symbol(file: File, shndx: int, strings: bytes) -> str:
    """The name of a section's symbol, which is the section's."""
    if shndx < len(file.sections):
        section = file.sections[shndx]
        names = file.section_names
        return file.name_of(section) if names is not None and section.name < len(names) else "<corrupt>"
    return _last_string(strings, 0)


def _size_text(size: int, base: int) -> str:
    """The column Size in the wanted base; 0 is decimal up to five digits and hexadecimal beyond."""
    if base == 0:
        return f"{size:5}" if size <= 99999 else f"0x{size:x}"
    return f"{size:5o}" if base == 8 else f"0x{size:05x}" if base == 16 else f"{size:5}"


def _wide_name(file: File, text: str, version: SymbolVersion | None) -> str:
    if file.options.demangler is not None:
        text = file.options.demangler(text)
    if not (text.isascii() and text.isprintable()):
        text = symbol_text(text)
    if version is None:
        return text
    if version.kind == "needed":
        return f"{text}@{version.name} ({version.number})"
    return f"{text}{version.kind}{version.name}"


def _narrow_name(file: File, text: str, version: SymbolVersion | None) -> str:
    room, ending = _NAME_COLUMNS, ""
    if version is not None:
        room -= 1 + len(version.name)
        if version.kind == "needed":
            ending = f"@{version.name} ({version.number})"
            room -= len(f" ({version.number})")
        else:
            ending = f"{version.kind}{version.name}"
            room -= version.kind == "@@"
    options = file.options
    return symbol_cut(text, room, dots=not options.truncate_silently, readable=options.demangler) + ending
