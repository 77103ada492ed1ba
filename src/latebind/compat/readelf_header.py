"""`readelf -h`: the ELF header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.machine_flags import machine_flags
from latebind.elf.header import ET_DYN, PN_XNUM
from latebind.elf.machine_names import MACHINE_NAMES
from latebind.elf.section import SHN_XINDEX

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File

_CLASSES: Final = {0: "none", 1: "ELF32", 2: "ELF64"}
_ENCODINGS: Final = {0: "none", 1: "2's complement, little endian", 2: "2's complement, big endian"}
_TYPES: Final = {
    0: "NONE (None)",
    1: "REL (Relocatable file)",
    2: "EXEC (Executable file)",
    3: "DYN (Shared object file)",
    4: "CORE (Core file)",
}
_OS_ABIS: Final = {
    0: "UNIX - System V",
    1: "UNIX - HP-UX",
    2: "UNIX - NetBSD",
    3: "UNIX - GNU",
    6: "UNIX - Solaris",
    7: "UNIX - AIX",
    8: "UNIX - IRIX",
    9: "UNIX - FreeBSD",
    10: "UNIX - TRU64",
    11: "Novell - Modesto",
    12: "UNIX - OpenBSD",
    13: "VMS - OpenVMS",
    14: "HP - Non-Stop Kernel",
    15: "AROS",
    16: "FenixOS",
    17: "Nuxi CloudABI",
    18: "Stratus Technologies OpenVOS",
}
# From 64 on the number means something else on each machine.
_MACHINE_OS_ABIS: Final = {
    (40, 65): "ARM FDPIC",
    (40, 97): "ARM",
    (105, 255): "Standalone App",
    (0x1059, 255): "Standalone App",
    (140, 64): "Bare-metal C6000",
    (140, 65): "Linux C6000",
    (221, 255): "Standalone App",
    (224, 64): "AMD HSA",
    (224, 65): "AMD PAL",
    (224, 66): "AMD Mesa3D",
}


def file_type(file: File) -> str:
    """What kind of file it is, in readelf's words."""
    kind = file.header.type
    if kind == ET_DYN and file.is_pie():
        return "DYN (Position-Independent Executable file)"
    if kind in _TYPES:
        return _TYPES[kind]
    if kind >= 0xFF00:
        return f"Processor Specific: ({kind:x})"
    if kind >= 0xFE00:
        return f"OS Specific: ({kind:x})"
    return f"<unknown>: {kind:x}"


def machine_name(machine: int) -> str:
    """What binutils calls the machine, or its number where it has no name for it."""
    return MACHINE_NAMES.get(machine, ("", None))[1] or f"<unknown>: {machine:#x}"


def _os_abi(file: File) -> str:
    number = file.os_abi
    return _OS_ABIS.get(number) or _MACHINE_OS_ABIS.get((file.machine, number)) or f"<unknown: {number:x}>"


def show_header(file: File) -> None:
    """Print the ELF header. Numbers that stand in section header 0 follow in brackets."""
    header, ident, first = file.header, file.ident, file.first_section
    segments = f"{header.phnum}"
    if first is not None and header.phnum == PN_XNUM and first.info:
        segments += f" ({first.info})"
    sections = f"{header.shnum}"
    if first is not None and not header.shnum:
        sections += f" ({first.size & 0xFFFFFFFF})"
    names = f"{header.shstrndx}"
    names_index = header.shstrndx
    if first is not None and header.shstrndx == SHN_XINDEX:
        names_index = first.link
        names += f" ({names_index})"
    if names_index and names_index >= file.section_count:
        names += " <corrupt: out of range>"
    current = {0: "", 1: " (current)"}.get(ident[6], " <unknown>")
    elf_class = _CLASSES.get(header.elf_class) or f"<unknown: {header.elf_class:x}>"
    encoding = _ENCODINGS.get(header.data) or f"<unknown: {header.data:x}>"
    lines = (
        ("Class", elf_class),
        ("Data", encoding),
        ("Version", f"{ident[6]}{current}"),
        ("OS/ABI", _os_abi(file)),
        ("ABI Version", f"{header.abi_version}"),
        ("Type", file_type(file)),
        ("Machine", machine_name(header.machine)),
        ("Version", f"0x{header.version:x}"),
        ("Entry point address", f"0x{header.entry:x}"),
        ("Start of program headers", f"{_signed(header.phoff)} (bytes into file)"),
        ("Start of section headers", f"{_signed(header.shoff)} (bytes into file)"),
        ("Flags", f"0x{header.flags:x}{machine_flags(header)}"),
        ("Size of this header", f"{header.ehsize} (bytes)"),
        ("Size of program headers", f"{header.phentsize} (bytes)"),
        ("Number of program headers", segments),
        ("Size of section headers", f"{header.shentsize} (bytes)"),
        ("Number of section headers", sections),
        ("Section header string table index", names),
    )
    magic = "".join(f"{byte:02x} " for byte in ident)
    text = "".join(f"  {label + ':':<34} {value}\n" for label, value in lines)
    file.out.write(f"ELF Header:\n  Magic:   {magic}\n{text}")


def _signed(value: int) -> int:
    """A 64-bit number as C's signed conversion shows it."""
    return value - (1 << 64) if value >> 63 else value
