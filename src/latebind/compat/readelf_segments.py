"""`readelf -l`: the program headers, and which sections lie in which segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_file import ELFOSABI_FREEBSD, ELFOSABI_GNU, ELFOSABI_SOLARIS
from latebind.compat.readelf_header import file_type
from latebind.compat.readelf_names import MACHINE_SEGMENT_TYPES, SEGMENT_TYPES, SOLARIS_SEGMENT_TYPES
from latebind.compat.text import c_string
from latebind.elf.section import SHT_NOBITS
from latebind.elf.segment import (
    PT_DYNAMIC,
    PT_GNU_EH_FRAME,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    PT_TLS,
)

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader
    from latebind.elf.segment import Segment

_PT_LOOS, _PT_LOPROC, _PT_GNU_SFRAME = 0x60000000, 0x70000000, 0x6474E554
_MBIND: Final = range(0x6474E555, 0x6474E555 + 4096)
_SHF_ALLOC, _SHF_TLS = 0x2, 0x400
_SAME_MACHINE: Final = {10: 8, 0xA390: 22}
_EM_PARISC: Final = 15
_WORD: Final = 0xFFFFFFFFFFFFFFFF


def segment_type(file: File, kind: int) -> str:
    """What readelf calls the segment type `kind` in this file."""
    if (name := SEGMENT_TYPES.get(kind)) is not None:
        return name
    if _PT_LOPROC <= kind <= 0x7FFFFFFF:
        machine = _SAME_MACHINE.get(file.machine, file.machine)
        name = MACHINE_SEGMENT_TYPES.get(machine, {}).get(kind)
        return name or f"LOPROC+{_alternate(kind - _PT_LOPROC)}"
    if _PT_LOOS <= kind < _PT_LOPROC:
        if file.os_abi in (ELFOSABI_GNU, ELFOSABI_FREEBSD) and kind in _MBIND:
            return f"GNU_MBIND+{_alternate(kind - _MBIND.start)}"
        name = SOLARIS_SEGMENT_TYPES.get(kind) if file.os_abi == ELFOSABI_SOLARIS else None
        return name or f"LOOS+{_alternate(kind - _PT_LOOS)}"
    return f"<unknown>: {kind:x}"


def _alternate(number: int) -> str:
    """C's ``%#x``: no prefix before zero."""
    return f"{number:#x}" if number else "0"


def show_segments(file: File) -> None:
    """Print the program headers if asked, and in any case find the interpreter and the dynamic section."""
    out, wanted = file.out, file.options.segments
    file.dynamic_place = (0, 0)
    if not file.segment_count:
        if file.header.phoff:
            out.warn("possibly corrupt ELF header - it has a non-zero program header offset, but no program headers")
        elif wanted:
            out.write("\nThere are no program headers in this file.\n")
        return
    if wanted and not file.options.header:
        file.dynamic_place = None  # the type of file depends on the dynamic section
        verb, plural = ("is", "") if file.segment_count == 1 else ("are", "s")
        out.write(
            f"\nElf file type is {file_type(file)}\nEntry point 0x{file.header.entry:x}\n"
            f"There {verb} {file.segment_count} program header{plural}, starting at offset {file.header.phoff}\n"
        )
        file.dynamic_place = (0, 0)
    if not file.segments:
        return
    if wanted:
        out.write(_heading(file))
    for index, segment in enumerate(file.segments):
        if wanted:
            out.write(_line(file, segment))
        _look_into(file, index, segment)
    if wanted and file.section_names is not None and file.sections:
        out.write(_mapping(file))


def _heading(file: File) -> str:
    if not file.is64:
        columns = "  Type           Offset   VirtAddr   PhysAddr   FileSiz MemSiz  Flg Align\n"
    elif file.options.wide:
        columns = "  Type           Offset   VirtAddr           PhysAddr           FileSiz  MemSiz   Flg Align\n"
    else:
        columns = (
            "  Type           Offset             VirtAddr           PhysAddr\n"
            "                 FileSiz            MemSiz              Flags  Align\n"
        )
    return f"\nProgram Headers:\n{columns}"


def _line(file: File, s: Segment) -> str:
    start = f"  {segment_type(file, s.type):<14.14} "
    flags = "".join(letter if s.flags & bit else " " for letter, bit in (("R", 4), ("W", 2), ("E", 1)))
    if not file.is64:
        return (
            f"{start}0x{s.offset:06x} 0x{s.vaddr:08x} 0x{s.paddr:08x} 0x{s.filesz:05x} 0x{s.memsz:05x} "
            f"{flags} {_alternate(s.align)}\n"
        )
    if file.options.wide:
        return (
            f"{start}0x{s.offset:06x} 0x{s.vaddr:016x} 0x{s.paddr:016x} 0x{s.filesz:06x} 0x{s.memsz:06x} "
            f"{flags} {_alternate(s.align)}\n"
        )
    return (
        f"{start}0x{s.offset:016x} 0x{s.vaddr:016x} 0x{s.paddr:016x}\n"
        f"                 0x{s.filesz:016x} 0x{s.memsz:016x}  {flags}    0x{s.align:x}\n"
    )


