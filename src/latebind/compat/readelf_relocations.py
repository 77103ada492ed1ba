"""`readelf -r`: the relocations, section by section, or with -D through the dynamic section.

A large library has hundreds of thousands of them: the text of a type and of a symbol is made once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_file import X86_64_FAMILY
from latebind.compat.readelf_sections import SHT_REL, SHT_RELA, SHT_RELR, SHT_SYMTAB
from latebind.compat.readelf_versions import SymbolVersions, symbol_version_indexes
from latebind.compat.text import c_string, symbol_cut, symbol_text
from latebind.elf import dynamic as dt
from latebind.elf.raw.relocation import read_relocation_rows, read_relr_addresses
from latebind.elf.relocation_names import relocation_names
from latebind.elf.section import SHT_DYNSYM
from latebind.elf.symbol import STT_GNU_IFUNC, STT_SECTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.raw.relocation import Row
    from latebind.elf.raw.symbol import Row as SymbolTuple

_EM_MIPS, _EM_SPARCV9, _EM_ALPHA = 8, 43, 0x9026
_SPARC_OLO10: Final = 33
_ALPHA_LITUSE: Final = 5
_LITUSE: Final = ("ADDR", "BASE", "BYTOFF", "JSR", "TLSGD", "TLSLDM", "JSRDIRECT")
_WORD: Final = 0xFFFFFFFFFFFFFFFF
_SPECIAL_SECTIONS: Final = {0xFFF1: "ABS", 0xFFF2: "COMMON"}

# is 64-bit, wide → (the heading up to the symbol's name)
_HEADINGS: Final = {
    (False, True): " Offset     Info    Type                Sym. Value  Symbol's Name",
    (False, False): " Offset     Info    Type            Sym.Value  Sym. Name",
    (True, True): "    Offset             Info             Type               Symbol's Value  Symbol's Name",
    (True, False): "  Offset          Info           Type           Sym. Value    Sym. Name",
}


def show_relocations(file: File) -> None:
    """Print the relocations."""
    if file.options.use_dynamic:
        _show_dynamic(file)
        return
    found = False
    for section in file.sections:
        if section.type not in (SHT_RELA, SHT_REL, SHT_RELR) or not section.size:
            continue
        count = section.size // section.entsize if section.entsize else 0
        name = f"{section.name}" if file.section_names is None else f"'{file.shown_name(section)}'"
        file.out.write(
            f"\nRelocation section {name} at offset {section.offset:#x} contains {count} "
            f"{'entry' if count == 1 else 'entries'}:\n"
        )
        names = _names_for(file, section)
        if names is not None:
            _show_entries(file, section.type, section.offset, section.size, names)
            found = True
    if not found:
        _say_none(file)


def _names_for(file: File, section: SectionHeader) -> _SymbolNames | None:
    """The symbols that a relocation section refers to; None where they cannot be read."""
    if not 0 < section.link < len(file.sections):
        return _SymbolNames(file, [], b"", dynamic=False)
    table = file.sections[section.link]
    symbols = file.symbols_of(table, section.link) if table.type in (SHT_SYMTAB, SHT_DYNSYM) else None
    if symbols is None:
        return None
    if table.link >= len(file.sections):
        file.out.error("Bad sh_link in symbol table section")
        return None
    strings = file.strings_of(table, "string table") if table.link else b""
    if table.link and not strings:
        return None
    return _SymbolNames(file, symbols, strings, dynamic=table.type == SHT_DYNSYM)


def _say_none(file: File) -> None:
    sizes = (dt.DT_RELSZ, dt.DT_RELASZ, dt.DT_RELRSZ, dt.DT_PLTRELSZ)
    if any(file.dynamic_info.get(tag) for tag in sizes):
        file.out.write(
            "\nThere are no static relocations in this file."
            "\nTo see the dynamic relocations add --use-dynamic to the command line.\n"
        )
    else:
        file.out.write("\nThere are no relocations in this file.\n")


def _show_dynamic(file: File) -> None:
    info = file.dynamic_info
    found = False
    plt = SHT_REL if info.get(dt.DT_PLTREL) == dt.DT_REL else SHT_RELA
    for name, place, length, kind in (
        ("REL", dt.DT_REL, dt.DT_RELSZ, SHT_REL),
        ("RELA", dt.DT_RELA, dt.DT_RELASZ, SHT_RELA),
        ("RELR", dt.DT_RELR, dt.DT_RELRSZ, SHT_RELR),
        ("PLT", dt.DT_JMPREL, dt.DT_PLTRELSZ, plt),
    ):
        size = info.get(length, 0)
        if not size:
            continue
        found = True
        address = info.get(place, 0)
        file.out.write(f"\n'{name}' relocation section at offset {address:#x} contains {size} bytes:\n")
        names = _SymbolNames(file, file.dynamic_symbols or [], file.dynamic_strings or b"", dynamic=True)
        _show_entries(file, kind, file.offset_of(address, size), size, names)
    if not found:
        file.out.write("\nThere are no dynamic relocations in this file.\n")


def _show_entries(file: File, kind: int, offset: int, size: int, names: _SymbolNames) -> None:
    what = "RELR relocation data" if kind == SHT_RELR else f"{64 if file.is64 else 32}-bit relocation data"
    if file.take(offset, size, what) is None:
        return
    if kind == SHT_RELR:
        addresses = read_relr_addresses(file.source, offset, size)
        form = f"{file.address_form}\n"
        file.out.write(f"  {len(addresses)} offset{'' if len(addresses) == 1 else 's'}\n")
        file.out.write("".join([form % address for address in addresses]))
        return
    has_addend = kind == SHT_RELA
    heading = _HEADINGS[file.is64, file.options.wide]
    file.out.write(f"{heading}{' + Addend' if has_addend else ''}\n")
    rows = read_relocation_rows(file.source, offset, size, has_addend=has_addend, machine=file.machine)
    _write_rows(file, rows, names, has_addend=has_addend)


def _type_of(file: File) -> Callable[[int], int]:
    """The function that takes the type out of an info field: not every machine has it in all of the lower half."""
    if not file.is64 or file.machine in (_EM_MIPS, _EM_SPARCV9):
        return lambda info: info & 0xFF
    return lambda info: info & 0xFFFFFFFF


def type_text(file: File, kind: int) -> str:
    """The column Type."""
    name = relocation_names(file.machine, later=False).get(kind)
    if name is None:
        return f"unrecognized: {kind:<7x}"
    return f"{name:<22}" if file.options.wide else f"{name:<17.17}"


def _write_rows(file: File, rows: list[Row], names: _SymbolNames, *, has_addend: bool) -> None:
    is64 = file.is64
    shift = 32 if is64 else 8
    start = "%016x  %016x " if is64 and file.options.wide else "%012x  %012x " if is64 else "%08x  %08x "
    no_symbol = " " * (20 if is64 else 12)
    type_of = _type_of(file)
    own_ending = file.machine in (_EM_SPARCV9, _EM_ALPHA) or (file.machine == _EM_MIPS and is64)
    types: dict[int, str] = {}
    lines: list[str] = []
    append = lines.append
    for at, info, addend in rows:
        symbol = info >> shift
        # One entry of the cache for each low half: types, and what a few machines keep beside them.
        low = info & 0xFFFFFFFF if is64 else info & 0xFF
        if (kind := types.get(low)) is None:
            kind = types[low] = type_text(file, type_of(info))
        if own_ending:
            text = _own_text(file, type_of(info), info, addend) if has_addend else None
            if text is not None:
                append(f"{start % (at, info)}{kind}{text}\n")
                continue
        if not symbol:
            text = f"{no_symbol}{addend:x}" if has_addend else ""
        elif (text := names.of(symbol)) and has_addend:
            text += f" - {-addend:x}" if addend < 0 else f" + {addend:x}"
        append(f"{start % (at, info)}{kind}{text}{_own_ending(file, info) if own_ending else ''}\n")
        if names.errors:
            file.out.write("".join(lines))
            lines.clear()
            names.report()
    file.out.write("".join(lines))


def _own_text(file: File, kind: int, info: int, addend: int) -> str | None:  # noqa: ARG001  (one signature)
    """Alpha's LITUSE has a small number in the place of the addend that says how a literal is used."""
    if file.machine != _EM_ALPHA or kind != _ALPHA_LITUSE:
        return None
    if 0 <= addend < len(_LITUSE):
        return f" ({_LITUSE[addend]})"
    return f" <unknown addend: {addend & _WORD:x}>"


