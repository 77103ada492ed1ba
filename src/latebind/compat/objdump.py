"""`objdump`: private headers (-p), dynamic symbols (-T) and dynamic relocations (-R), as GNU objdump prints them.

The layouts are those of binutils' binutils/objdump.c, `_bfd_elf_print_private_bfd_data` and `bfd_elf_print_symbol`
(bfd/elf.c). Several parts may be asked for; they come in objdump's order, not in that of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from latebind.compat.bfd import error_text, file_size, open_archive, open_member, open_object
from latebind.compat.output import path_text
from latebind.compat.relocation_names import bfd_relocation_name
from latebind.compat.symbol_kind import ABSOLUTE
from latebind.elf.names import DYNAMIC_TAGS, SEGMENT_TYPES
from latebind.elf.section import SHT_NOBITS, SHT_REL, SHT_RELA
from latebind.elf.segment import PF_R, PF_W, PF_X
from latebind.elf.symbol_rows import ByteStrings, byte_text
from latebind.errors import LatebindError, MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.compat.bfd import BfdFile, SymbolEntry
    from latebind.compat.output import Output
    from latebind.elf import Section
    from latebind.elf.archive import Archive, Member

_CONTROL: Final = {c: f"^{chr((c + 0x40) & 0xFF)}" for c in (*range(1, 32), 127)}
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
    """Which parts to print."""

    private_headers: bool = False
    dynamic_symbols: bool = False
    dynamic_relocations: bool = False


class _Fatal(LatebindError):
    """Objdump gives up here, on this file and on those behind it (`bfd_fatal`)."""


def objdump(files: Sequence[str], options: ObjdumpOptions, output: Output) -> int:
    """Print the parts of each of `files`; the exit status is 1 where something could not be read."""
    status = 0
    for file in files:
        try:
            if not _dump_path(file, path_text(file), options, output):
                status = 1
        except _Fatal as error:
            output.complain(str(error))
            return 1
    return status


def _dump_path(path: str, shown: str, options: ObjdumpOptions, output: Output) -> bool:
    if file_size(path, output, shown) < 1:
        return False
    try:
        archive = open_archive(path)
        file = open_object(path, core=True) if archive is None else None
    except (LatebindError, OSError) as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    if archive is not None:
        output.write(f"In archive {_sanitized(shown)}:\n")
        failed = [m for m in archive.members if not _dump_member(archive, m, options, output)]
        return not failed
    return file is None or _dump_file(file, shown, options, output)


def _dump_member(archive: Archive, member: Member, options: ObjdumpOptions, output: Output) -> bool:
    shown = path_text(member.path or member.name)
    try:
        file = open_member(archive, member)
    except LatebindError as error:
        output.complain(f"{shown}: {error_text(error)}")
        return False
    return _dump_file(file, shown, options, output)


def _dump_file(file: BfdFile, shown: str, options: ObjdumpOptions, output: Output) -> bool:
    output.write(f"\n{_sanitized(shown)}:     file format {file.target}\n")
    if options.private_headers:
        try:
            output.write_all(_private_headers(file))
        except MalformedElf:
            output.complain("warning: private headers incomplete: bad value")
    output.write("\n")
    symbols: list[SymbolEntry] = []
    fine = True
    if options.dynamic_symbols or options.dynamic_relocations:
        fine = file.is_dynamic or file.dynsym is not None
        if not fine:
            output.complain(f"{shown}: not a dynamic object")
        symbols = _dynamic_symbols(file, shown) if fine else []
    if options.dynamic_symbols:
        output.write("DYNAMIC SYMBOL TABLE:\n")
        output.write_all(_symbol_lines(file, symbols) if symbols else ["no symbols\n"])
        output.write("\n\n")
    if options.dynamic_relocations:
        _relocations(file, symbols, output, shown)
    return fine


def _sanitized(name: str) -> str:
    """A name with its control characters shown as ``^A``."""
    return name if name.isprintable() else name.translate(_CONTROL)


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
    link = file.sections[section.link]
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


def _symbol_lines(file: BfdFile, symbols: list[SymbolEntry]) -> Iterator[str]:
    digits = f"0{file.digits}x"
    versions = file.versions
    heads: dict[int, str] = {}
    columns: dict[int, str] = {}
    for name, value, size, kind, other, version in symbols:
        head = heads.get(id(kind))
        if head is None:
            flags = kind.flags if kind.debugging else f"{kind.flags[:5]}D{kind.flags[6:]}"
            head = heads[id(kind)] = f" {flags} {kind.section}\t"
        column = columns.get(version)
        if column is None:
            column = columns[version] = "" if versions is None else _version_column(*versions.of(version))
        visibility = _OTHER.get(other)
        if visibility is None:
            visibility = f" 0x{other:02x}"
        yield f"{value:{digits}}{head}{size:{digits}}{column}{visibility} {name}\n"


def _version_column(version: str | None, hidden: bool) -> str:  # noqa: FBT001  (a pair of Versions.of)
    if version is None:
        return ""
    return f" ({version})".ljust(13) if hidden else f"  {version:<11}"


# -R ---------------------------------------------------------------------------------------------------------


def _relocations(file: BfdFile, symbols: list[SymbolEntry], output: Output, shown: str) -> None:
    if file.dynsym is None:
        raise _Fatal(f"{shown}: invalid operation")
    output.write("DYNAMIC RELOCATION RECORDS")
    tables = [s for s in file.sections if s.type in {SHT_REL, SHT_RELA} and s.link == file.dynsym.index and s.entsize]
    if not sum(s.size // s.entsize for s in tables):
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
        output.write_all(_relocation_lines(file, table, symbols, names))
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
    file: BfdFile, table: Section, symbols: list[SymbolEntry], names: dict[int, str]
) -> Iterator[str]:
    digits, versions = f"0{file.digits}x", file.versions
    shift, mask = (32, 0xFFFFFFFF) if file.elf.source.is64 else (8, 0xFF)
    has_addend = table.type == SHT_RELA
    for row in _rows(file, table):
        index = row[1] >> shift
        text = ABSOLUTE
        if 0 < index <= len(symbols):
            symbol = symbols[index - 1]
            text = _sanitized(symbol[0])
            if versions is not None and not symbol[3].section_symbol:
                version, hidden = versions.of(symbol[5])
                if version:
                    text += f"@{version}" if hidden or symbol[3].undefined else f"@@{version}"
        addend = row[2] if has_addend else 0
        sign = "" if not addend else f"+0x{addend:{digits}}" if addend > 0 else f"-0x{-addend:{digits}}"
        yield f"{row[0]:{digits}} {names[row[1] & mask]:<16}  {text}{sign}\n"