def _look_into(file: File, index: int, segment: Segment) -> None:
    if segment.type == PT_LOAD:
        if segment.memsz < segment.filesz:
            file.out.error("the segment's file size is larger than its memory size")
    elif segment.type == PT_PHDR:
        _check_program_headers(file, index, segment)
    elif segment.type == PT_DYNAMIC:
        _find_dynamic(file, segment)
    elif segment.type == PT_INTERP:
        _find_interpreter(file, segment)


def _check_program_headers(file: File, index: int, segment: Segment) -> None:
    if any(s.type == PT_LOAD for s in file.segments[:index]):
        file.out.error("the PHDR segment must occur before any LOAD segment")
    covered = any(
        load.type == PT_LOAD
        and load.offset <= segment.offset
        and load.offset + load.filesz >= segment.offset + segment.filesz
        and load.vaddr <= segment.vaddr
        and load.vaddr + load.filesz >= segment.vaddr + segment.filesz
        for load in file.segments[1:]
    )
    if not covered and file.machine != _EM_PARISC:
        file.out.error("the PHDR segment is not covered by a LOAD segment")


def _find_dynamic(file: File, segment: Segment) -> None:
    out = file.out
    if file.dynamic_place and file.dynamic_place[0]:
        out.error("more than one dynamic segment")
    file.dynamic_place = (segment.offset, segment.filesz)
    if file.sections:
        section = file.section_named(".dynamic")
        if section is None or not section.size:
            out.error("no .dynamic section in the dynamic segment")
            return
        if section.type == SHT_NOBITS:  # a file of debugging information: the contents are elsewhere
            file.dynamic_place = (0, 0)
            return
        if file.options.checks and (section.offset, section.size) != file.dynamic_place:
            out.warn("the .dynamic section is not the same as the dynamic segment")
        file.dynamic_place = (section.offset, section.size)
    if sum(file.dynamic_place) > file.source.size:
        out.error("the dynamic segment offset + size exceeds the size of the file")
        file.dynamic_place = (0, 0)


def _find_interpreter(file: File, segment: Segment) -> None:
    if not segment.filesz or segment.offset + segment.filesz > file.source.size:
        file.out.error("Unable to find program interpreter name")
        return
    file.interpreter = c_string(file.source.take(segment.offset, segment.filesz, "PT_INTERP"), 0)
    if file.options.segments:
        file.out.write(f"      [Requesting program interpreter: {file.interpreter}]\n")


def _mapping(file: File) -> str:
    lines = ["\n Section to Segment mapping:\n  Segment Sections...\n"]
    named = [(section, f"{file.shown_name(section)} ") for section in file.sections[1:]]
    for index, segment in enumerate(file.segments):
        names = "".join(name for section, name in named if _is_in(section, segment))
        lines.append(f"   {index:02}     {names}\n")
    return "".join(lines)


_TLS_SEGMENTS: Final = frozenset({PT_TLS, PT_GNU_RELRO, PT_LOAD})
_ALLOCATED_ONLY: Final = frozenset({PT_LOAD, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_STACK, PT_GNU_RELRO, _PT_GNU_SFRAME})


def _is_in(section: SectionHeader, segment: Segment) -> bool:
    """Whether the section lies in the segment, as binutils decides it (elf/internal.h, strict and by address).

    Differences wrap around as in C: an empty segment has no room for a section of size 0, but any below it has.
    """
    if not _may_hold(section, segment):
        return False
    in_file, allocated = section.type != SHT_NOBITS, bool(section.flags & _SHF_ALLOC)
    if in_file and not _fits(section.offset, section.size, segment.offset, segment.filesz):
        return False
    if allocated and not _fits(section.addr, section.size, segment.vaddr, segment.memsz):
        return False
    if segment.type not in (PT_DYNAMIC, PT_NOTE) or section.size or not segment.memsz:
        return True
    # An empty section at the start or the end of PT_DYNAMIC or PT_NOTE belongs to its neighbour.
    return (not in_file or _inside(section.offset, segment.offset, segment.filesz)) and (
        not allocated or _inside(section.addr, segment.vaddr, segment.memsz)
    )


def _may_hold(section: SectionHeader, segment: Segment) -> bool:
    """Whether a segment of that type can hold such a section at all."""
    if section.flags & _SHF_TLS:
        fits = segment.type == PT_TLS or (segment.type in _TLS_SEGMENTS and section.type != SHT_NOBITS)
    else:
        fits = segment.type not in (PT_TLS, PT_PHDR)
    allocated_only = segment.type in _ALLOCATED_ONLY or segment.type in _MBIND
    return fits and (bool(section.flags & _SHF_ALLOC) or not allocated_only)


def _fits(start: int, size: int, outer: int, outer_size: int) -> bool:
    distance = start - outer
    return distance >= 0 and distance <= (outer_size - 1) & _WORD and distance + size & _WORD <= outer_size


def _inside(start: int, outer: int, outer_size: int) -> bool:
    return 0 < start - outer < outer_size