def _own_ending(file: File, info: int) -> str:
    """SPARC V9's second addend, and the second and third type of a relocation of 64-bit MIPS."""
    if file.machine == _EM_SPARCV9 and info & 0xFF == _SPARC_OLO10:
        extra = info >> 8 & 0xFFFFFF
        extra = (extra ^ 0x800000) - 0x800000
        return f" + {extra & _WORD:x}"
    if file.machine == _EM_MIPS and file.is64:
        known = relocation_names(file.machine, later=False)
        second, third = (
            f"{known[kind]:<17.17}" if kind in known else f"unrecognized: {kind:<7x}"
            for kind in (info >> 8 & 0xFF, info >> 16 & 0xFF)
        )
        return f"\n                    Type2: {second}\n                    Type3: {third}"
    return ""


class _SymbolNames:
    """The text of each symbol in a line of relocations: its value, its name and its version."""

    def __init__(self, file: File, symbols: list[SymbolTuple], strings: bytes, *, dynamic: bool) -> None:
        self._file = file
        self._symbols = symbols
        self._strings = strings
        self._versions = SymbolVersions(file, strings) if dynamic and symbols else None
        self._indexes = symbol_version_indexes(file, len(symbols)) if dynamic and symbols else [0] * len(symbols)
        self._texts: dict[int, str] = {}
        self.errors: list[str] = []
        """What went wrong with symbols since `report` was called last."""

    def of(self, symbol: int) -> str:
        """The text of symbol number `symbol`; empty, with an error, where there is none."""
        if (text := self._texts.get(symbol)) is None:
            text = self._make(symbol)
            if not self.errors:
                self._texts[symbol] = text
        return text

    def report(self) -> None:
        """Say what went wrong."""
        for error in self.errors:
            self._file.out.error(error)
        self.errors.clear()

    def _make(self, number: int) -> str:
        if number >= len(self._symbols):
            self.errors.append(f" bad symbol index: {number:08x} in reloc")
            return ""
        file = self._file
        name, info, _, shndx, value, _ = self._symbols[number]
        version = ""
        if self._versions is not None:
            found = self._versions.of(self._indexes[number], name, defined=shndx != 0)
            if found is not None:
                version = f"{'@@' if found.kind == '@@' else '@'}{found.name}"
        kind = info & 0xF
        if kind == STT_GNU_IFUNC:
            shown = self._function(name, version)
        else:
            shown = f" {file.address_form % value}{' ' if file.is64 else '   '}"
        if not name:
            return shown + self._cut(self._section(shndx) if kind == STT_SECTION else "<null>")
        if not self._strings:
            return f"{shown}<string table index: {name:3}>"
        if name >= len(self._strings):
            self.errors.append(f"<corrupt string table index: {name:3}>")
            return shown
        return f"{shown}{self._cut(c_string(self._strings, name))}{version}"

    def _function(self, name: int, version: str) -> str:
        """What stands for the value of an IFUNC: its name with brackets, since the value is what it will return."""
        width = 14 if self._file.is64 else 8
        known = self._strings and 0 < name < len(self._strings)
        text = c_string(self._strings, name) if known else "??"
        dots = not self._file.options.truncate_silently
        readable = self._file.options.demangler
        if self._file.options.wide:
            text = symbol_text(text if readable is None else readable(text))
        else:
            text = symbol_cut(text, width, dots=dots, readable=readable)
        return f" {text}{version}(){' ' * max(width + 1 - len(text), 1)}"

    def _cut(self, text: str) -> str:
        options = self._file.options
        readable = options.demangler
        if options.wide:
            return symbol_text(text if readable is None else readable(text))
        return symbol_cut(text, 22, dots=not options.truncate_silently, readable=readable)

    def _section(self, shndx: int) -> str:
        """The name of the section of a section's symbol."""
        file = self._file
        if shndx < len(file.sections):
            return file.name_of(file.sections[shndx])
        if shndx in _SPECIAL_SECTIONS:
            return _SPECIAL_SECTIONS[shndx]
        if file.machine == _EM_MIPS and shndx in (0xFF03, 0xFF04):
            return "SCOMMON" if shndx == 0xFF03 else "SUNDEF"
        if file.machine in X86_64_FAMILY and shndx == 0xFF02:
            return "LARGE_COMMON"
        # binutils keeps reserved indexes in the upper part of a 32-bit number
        return f"<section 0x{shndx + 0xFFFF0000 if 0xFF00 <= shndx <= 0xFFFF else shndx:x}>"
