"""`objdump`: headers, symbols, relocations and contents, as GNU objdump prints them.

The layouts are those of binutils' binutils/objdump.c, `_bfd_elf_print_private_bfd_data` and `bfd_elf_print_symbol`
(bfd/elf.c). Several parts may be asked for; they come in objdump's order, not in that of the command line.
"""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from latebind.compat.bfd import error_text, file_size, open_archive, open_member, open_object
from latebind.compat.objdump_sections import file_header, section_contents, section_headers
from latebind.compat.output import path_text
from latebind.compat.relocation_names import bfd_relocation_name
from latebind.compat.symbol_kind import ABSOLUTE
from latebind.compat.text import visible
from latebind.elf.archive import member_status
from latebind.elf.names import DYNAMIC_TAGS, SEGMENT_TYPES
from latebind.elf.section import SHT_NOBITS, SHT_REL, SHT_RELA
from latebind.elf.segment import PF_R, PF_W, PF_X
from latebind.elf.symbol_rows import ByteStrings, byte_text
from latebind.errors import LatebindError, MalformedElf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latebind.compat.bfd import BfdFile, SymbolEntry
    from latebind.compat.output import Output
    from latebind.elf import Section
    from latebind.elf.archive import Archive, Member

_OTHER: Final = {0: "", 1: " .internal", 2: " .hidden", 3: " .protected"}
_SEGMENTS: Final = {number: SEGMENT_TYPES[number] for number in range(8)} | {
    number: SEGMENT_TYPES[number].removeprefix("GNU_") for number in (0x6474E550, 0x6474E551, 0x6474E552, 0x6474E554)
}
_STRING_TAGS: Final = frozenset({1, 14, 15, 29, 0x6FFFFEFA, 0x6FFFFEFB, 0x6FFFFEFC, 0x7FFFFFFD, 0x7FFFFFFF})
_NO_TAGS: Final = frozenset({0, 0x22, 0x6FFFFE00, *range(0x6FFFFDF4, 0x6FFFFDF8), *range(0x6FFFFEF6, 0x6FFFFEFA)})
_TAGS: Final = {
    tag: name
    for tag, name in DYNAMIC_TAGS.items()
    if tag not in _NO_TAGS and (tag < 0x40000000 or tag > 0x6FFFF000)  # none of Android's and CREL's
} | {0x6FFFFDFC: "FEATURE"}
"""`d_tag` → name, of the tags that BFD names."""


@dataclass(frozen=True, slots=True)
class ObjdumpOptions:
    """Which parts to print, and how."""

    archive_headers: bool = False
    file_headers: bool = False
    private_headers: bool = False
    section_headers: bool = False
    symbols: bool = False
    dynamic_symbols: bool = False
    relocations: bool = False
    dynamic_relocations: bool = False
    contents: bool = False
    sections: tuple[str, ...] = ()
    """The names (byte text) of the only sections to speak of; empty for all."""
    demangler: Callable[[str], str] | None = None
    """What makes a name readable."""
    wide: bool = False
    offsets: bool = False

    @property
    def any_part(self) -> bool:
        """Whether anything is to be printed at all."""
        return any(getattr(self, name) for name in _PARTS)


_PARTS: Final = (
    "archive_headers", "file_headers", "private_headers", "section_headers", "symbols", "dynamic_symbols",
    "relocations", "dynamic_relocations", "contents",
)  # fmt: skip


class _Fatal(LatebindError):
    """Objdump gives up here, on this file and on those behind it (`bfd_fatal`)."""


def objdump(files: Sequence[str], options: ObjdumpOptions, output: Output) -> int:
    """Print the parts of each of `files`; the exit status is 1 where something could not be read."""
    status = 0
    seen: set[str] = set()
    for file in files:
        try:
            if not _dump_path(file, path_text(file), options, output, seen):
                status = 1
        except _Fatal as error:
            output.complain(str(error))
            return 1
    for name in options.sections:
        if name not in seen:
            output.complain(f"section '{name}' mentioned in a -j option, but not found in any input file")
            status = 1
    return status


def _dump_path(path: str, shown: str, options: ObjdumpOptions, output: Output, seen: set[str]) -> bool:
    """One file; the names of its sections are added to `seen`."""
    if file_size(path, output, shown) < 1:
        return False
    try:
        archive = open_archive(path)
        file = open_object(path, core=True) if archive is None else None
    except (LatebindError, OSError) as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    if archive is not None:
        output.write(f"In archive {visible(shown)}:\n")
        failed = [m for m in archive.members if not _dump_member(archive, m, options, output, seen)]
        return not failed
    return file is None or _dump_file(file, shown, f"{shown}\n", options, output, seen)


