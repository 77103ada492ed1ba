"""`readelf -x`, `-p`, `-R` and `-z`: the contents of sections, as bytes or as strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_relocated import relocated_contents
from latebind.compat.text import symbol_text
from latebind.elf.bytesource import FileOffset, VirtualAddress
from latebind.elf.compressed import section_contents
from latebind.elf.section import SHF_COMPRESSED, SHT_NOBITS, SHT_REL, SHT_RELA, Section
from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader

BYTES, RELOCATED, STRINGS = "bytes", "relocated", "strings"
_KINDS: Final = (BYTES, RELOCATED, STRINGS)  # of one section, in this order
_LINE: Final = 16  # bytes in a line
_CONTINUED: Final = " " * 12


@dataclass(frozen=True, slots=True)
class Request:
    """One section to dump, by number or by name, and how: `BYTES`, `RELOCATED` or `STRINGS`."""

    kind: str
    section: int | str


def show_dumps(file: File) -> bool:
    """Dump what the options ask for, in the order of the sections; False where something could not be read."""
    wanted: dict[int, set[str]] = {}
    for request in reversed(file.options.dumps):  # readelf speaks of the last name first
        numbers = [request.section] if isinstance(request.section, int) else _named(file, request.section)
        for number in numbers:
            wanted.setdefault(number, set()).add(request.kind)
    fine = True
    for number in sorted(wanted):
        if number >= len(file.sections):
            file.out.warn(f"Section {number} was not dumped because it does not exist!")
            fine = False
            continue
        for kind in _KINDS:
            if kind in wanted[number]:
                fine = _dump(file, file.sections[number], kind) and fine
    return fine


def _named(file: File, name: str) -> list[int]:
    found = [i for i, s in enumerate(file.sections) if file.name_of(s) == name]
    if not found:
        file.out.warn(f"Section '{name}' was not dumped because it does not exist")
    return found


def _dump(file: File, section: SectionHeader, kind: str) -> bool:
    name = file.shown_name(section)
    if not section.size or section.type == SHT_NOBITS:
        file.out.write(f"Section '{name}' has no data to dump.\n")
        return True
    contents = file.take(section.offset, section.size, "section contents")
    if contents is None:
        return False
    file.out.write(f"\n{'String' if kind == STRINGS else 'Hex'} dump of section '{name}':\n")
    if file.options.decompress:
        contents = _decompressed(file, section, contents)
    if kind == RELOCATED:
        contents = relocated_contents(file, section, contents, warn=file.out.warn)
    elif _has_relocations(file, section):
        note = "  Note" if kind == STRINGS else " NOTE"
        file.out.write(
            f"{note}: This section has relocations against it, but these have NOT been applied to this dump.\n"
        )
    file.out.write_all(_strings(contents) if kind == STRINGS else _bytes(contents, section.addr))
    file.out.write("\n")
    return True


def _decompressed(file: File, section: SectionHeader, contents: bytes) -> bytes:
    """What the section is once decompressed; as it is, reported, where it cannot be."""
    name = file.name_of(section)
    if not section.flags & SHF_COMPRESSED and not name.startswith(".zdebug"):
        return contents
    known = Section(
        0, name, section.type, section.flags, VirtualAddress(section.addr), FileOffset(section.offset), section.size,
        section.link, section.info, section.addralign, section.entsize,
    )  # fmt: skip
    try:
        return section_contents(file.source, known)
    except LatebindError:
        file.out.error(f"Unable to decompress section {file.shown_name(section)}")
        return contents


def _has_relocations(file: File, section: SectionHeader) -> bool:
    return any(
        table.type in {SHT_REL, SHT_RELA}
        and table.info < len(file.sections)
        and file.sections[table.info] is section
        and table.size
        and table.link < len(file.sections)
        for table in file.sections
    )


def _bytes(contents: bytes, address: int) -> Iterator[str]:
    for at in range(0, len(contents), _LINE):
        part = contents[at : at + _LINE]
        digits = part.hex().ljust(2 * _LINE)
        words = " ".join(digits[i : i + 8] for i in range(0, 2 * _LINE, 8))
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"  0x{address + at:08x} {words} {text}\n"


def _strings(contents: bytes) -> Iterator[str]:
    """Each string with its offset. One starts at a printable character and ends at a zero byte or a new line."""
    text = contents.decode("latin-1")
    at, continuing, end = 0, False, len(text)
    shown = False
    while True:
        while at < end and not " " <= text[at] <= "~":
            at += 1
        if at >= end:
            break
        shown = True
        yield _CONTINUED if continuing else f"  [{at:6x}]  "
        stops = [stop for stop in (text.find("\0", at), text.find("\n", at)) if stop >= 0]
        stop = min(stops, default=end)
        yield symbol_text(text[at:stop])
        at = stop + 1
        continuing = text[stop : stop + 1] == "\n" and text[at : at + 1] not in {"", "\0"}
        yield "\\n\n" if text[stop : stop + 1] == "\n" else "\n"
    if not shown:
        yield "  No strings found in this section."
