"""`readelf -g`: the section groups of a relocatable file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_sections import SHT_GROUP, SHT_SYMTAB
from latebind.compat.text import c_string
from latebind.elf.raw.group import GRP_COMDAT, GRP_MASKOS, GRP_MASKPROC, read_group
from latebind.elf.symbol import STT_SECTION

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.raw.symbol import Row as SymbolTuple

_LOUD_ERRORS: Final = 10  # more of a kind are not reported


def _flags(flags: int) -> str:
    if flags in (0, GRP_COMDAT):
        return "COMDAT " if flags else ""
    system = "<OS specific>" if flags & GRP_MASKOS else ""
    machine = "<PROC specific>" if flags & GRP_MASKPROC else ""
    unknown = "<unknown>" if flags & ~(GRP_COMDAT | GRP_MASKOS | GRP_MASKPROC) else ""
    return f"[0x{flags:x}: {system}{machine}{unknown}]"


def show_groups(file: File) -> None:
    """Print each group: its signature and its members."""
    groups = [(index, s) for index, s in enumerate(file.sections) if s.type == SHT_GROUP]
    if not groups:
        file.out.write("\nThere are no section groups in this file.\n")
        return
    tables: dict[int, list[SymbolTuple]] = {}
    member_of: dict[int, int] = {}
    for index, section in groups:
        name = file.shown_name(section)
        signature = _signature(file, section, name, tables)
        if signature is None:
            continue
        if section.entsize > section.size:
            file.out.error(
                f"Section {name} has sh_entsize ({section.entsize:#x})"
                f" which is larger than its size ({section.size:#x})"
            )
            continue
        if section.size < 4 or file.take(section.offset, section.size, "section data") is None:
            continue
        group = read_group(file.source, section.offset, section.size)
        file.out.write(
            f"\n{_flags(group.flags)}group section [{index:5}] `{name}' [{signature}] "
            f"contains {len(group.members)} sections:\n   [Index]    Name\n"
        )
        _show_members(file, index, group.members, member_of)


def _signature(file: File, section: SectionHeader, name: str, tables: dict[int, list[SymbolTuple]]) -> str | None:
    """The name of the symbol that stands for the group; None, reported, where there is none."""
    link = section.link
    if link >= len(file.sections) or file.sections[link].type != SHT_SYMTAB:
        file.out.error(f"Bad sh_link in group section `{name}'")
        return None
    symbol_section = file.sections[link]
    if link not in tables:
        tables[link] = file.symbols_of(symbol_section, link) or []
    symbols = tables[link]
    if not symbols:
        file.out.error(f"Corrupt header in group section `{name}'")
        return None
    if section.info >= len(symbols):
        file.out.error(f"Bad sh_info in group section `{name}'")
        return None
    name_offset, info, _, index, _, _ = symbols[section.info]
    if info & 0xF == STT_SECTION:
        if not 0 < index < len(file.sections):
            file.out.error(f"Bad sh_info in group section `{name}'")
            return None
        return file.name_of(file.sections[index])
    strings = file.strings_of(symbol_section, "string table")
    return c_string(strings, name_offset) if name_offset < len(strings) else "<corrupt>"


def _show_members(file: File, group: int, members: tuple[int, ...], member_of: dict[int, int]) -> None:
    errors = 0
    for member in members:
        problem = None
        if member >= len(file.sections):
            last = len(file.sections) - 1
            problem = f"section [{member:5}] in group section [{group:5}] > maximum section [{last:5}]"
        elif member in member_of and member:
            other = member_of[member]
            problem = f"section [{member:5}] in group section [{group:5}] already in group section [{other:5}]"
        if problem is not None:
            errors += 1
            if errors <= _LOUD_ERRORS:
                file.out.error(problem)
            continue
        member_of[member] = group
        file.out.write(f"   [{member:5}]   {file.shown_name(file.sections[member])}\n")