def _dump_member(archive: Archive, member: Member, options: ObjdumpOptions, output: Output, seen: set[str]) -> bool:
    shown = path_text(member.path or member.name)
    try:
        file = open_member(archive, member)
    except LatebindError as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    return _dump_file(file, shown, _archive_header(archive, member, shown), options, output, seen)


def _archive_header(archive: Archive, member: Member, shown: str) -> str:
    """Mode, owner, size, time and name of a member (`print_arelt_descr` in binutils/bucomm.c)."""
    found = member_status(archive, member)
    if found is None:
        return f"{shown}\n"
    mode = stat.filemode(found.mode)[1:]
    when = time.strftime("%b %e %H:%M %Y", time.localtime(found.time))
    return f"{mode} {found.user}/{found.group} {member.size:6} {when} {shown}\n"


def _dump_file(
    file: BfdFile, shown: str, heading: str, options: ObjdumpOptions, output: Output, seen: set[str]
) -> bool:
    _show_heads(file, shown, heading, options, output)
    seen.update(byte_text(s.name) for s in file.bfd_sections)
    if file.is_core and (options.section_headers or options.contents or options.file_headers):
        output.complain(f"{shown}: latebind does not show core files as BFD does: see `latebind inspect --core`")
        return False
    if options.section_headers:
        decompressed = not options.contents
        output.write_all(section_headers(file, options.sections, wide=options.wide, decompressed=decompressed))
    symbols = _static_symbols(file, shown) if options.symbols or options.relocations else []
    if options.symbols:
        _show_symbols("SYMBOL TABLE:\n", file, symbols, options, output)
    fine, dynamic = _dynamic_parts(file, shown, options, output)
    if options.relocations:
        _section_relocations(file, symbols, options, output, shown)
    if options.dynamic_relocations:
        _dynamic_relocations(file, dynamic, options, output, shown)
    if options.contents:
        section_contents(file, options.sections, output, offsets=options.offsets)
    return fine


def _show_heads(file: BfdFile, shown: str, heading: str, options: ObjdumpOptions, output: Output) -> None:
    """What stands before the sections; `heading` is what the archive says of the file."""
    output.write(f"\n{visible(shown)}:     file format {file.target}\n")
    if options.archive_headers:
        output.write(heading)
    if options.file_headers and not file.is_core:
        output.write(file_header(file))
    if options.private_headers:
        try:
            output.write_all(_private_headers(file))
        except MalformedElf:
            output.complain("warning: private headers incomplete: bad value")
    output.write("\n")


def _dynamic_parts(
    file: BfdFile, shown: str, options: ObjdumpOptions, output: Output
) -> tuple[bool, list[SymbolEntry]]:
    """The dynamic symbols, printed where that is wanted, and whether they could be had."""
    symbols: list[SymbolEntry] = []
    fine = True
    if options.dynamic_symbols or options.dynamic_relocations:
        fine = file.is_dynamic or file.dynsym is not None
        if not fine:
            output.complain(f"{shown}: not a dynamic object")
        symbols = _dynamic_symbols(file, shown) if fine else []
    if options.dynamic_symbols:
        _show_symbols("DYNAMIC SYMBOL TABLE:\n", file, symbols, options, output, dynamic=True)
    return fine, symbols


# -p ---------------------------------------------------------------------------------------------------------


def _private_headers(file: BfdFile) -> Iterator[str]:
    if file.elf.segments:
        yield "\nProgram Header:\n"
        yield from _segments(file)
    section = next((s for s in file.sections if s.name == ".dynamic" and file.has_bfd_section(s)), None)
    if section is not None:
        yield "\nDynamic Section:\n"
        if section.type != SHT_NOBITS:  # as in a file of debug information, whose section headers are another's
            yield from _dynamic(file, section)
    definitions = file.version_definitions
    needs = file.version_needs
    if definitions is not None:
        yield "\nVersion definitions:\n"
        for d in sorted(definitions, key=lambda d: d.index):
            yield f"{d.index} 0x{d.flags:02x} 0x{d.hash:08x} {byte_text(d.name)}\n"
            if d.parents:
                yield "\t" + "".join(f"{byte_text(p)} " for p in d.parents) + "\n"
    if needs is not None:
        yield "\nVersion References:\n"
        for name, versions in groupby(needs, key=lambda n: n.file):
            yield f"  required from {byte_text(name)}:\n"
            for n in versions:
                number = n.index | (0x8000 if n.hidden else 0)
                yield f"    0x{n.hash:08x} 0x{n.flags:02x} {number:02d} {byte_text(n.name)}\n"


