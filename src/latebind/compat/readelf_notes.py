"""`readelf -n`: the notes, by section, or by segment in core files and files without note sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat import note_names as names
from latebind.compat.readelf_build_notes import is_build_note
from latebind.compat.readelf_properties import properties_text
from latebind.compat.readelf_relocated import relocated_contents
from latebind.compat.text import c_string, symbol_cut, symbol_text
from latebind.elf.header import ET_CORE
from latebind.elf.raw.note import read_note_records
from latebind.elf.section import SHT_NOBITS, SHT_NOTE
from latebind.elf.segment import PT_NOTE
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.compat.readelf_build_notes import BuildNotes
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.raw.note import NoteRecord

_NT_FILE, _NT_STAPSDT, _NT_FDO = 0x46494C45, 3, 0xCAFE1A7E


def show_notes(file: File, build_notes: BuildNotes) -> bool:
    """Print the notes; False where some cannot be read."""
    if file.header.type == ET_CORE:
        if file.segment_count:
            return _show_segments(file, build_notes)
        file.out.write("No notes found file.\n")
        return True
    sections = [s for s in file.sections if s.type == SHT_NOTE]
    if not sections:
        return _show_segments(file, build_notes)
    shown = [_show_section(file, section, build_notes) for section in sections]
    return all(shown)


def _show_segments(file: File, build_notes: BuildNotes) -> bool:
    fine = True
    for segment in file.segments:
        if segment.type != PT_NOTE:
            continue
        contents = file.take(segment.offset, segment.filesz, "notes")
        if contents is None:
            fine = False
            continue
        place = f"at file offset 0x{segment.offset:08x} with length 0x{segment.filesz:08x}:"
        fine = _show_contents(file, contents, segment.align, place, build_notes) and fine
    return fine


def _show_section(file: File, section: SectionHeader, build_notes: BuildNotes) -> bool:
    if not section.size:
        return False
    if section.type == SHT_NOBITS:
        file.out.write(f"Section '{file.shown_name(section)}' has no data to dump.\n")
        return False
    contents = file.take(section.offset, section.size, "section contents")
    if contents is None:
        return False
    contents = relocated_contents(file, section, contents)
    return _show_contents(file, contents, section.addralign, f"in: {file.shown_name(section)}", build_notes)


def _show_contents(file: File, contents: bytes, align: int, place: str, build_notes: BuildNotes) -> bool:
    out = file.out
    out.write(f"\nDisplaying notes found {place}\n")
    if align >= 4 and align not in (4, 8):
        out.warn(f"Corrupt note: alignment {align}, expecting 4 or 8")
        return False
    out.write("  Owner                Data size \tDescription\n")
    fine = True
    try:
        for note in read_note_records(file.over(contents), max(align, 4)):
            fine = _show_note(file, note, build_notes) and fine
    except MalformedElf as error:
        out.warn(error.what)
    return fine


def _show_note(file: File, note: NoteRecord, build_notes: BuildNotes) -> bool:
    owner = c_string(note.name, 0)
    if owner.startswith(("NetBSD", "PaX")) and not owner.startswith("NetBSD-CORE"):
        return _show_netbsd(file, note)
    build = is_build_note(note)
    if build:
        start = build_notes.name(file, note)
    else:
        shown = "SPU" if owner.startswith("SPU/") else owner if note.name_size else "(NONE)"
        start = symbol_text(shown).ljust(20) if file.options.wide else symbol_cut(shown, -20)
    ending = "\t" if file.options.wide else "\n"
    file.out.write(f"  {start} 0x{len(note.desc):08x}\t{_type(file, owner, note)}{ending}")
    if build and not owner.startswith(("GNU", "stapsdt", "CORE", "FDO")):
        return build_notes.describe(file, note)
    return _describe(file, owner, note)


def _type(file: File, owner: str, note: NoteRecord) -> str:
    kind = note.type
    unknown = f"Unknown note type: (0x{kind:08x})"
    if owner.startswith("GNU"):
        return names.GNU_NOTES.get(kind, unknown)
    if owner.startswith("AMDGPU"):
        return "NT_AMDGPU_METADATA (code object metadata)" if kind == 0x20 else unknown
    if owner.startswith("NetBSD-CORE"):
        return _netbsd_core_type(file, kind, unknown)
    if owner.startswith("SPU/"):
        return owner[4:]
    if owner.startswith("stapsdt"):
        return "NT_STAPSDT (SystemTap probe descriptors)" if kind == _NT_STAPSDT else unknown
    general = names.CORE_NOTES if file.header.type == ET_CORE else names.OTHER_NOTES
    own: dict[int, str] = {}
    if owner.startswith("FreeBSD"):
        own = names.FREEBSD_NOTES
    elif owner.startswith("OpenBSD"):
        own = names.OPENBSD_NOTES
    return own.get(kind) or general.get(kind, unknown)


def _netbsd_core_type(file: File, kind: int, unknown: str) -> str:
    if kind in names.NETBSD_CORE_NOTES:
        return names.NETBSD_CORE_NOTES[kind]
    if kind < 32:
        return unknown
    machine = 0x9026 if file.machine in (2, 18, 43, 41) else file.machine
    table = names.NETBSD_MACHINE_NOTES.get(machine, names.NETBSD_MACHINE_NOTES[None])
    return table.get(kind - 32, f"PT_FIRSTMACH+{kind - 32}")


# descriptions --------------------------------------------------------------------------------------------------


def _describe(file: File, owner: str, note: NoteRecord) -> bool:
    if owner.startswith("GNU"):
        return _describe_gnu(file, note)
    if owner.startswith("stapsdt"):
        return _describe_probe(file, note)
    if owner.startswith("CORE"):
        return _describe_core(file, note)
    if owner.startswith("FDO"):
        if not note.desc or note.type != _NT_FDO:
            return False
        file.out.write(f"    Packaging Metadata: {c_string(note.desc, 0)}\n")
        return True
    if note.desc:
        file.out.write(f"   description data: {note.desc.hex(' ')} {'' if file.options.wide else chr(10)}")
    if file.options.wide:
        file.out.write("\n")
    return True


def _words(file: File, desc: bytes, size: int) -> list[int]:
    order = "little" if file.source.little else "big"
    return [
        int.from_bytes(desc[at : at + size], order)  # type: ignore[arg-type]  # mypy does not keep the literals
        for at in range(0, len(desc) - size + 1, size)
    ]


def _describe_gnu(file: File, note: NoteRecord) -> bool:
    out, desc = file.out, note.desc
    if note.type == 3:
        out.write(f"    Build ID: {desc.hex()}\n")
    elif note.type == 1:
        if len(desc) < 16:
            out.write("    <corrupt GNU_ABI_TAG>\n")
            return True
        system, major, minor, subminor = _words(file, desc, 4)[:4]
        name = names.ABI_TAG_SYSTEMS[system] if system < len(names.ABI_TAG_SYSTEMS) else "Unknown"
        out.write(f"    OS: {name}, ABI: {major}.{minor}.{subminor}\n")
    elif note.type == 4:
        out.write(f"    Version: {c_string(desc, 0)}\n")
    elif note.type == 2:
        out.write("      Hardware Capabilities: ")
        if len(desc) < 8:
            out.error("<corrupt GNU_HWCAP>")
            return False
        count, mask = _words(file, desc, 4)[:2]
        out.write(f"num entries: {count}, enabled mask: {mask:x}\n")
    elif note.type == 5:
        out.write(properties_text(file, desc))
    else:
        out.write(f"    Description data: {desc.hex(' ')}{' ' if desc else ''}\n")
    return True


def _describe_probe(file: File, note: NoteRecord) -> bool:
    """A SystemTap probe: three addresses and three strings (sys/sdt.h)."""
    size = 8 if file.is64 else 4
    head, strings = note.desc[: 3 * size], note.desc[3 * size :].split(b"\0")
    if len(head) < 3 * size or len(strings) < 4:
        file.out.write("  <corrupt - note is too small>\n")
        file.out.error("corrupt stapdt note - the data size is too small")
        return False
    location, base, semaphore = (f"0x{file.address_form % word}" for word in _words(file, head, size))
    provider, name, arguments = (text.decode("latin-1") for text in strings[:3])
    file.out.write(
        f"    Provider: {provider}\n    Name: {name}\n"
        f"    Location: {location}, Base: {base}, Semaphore: {semaphore}\n    Arguments: {arguments}\n"
    )
    return len(strings) == 4 and not strings[3]


def _describe_core(file: File, note: NoteRecord) -> bool:
    """NT_FILE: which files a process had mapped where. binutils 2.40 says of 64-bit ones that it cannot."""
    out = file.out
    if note.type != _NT_FILE:
        out.write("\n" if file.options.wide else "")
        return True
    if file.is64:
        out.write("    Cannot decode 64-bit note in 32-bit build\n")
        return True
    problem = _files_problem(file, note.desc)
    if problem is None:
        problem = _show_files(file, note.desc)
    if problem is not None:
        out.error(f"    Malformed note - {problem}")
    return problem is None


def _files_problem(file: File, desc: bytes) -> str | None:
    if len(desc) < 8:
        return "too short for header"
    if desc[-1]:
        return "does not end with \\0"
    return "too short for supplied file count" if len(desc) < 8 + _words(file, desc[:4], 4)[0] * 12 else None


def _show_files(file: File, desc: bytes) -> str | None:
    """The table of a 32-bit NT_FILE; the answer is what is wrong with it, if anything."""
    count, page = _words(file, desc[:8], 4)
    file.out.write(f"    Page size: {page}\n    {'Start':>10}{'End':>12}{'Page Offset':>12}\n")
    places = _words(file, desc[8 : 8 + count * 12], 4)
    paths = desc[8 + count * 12 :].split(b"\0")[:-1]
    for index, path in enumerate(paths[:count]):
        start, end, offset = places[3 * index : 3 * index + 3]
        file.out.write(f"    0x{start:08x}  0x{end:08x}  0x{offset:08x}\n        {path.decode('latin-1')}\n")
    return "filenames end too early" if len(paths) < count else None


_PAX: Final = ("+mprotect", "-mprotect", "+guard", "-guard", "+ASLR", "-ASLR")


def _show_netbsd(file: File, note: NoteRecord) -> bool:
    size, desc = len(note.desc), note.desc
    start = f"  NetBSD\t\t0x{size:08x}\t"
    version = _words(file, desc[:4].ljust(4, b"\0"), 4)[0]
    if note.type == 1 and desc:
        major, minor = version // 100000000, version // 1000000 % 100
        if letter := version // 10000 % 100:
            revision = f"{'Z' if letter > 26 else ''}{chr(ord('A') + version // 10000 % 26)}"
        else:
            revision = f".{version // 100 % 100}"
        file.out.write(f"{start}IDENT {version} ({major}.{minor}{revision})\n")
        return True
    if note.type == 5:
        file.out.write(f"{start}MARCH <{c_string(desc, 0)}>\n")
        return True
    if note.type == 3 and desc:
        flags = "".join(text for i, text in enumerate(_PAX) if version >> i & 1)
        file.out.write(f"{start}PaX <{flags}>\n")
        return True
    file.out.write(f"  NetBSD\t0x{size:08x}\tUnknown note type: (0x{note.type:08x})\n")
    return False
