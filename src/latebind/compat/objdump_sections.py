"""`objdump -f`, `-h` and `-s`: a file's flags, its sections as BFD sees them, and their contents.

BFD has flags of its own for a section, derived from its type, flags and name (`_bfd_elf_make_section_from_shdr` in
bfd/elf.c). A section's load address is that of the segment around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.bfd import SHT_GROUP
from latebind.compat.text import visible
from latebind.elf.compressed import read_compression
from latebind.elf.header import ET_EXEC
from latebind.elf.raw.group import GRP_COMDAT, read_group
from latebind.elf.section import SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS
from latebind.elf.segment import PT_LOAD, PT_TLS
from latebind.elf.symbol_rows import byte_text
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.compat.bfd import BfdFile
    from latebind.compat.output import Output
    from latebind.elf import Section, Segment

_SHF_TLS, _SHF_EXCLUDE = 0x400, 0x80000000
_NAME_WIDTH: Final = 13
_LINE: Final = 16  # bytes in a line of contents
_DEBUGGING: Final = (".debug", ".gnu.debuglto_.debug_", ".gnu.linkonce.wi.", ".zdebug")
_OCTETS: Final = (".gnu.build.attributes", ".note.gnu")
_ARCHITECTURES: Final = {
    "elf64-x86-64": "i386:x86-64",
    "elf32-x86-64": "i386:x64-32",
    "elf32-i386": "i386",
    "elf32-iamcu": "iamcu",
}
_FILE_FLAGS: Final = ((0x01, "HAS_RELOC"), (0x02, "EXEC_P"), (0x10, "HAS_SYMS"), (0x40, "DYNAMIC"), (0x100, "D_PAGED"))


# -f ---------------------------------------------------------------------------------------------------------


def file_header(file: BfdFile) -> str:
    """Architecture, flags and start address."""
    header = file.elf.header
    flags = (
        (0x01 if file.relocated else 0)
        | (0x02 if header.type == ET_EXEC else 0)
        | (0x10 if file.has_symbols else 0)
        | (0x40 if file.is_dynamic else 0)
        | (0x100 if header.phnum else 0)
    )
    names = ", ".join(name for bit, name in _FILE_FLAGS if flags & bit)
    architecture = _ARCHITECTURES.get(file.target, "UNKNOWN!")
    return (
        f"architecture: {architecture}, flags 0x{flags:08x}:\n{names}\nstart address 0x{header.entry:0{file.digits}x}\n"
    )


# -h ---------------------------------------------------------------------------------------------------------


def section_headers(file: BfdFile, only: Sequence[str], *, wide: bool, decompressed: bool) -> Iterator[str]:
    """The table of sections, or of those that `only` names; `wide`: each in one line.

    Sections of debug information are shown as they are once `decompressed`, or as they are in the file.
    """
    shown = [(i, s) for i, s in enumerate(file.bfd_sections) if _is_wanted(s, only)]
    width = max([_NAME_WIDTH, *(len(byte_text(s.name)) for _, s in shown)]) if wide else _NAME_WIDTH
    pad = " " * (file.digits - 1)
    flags = "  Flags" if wide else ""
    yield f"Sections:\nIdx {'Name':<{width}} Size      VMA{pad}LMA{pad}File off  Algn{flags}\n"
    for number, section in shown:
        size, align = _size(file, section) if decompressed else (section.size, section.addralign)
        # BFD makes an alignment that is no power of two one
        power = max((align & -align).bit_length() - 1, 0)
        yield (
            f"{number:3} {visible(byte_text(section.name)):<{width}} {size & 0xFFFFFFFFFFFFFFFF:08x}  "
            f"{section.addr:0{file.digits}x}  {_load_address(file, section):0{file.digits}x}  "
            f"{section.offset:08x}  2**{power}"
            f"{'' if wide else f'{chr(10)}{chr(32) * 16}'}  {', '.join(_flags(file, section))}\n"
        )


def _is_wanted(section: Section, only: Sequence[str]) -> bool:
    return not only or byte_text(section.name) in only


def _size(file: BfdFile, section: Section) -> tuple[int, int]:
    """Size and alignment; of a compressed section those that it has once decompressed."""
    if section.flags & SHF_COMPRESSED and section.name.startswith((".debug_", ".zdebug_", ".gnu.debuglto_.debug_")):
        try:
            found = read_compression(file.elf.source, section)
        except MalformedElf:
            return section.size, section.addralign
        return found.size, found.align
    return section.size, section.addralign


def _load_address(file: BfdFile, section: Section) -> int:
    segments = [s for s in file.elf.segments if s.type in {PT_LOAD, PT_TLS}]
    loads = [s for s in file.elf.segments if s.type == PT_LOAD and s.memsz]
    address = section.addr
    if not section.flags & SHF_ALLOC or (len(loads) > 1 and not any(s.paddr for s in file.elf.segments)):
        return address
    for segment in segments:
        if not _is_in(section, segment):
            continue
        if section.type == SHT_NOBITS:
            address = segment.paddr + section.addr - segment.vaddr  # type: ignore[assignment]  # an address again
        else:
            address = segment.paddr + section.offset - segment.offset  # type: ignore[assignment]
        if segment.vaddr <= section.addr and section.addr + section.size <= segment.vaddr + segment.memsz:
            break
    return address & ((1 << file.elf.header.bits) - 1)


def _is_in(section: Section, segment: Segment) -> bool:
    """Whether the section lies in the segment, as BFD decides it here: by file offset and by address, not strictly."""
    if bool(section.flags & _SHF_TLS) != (segment.type == PT_TLS):
        return False
    in_file = section.type == SHT_NOBITS or _fits(section.offset, section.size, segment.offset, segment.filesz)
    return in_file and _fits(section.addr, section.size, segment.vaddr, segment.memsz)


def _fits(start: int, size: int, outer: int, outer_size: int) -> bool:
    return start >= outer and start - outer + size <= outer_size


def _flags(file: BfdFile, section: Section) -> Iterator[str]:
    has_contents, allocated = section.type != SHT_NOBITS, bool(section.flags & SHF_ALLOC)
    loaded, name = has_contents and allocated, section.name
    debugging = not allocated and (name.startswith((*_DEBUGGING, ".line", ".stab")) or name == ".gdb_index")
    for flag, word in (
        (has_contents, "CONTENTS"),
        (allocated, "ALLOC"),
        (loaded, "LOAD"),
        (section.index in file.relocated, "RELOC"),
        (not section.flags & SHF_WRITE, "READONLY"),
        (section.flags & SHF_EXECINSTR, "CODE"),
        (loaded and not section.flags & SHF_EXECINSTR, "DATA"),
        (debugging, "DEBUGGING"),
        (section.flags & _SHF_EXCLUDE, "EXCLUDE"),
        (not allocated and name.startswith((*_DEBUGGING, *_OCTETS)), "OCTETS"),
        (section.flags & _SHF_TLS, "THREAD_LOCAL"),
        (section.type == SHT_GROUP, "GROUP"),
        (_is_linked_once(file, section), "LINK_ONCE_DISCARD"),
    ):
        if flag:
            yield word


def _is_linked_once(file: BfdFile, section: Section) -> bool:
    if section.type != SHT_GROUP:
        return section.name.startswith(".gnu.linkonce")
    try:
        return bool(read_group(file.elf.source, section.offset, section.size).flags & GRP_COMDAT)
    except MalformedElf:
        return False


# -s ---------------------------------------------------------------------------------------------------------


def section_contents(file: BfdFile, only: Sequence[str], output: Output, *, offsets: bool) -> None:
    """The bytes of all sections that have some, or of those that `only` names; with file `offsets` if wanted."""
    for section in file.bfd_sections:
        if section.type == SHT_NOBITS or not section.size or not _is_wanted(section, only):
            continue
        name = visible(byte_text(section.name))
        where = f"  (Starting at file offset: 0x{section.offset:x})" if offsets else ""
        output.write(f"Contents of section {name}:{where}\n")
        try:
            contents = file.elf.source.take(section.offset, section.size, "section contents")
        except MalformedElf:
            output.complain(f"Reading section {byte_text(section.name)} failed because: file truncated")
            continue
        output.write_all(_content_lines(contents, section.addr))


def _content_lines(contents: bytes, address: int) -> Iterator[str]:
    width = max(4, len(f"{address:x}"), len(f"{address + len(contents) - 1:x}"))
    for at in range(0, len(contents), _LINE):
        part = contents[at : at + _LINE]
        digits = part.hex().ljust(2 * _LINE)
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        words = " ".join(digits[i : i + 8] for i in range(0, 2 * _LINE, 8))
        yield f" {address + at:0{width}x} {words}  {text:<{_LINE}}\n"