def _segments(file: BfdFile) -> Iterator[str]:
    digits = f"0{file.digits}x"
    for s in file.elf.segments:
        name = _SEGMENTS.get(s.type, f"0x{s.type:x}")
        align = s.align & -s.align  # BFD makes an alignment that is no power of two one
        yield (
            f"{name:>8} off    0x{s.offset:{digits}} vaddr 0x{s.vaddr:{digits}} paddr 0x{s.paddr:{digits}}"
            f" align 2**{max(align.bit_length() - 1, 0)}\n"
        )
        flags = "".join(c if s.flags & bit else "-" for c, bit in (("r", PF_R), ("w", PF_W), ("x", PF_X)))
        rest = s.flags & ~(PF_R | PF_W | PF_X)
        more = f" {rest:x}" if rest else ""
        yield f"         filesz 0x{s.filesz:{digits}} memsz 0x{s.memsz:{digits}} flags {flags}{more}\n"


def _dynamic(file: BfdFile, section: Section) -> Iterator[str]:
    source = file.elf.source
    digits, size = f"0{file.digits}x", 16 if source.is64 else 8
    link = file.linked_section(section)
    strings = ByteStrings(source, link)
    layout = "QQ" if source.is64 else "II"
    for tag, value in source.records(layout, section.offset, section.size // size, "dynamic section"):
        if tag == 0:
            break
        name = f"{_TAGS.get(tag) or hex(tag):<20}"
        if tag not in _STRING_TAGS:
            yield f"  {name} 0x{value:{digits}}\n"
            continue
        text = strings[value & 0xFFFFFFFF]
        if text is None:
            raise source.malformed(f"string index {value} lies outside the dynamic string table", section.offset)
        yield f"  {name} {text}\n"


# -T ---------------------------------------------------------------------------------------------------------


def _dynamic_symbols(file: BfdFile, shown: str) -> list[SymbolEntry]:
    if file.dynsym is None:
        raise _Fatal(f"{shown}: invalid operation")
    try:
        return list(file.symbols(dynamic=True))
    except MalformedElf as error:
        raise _Fatal(f"{shown}: file truncated") from error


def _static_symbols(file: BfdFile, shown: str) -> list[SymbolEntry]:
    try:
        return list(file.symbols(dynamic=False, alignments=True))
    except MalformedElf as error:
        raise _Fatal(f"{shown}: file truncated") from error


def _show_symbols(
    heading: str,
    file: BfdFile,
    symbols: list[SymbolEntry],
    options: ObjdumpOptions,
    output: Output,
    *,
    dynamic: bool = False,
) -> None:
    output.write(heading)
    wanted = [s for s in symbols if not options.sections or s[3].section in options.sections]
    output.write_all(_symbol_lines(file, wanted, options, dynamic=dynamic) if symbols else ["no symbols\n"])
    output.write("\n\n")


def _symbol_lines(
    file: BfdFile, symbols: list[SymbolEntry], options: ObjdumpOptions, *, dynamic: bool
) -> Iterator[str]:
    digits = f"0{file.digits}x"
    versions, readable = file.versions, options.demangler
    heads: dict[int, str] = {}
    columns: dict[int, str] = {}
    for name, value, size, kind, other, version in symbols:
        head = heads.get(id(kind))
        if head is None:
            flags = f"{kind.flags[:5]}D{kind.flags[6:]}" if dynamic and not kind.debugging else kind.flags
            head = heads[id(kind)] = f" {flags} {kind.section}\t"
        column = columns.get(version)
        if column is None:
            column = columns[version] = "" if versions is None else _version_column(*versions.of(version))
        visibility = _OTHER.get(other)
        if visibility is None:
            visibility = f" 0x{other:02x}"
        shown = name if readable is None else readable(name)
        yield f"{value:{digits}}{head}{size:{digits}}{column}{visibility} {visible(shown)}\n"


def _version_column(version: str | None, hidden: bool) -> str:  # noqa: FBT001  (a pair of Versions.of)
    if version is None:
        return ""
    return f" ({version})".ljust(13) if hidden else f"  {version:<11}"


# -r and -R --------------------------------------------------------------------------------------------------


def _section_relocations(
    file: BfdFile, symbols: list[SymbolEntry], options: ObjdumpOptions, output: Output, shown: str
) -> None:
    """The relocations that BFD keeps with the sections that they are for."""
    for section in file.bfd_sections:
        if section.index not in file.relocated:
            continue
        if options.sections and byte_text(section.name) not in options.sections:
            continue
        output.write(f"RELOCATION RECORDS FOR [{visible(byte_text(section.name))}]:")
        base = section.addr if file.linked else 0
        _show_relocations(file, file.relocations_of(section), symbols, options, output, shown, base)


def _dynamic_relocations(
    file: BfdFile, symbols: list[SymbolEntry], options: ObjdumpOptions, output: Output, shown: str
) -> None:
    if file.dynsym is None:
        raise _Fatal(f"{shown}: invalid operation")
    output.write("DYNAMIC RELOCATION RECORDS")
    tables = [s for s in file.sections if s.type in {SHT_REL, SHT_RELA} and s.link == file.dynsym.index and s.entsize]
    _show_relocations(file, tables, symbols, options, output, shown, 0)


def _show_relocations(
    file: BfdFile,
    tables: list[Section],
    symbols: list[SymbolEntry],
    options: ObjdumpOptions,
    output: Output,
    shown: str,
    base: int,
) -> None:
    if not sum(s.size // s.entsize for s in tables if s.entsize):
        output.write(" (none)\n\n")
        return
    try:
        names = _type_names(file, tables)
    except MalformedElf as error:
        raise _Fatal(f"{shown}: file truncated") from error
    except _UnknownType as error:
        output.complain(f"{shown}: {error}")
        raise _Fatal(f"{shown}: bad value") from error
    output.write(f"\nOFFSET {'':{file.digits - 7}} TYPE {'':12} VALUE\n")
    for table in tables:
        output.write_all(_relocation_lines(file, table, symbols, names, options.demangler, base))
    output.write("\n\n")


class _UnknownType(LatebindError):
    """A relocation type that BFD does not know, which makes it refuse the whole table."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"unsupported relocation type {kind:#x}")


def _rows(file: BfdFile, table: Section) -> Iterator[tuple[int, ...]]:
    """The entries of a relocation section: offset, info and, for RELA, addend."""
    layout = "QQ" if file.elf.source.is64 else "II"
    if table.type == SHT_RELA:
        layout += "q" if file.elf.source.is64 else "i"
    return file.elf.source.records(layout, table.offset, table.size // table.entsize, "relocation table")


def _type_names(file: BfdFile, tables: list[Section]) -> dict[int, str]:
    """The name of each relocation type that `tables` use."""
    mask = 0xFFFFFFFF if file.elf.source.is64 else 0xFF
    names: dict[int, str] = {}
    for kind in {row[1] & mask for table in tables for row in _rows(file, table)}:
        name = bfd_relocation_name(file, kind)
        if name is None:
            raise _UnknownType(kind)
        names[kind] = name
    return names


def _relocation_lines(
    file: BfdFile,
    table: Section,
    symbols: list[SymbolEntry],
    names: dict[int, str],
    readable: Callable[[str], str] | None,
    base: int,
) -> Iterator[str]:
    digits, versions = f"0{file.digits}x", file.versions
    shift, mask = (32, 0xFFFFFFFF) if file.elf.source.is64 else (8, 0xFF)
    has_addend = table.type == SHT_RELA
    for row in _rows(file, table):
        index = row[1] >> shift
        text = ABSOLUTE
        if 0 < index <= len(symbols):
            symbol = symbols[index - 1]
            text = visible(symbol[0] if readable is None else readable(symbol[0]))
            if versions is not None and not symbol[3].section_symbol:
                version, hidden = versions.of(symbol[5])
                if version:
                    text += f"@{version}" if hidden or symbol[3].undefined else f"@@{version}"
        addend = row[2] if has_addend else 0
        sign = "" if not addend else f"+0x{addend:{digits}}" if addend > 0 else f"-0x{-addend:{digits}}"
        yield f"{row[0] - base:{digits}} {names[row[1] & mask]:<16}  {text}{sign}\n"
