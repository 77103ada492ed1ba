"""`readelf -S` and `-t`: the section headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_file import (
    ELFOSABI_FREEBSD,
    ELFOSABI_GNU,
    ELFOSABI_NONE,
    ELFOSABI_SOLARIS,
    X86_64_FAMILY,
    X86_AND_SPARC,
)
from latebind.compat.readelf_names import MACHINE_SECTION_TYPES, SECTION_TYPES, SOLARIS_SECTION_TYPES
from latebind.compat.text import symbol_cut, symbol_text
from latebind.elf.section import SHT_DYNSYM, SHT_NOBITS, SHT_NOTE, SHT_STRTAB

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.header import SectionHeader

SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC, SHT_REL = 0, 1, 2, 4, 5, 6, 9
SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY, SHT_GROUP, SHT_SYMTAB_SHNDX, SHT_RELR = 14, 15, 16, 17, 18, 19
SHT_LOOS: Final = 0x60000000
SHT_GNU_LIBLIST, SHT_GNU_HASH = 0x6FFFFFF7, 0x6FFFFFF6
SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
SHF_MASKOS, SHF_MASKPROC = 0x0FF00000, 0xF0000000
_SHF_INFO_LINK, _SHF_COMPRESSED, _SHF_GNU_RETAIN, _SHF_GNU_MBIND = 0x40, 0x800, 0x200000, 0x1000000

_EM_PPC, _EM_ARM, _EM_IA_64 = 20, 40, 50
# Names of machines that have several numbers: the tables know one of them.
_SAME_MACHINE: Final = {10: 8, 87: 36, 0x9080: 36, 93: 45, 195: 45, 180: 62, 181: 62}

# bit: (letter in -S, name in -t)
_FLAGS: Final = {
    0x1: ("W", "WRITE"),
    0x2: ("A", "ALLOC"),
    0x4: ("X", "EXEC"),
    0x10: ("M", "MERGE"),
    0x20: ("S", "STRINGS"),
    0x40: ("I", "INFO LINK"),
    0x80: ("L", "LINK ORDER"),
    0x100: ("O", "OS NONCONF"),
    0x200: ("G", "GROUP"),
    0x400: ("T", "TLS"),
    0x800: ("C", "COMPRESSED"),
    0x80000000: ("E", "EXCLUDE"),
}
_RETAIN_ABIS: Final = frozenset({ELFOSABI_GNU, ELFOSABI_FREEBSD})


def section_type(file: File, kind: int) -> str:
    """What readelf calls the section type `kind` in this file."""
    if kind in SECTION_TYPES and not (kind == 0x6FFF4700 and file.machine == _EM_IA_64):
        name: str | None = SECTION_TYPES[kind]
        if file.os_abi == ELFOSABI_SOLARIS:
            name = SOLARIS_SECTION_TYPES.get(kind, name)
        return name or ""
    machine = _SAME_MACHINE.get(file.machine, file.machine)
    name = MACHINE_SECTION_TYPES.get(machine, {}).get(kind)
    if name is None and file.os_abi == ELFOSABI_SOLARIS:
        name = SOLARIS_SECTION_TYPES.get(kind)
    if name is not None:
        return name
    for start, end, label in ((0x70000000, 0x7FFFFFFF, "LOPROC"), (SHT_LOOS, 0x6FFFFFFF, "LOOS")):
        if start <= kind <= end:
            return f"{label}+{_alternate(kind - start)}"
    return f"LOUSER+{_alternate(kind - 0x80000000)}" if kind >= 0x80000000 else f"{kind:08x}: <unknown>"


def _alternate(number: int) -> str:
    """C's ``%#x``: no prefix before zero."""
    return f"{number:#x}" if number else "0"


def _flag_letters(file: File, flags: int) -> str:
    letters = []
    while flags:
        bit = flags & -flags
        flags &= ~bit
        if bit in _FLAGS:
            letter = _FLAGS[bit][0]
        elif file.machine in X86_64_FAMILY and bit == 0x10000000:
            letter = "l"
        elif file.machine == _EM_ARM and bit == 0x20000000:
            letter = "y"
        elif file.machine == _EM_PPC and bit == 0x10000000:
            letter = "v"
        elif bit & SHF_MASKOS:
            letter = _os_letter(file, bit)
            if letter == "o":
                flags &= ~SHF_MASKOS
        elif bit & SHF_MASKPROC:
            letter = "p"
            flags &= ~SHF_MASKPROC
        else:
            letter = "x"
        letters.append(letter)
    return "".join(letters)


def _os_letter(file: File, bit: int) -> str:
    if file.os_abi in _RETAIN_ABIS and bit == _SHF_GNU_RETAIN:
        return "R"
    if file.os_abi in _RETAIN_ABIS | {ELFOSABI_NONE} and bit == _SHF_GNU_MBIND:
        return "D"
    return "o"


def _flag_name(file: File, bit: int) -> str | None:
    if bit in _FLAGS:
        return _FLAGS[bit][1]
    machine = file.machine
    name = None
    if machine == _EM_IA_64:
        name = {0x10000000: "SHORT", 0x20000000: "NORECOV"}.get(bit)
    elif machine in X86_AND_SPARC and bit == 0x40000000:
        name = "ORDERED"
    elif machine == _EM_ARM:
        name = {0x10000000: "ENTRYSECT", 0x20000000: "ARM_PURECODE", 0x80000000: "COMDEF"}.get(bit)
    elif machine == _EM_PPC and bit == 0x10000000:
        name = "VLE"
    if file.os_abi in _RETAIN_ABIS and bit == _SHF_GNU_RETAIN:
        name = "GNU_RETAIN"
    if file.os_abi in _RETAIN_ABIS | {ELFOSABI_NONE} and bit == _SHF_GNU_MBIND:
        name = "GNU_MBIND"
    return name


def _flag_names(file: File, flags: int) -> str:
    width = 16 if file.is64 else 8
    names = []
    rest = {"OS": 0, "PROC": 0, "UNKNOWN": 0}
    for position in range(flags.bit_length()):
        bit = flags & 1 << position
        name = _flag_name(file, bit) if bit else None
        if name is not None:
            names.append(name)
        elif bit:
            rest["OS" if bit & SHF_MASKOS else "PROC" if bit & SHF_MASKPROC else "UNKNOWN"] |= bit
    names += [f"{label} ({bits:0{width}x})" for label, bits in rest.items() if bits]
    return f"[{flags:0{width}x}]: {', '.join(names)}"


_HEADINGS: Final = {
    # (64-bit, wide, details)
    (False, False): "  [Nr] Name              Type            Addr     Off    Size   ES Flg Lk Inf Al\n",
    (False, True): "  [Nr] Name\n       Type            Addr     Off    Size   ES   Lk Inf Al\n",
}
_HEADINGS_64: Final = {
    # (wide, details)
    (True, False): "  [Nr] Name              Type            Address          Off    Size   ES Flg Lk Inf Al\n",
    (True, True): "  [Nr] Name\n       Type            Address          Off    Size   ES   Lk Inf Al\n",
    (False, False): (
        "  [Nr] Name              Type             Address           Offset\n"
        "       Size              EntSize          Flags  Link  Info  Align\n"
    ),
    (False, True): (
        "  [Nr] Name\n"
        "       Type              Address          Offset            Link\n"
        "       Size              EntSize          Info              Align\n"
    ),
}


def show_sections(file: File) -> None:
    """Print the section headers."""
    options, out = file.options, file.out
    out.write("\nSection Headers:\n" if len(file.sections) > 1 else "\nSection Header:\n")
    if file.is64:
        out.write(_HEADINGS_64[options.wide, options.details])
    else:
        out.write(_HEADINGS[False, options.details])
    if options.details:
        out.write("       Flags\n")
    for index, section in enumerate(file.sections):
        _check(file, index, section)
        out.write(_line(file, index, section))
        if not file.is64 and section.link >= len(file.sections) and _solaris_link(file, section.link) is None:
            out.warn(f"section {index}: sh_link value of {section.link} is larger than the number of sections")
        if options.details:
            out.write(f"       {_flag_names(file, section.flags)}\n{_compression(file, section)}")
    if not options.details:
        out.write(_key(file))


def _solaris_link(file: File, link: int) -> str | None:
    """SHN_BEFORE and SHN_AFTER, which order sections in Solaris."""
    if file.machine not in X86_AND_SPARC:
        return None
    return {0xFF00: "BEFORE", 0xFF01: "AFTER"}.get(link)


def _line(file: File, index: int, s: SectionHeader) -> str:
    options = file.options
    if options.details:
        name = f"{file.shown_name(s)}\n      "
    elif options.wide:
        name = symbol_text(file.name_of(s)).ljust(17)
    else:
        name = symbol_cut(file.name_of(s), -17, dots=not options.truncate_silently)
    kind = section_type(file, s.type)
    kind = f"{kind:<15}" if options.wide else f"{kind:<15.15}"
    start = f"  [{index:2}] {name} {kind} "
    flags = "  " if options.details else f" {_flag_letters(file, s.flags):>3} "
    if not file.is64 or options.wide:
        link = f"{s.link:2} "
        if not file.is64 and options.details and s.link >= len(file.sections):
            special = _solaris_link(file, s.link)
            link = f"<{special}> " if special else link
        address = file.address_form % s.addr
        return f"{start}{address} {s.offset:06x} {s.size:06x} {s.entsize:02x}{flags}{link}{s.info:3} {s.addralign:2}\n"
    if options.details:
        return (
            f"{start} {s.addr:016x}  {s.offset:016x}  {s.link}\n"
            f"       {s.size:016x} {s.entsize:016x}  {s.info:<16}  {s.addralign}\n"
        )
    return (
        f"{start} {s.addr:016x}  {s.offset:08x}\n"
        f"       {s.size:016x}  {s.entsize:016x}{flags}     {s.link:2}   {s.info:3}     {s.addralign}\n"
    )


def _compression(file: File, section: SectionHeader) -> str:
    """The compression header's line in -t, for sections that are compressed (gABI, "Section Compression")."""
    if not section.flags & _SHF_COMPRESSED:
        return ""
    if file.take(section.offset, 24, "compression header") is None:
        return ""
    if file.is64:
        kind, _, size, align = file.source.unpack("IIQQ", section.offset, "compression header")
    else:
        kind, size, align = file.source.unpack("III", section.offset, "compression header")
    name = {1: "ZLIB", 2: "ZSTD"}.get(kind) or f"[<unknown>: 0x{kind:x}]"
    return f"       {name}, {file.address_form % size}, {align}\n"


def _key(file: File) -> str:
    retain = "R (retain), " if file.os_abi in _RETAIN_ABIS else ""
    mbind = "D (mbind), " if file.os_abi in _RETAIN_ABIS | {ELFOSABI_NONE} else ""
    machine = ""
    if file.machine in X86_64_FAMILY:
        machine = "l (large), "
    elif file.machine == _EM_ARM:
        machine = "y (purecode), "
    elif file.machine == _EM_PPC:
        machine = "v (VLE), "
    return (
        "Key to Flags:\n"
        "  W (write), A (alloc), X (execute), M (merge), S (strings), I (info),\n"
        "  L (link order), O (extra OS processing required), G (group), T (TLS),\n"
        "  C (compressed), x (unknown), o (OS specific), E (exclude),\n"
        f"  {retain}{mbind}{machine}p (processor specific)\n"
    )


# what is wrong with a header -----------------------------------------------------------------------------------

_NEEDS_SYMBOLS: Final = frozenset(
    {SHT_REL, SHT_RELA, SHT_SYMTAB_SHNDX, SHT_GROUP, SHT_HASH, SHT_GNU_HASH, SHT_GNU_VERSYM}
)
_NEEDS_STRINGS: Final = frozenset(
    {SHT_DYNAMIC, SHT_SYMTAB, SHT_DYNSYM, SHT_GNU_VERNEED, SHT_GNU_VERDEF, SHT_GNU_LIBLIST}
)
_ARRAYS: Final = frozenset({SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY})
_RELOCATABLE: Final = frozenset({SHT_PROGBITS, SHT_NOBITS, SHT_NOTE}) | _ARRAYS


def _check(file: File, index: int, section: SectionHeader) -> None:
    """Warn of links and sizes that cannot be right."""
    _check_link(file, index, section)
    _check_info(file, index, section)
    if section.size > file.source.size and section.type not in (SHT_NOBITS, SHT_NULL) and section.type < SHT_LOOS:
        file.out.warn(f"Size of section {index} is larger than the entire file!")


def _linked_type(file: File, index: int) -> int | None:
    return file.sections[index].type if 0 < index < len(file.sections) else None


def _linked(file: File) -> bool:
    return file.header.type in (2, 3)  # relocations of ET_EXEC and ET_DYN need not name sections


def _check_link(file: File, index: int, section: SectionHeader) -> None:
    kind, link = section.type, section.link
    if kind in (SHT_REL, SHT_RELA) and not link and _linked(file):
        return
    if kind in _NEEDS_SYMBOLS and _linked_type(file, link) not in (SHT_SYMTAB, SHT_DYNSYM):
        file.out.warn(f"[{index:2}]: Link field ({link}) should index a symtab section.")
    elif kind in _NEEDS_STRINGS and _linked_type(file, link) != SHT_STRTAB:
        file.out.warn(f"[{index:2}]: Link field ({link}) should index a string section.")
    elif kind in _ARRAYS and link:
        file.out.warn(f"[{index:2}]: Unexpected value ({link}) in link field.")


def _check_info(file: File, index: int, section: SectionHeader) -> None:
    kind, info = section.type, section.info
    unexpected = f"[{index:2}]: Unexpected value ({info}) in info field."
    if kind in (SHT_REL, SHT_RELA):
        target = _linked_type(file, info)
        if (info or not _linked(file)) and (target is None or (target not in _RELOCATABLE and target < SHT_LOOS)):
            file.out.warn(f"[{index:2}]: Info field ({info}) should index a relocatable section.")
    elif kind in _ARRAYS | {SHT_DYNAMIC, SHT_HASH, SHT_SYMTAB_SHNDX}:
        if info:
            file.out.warn(unexpected)
    elif kind in (SHT_GROUP, SHT_SYMTAB, SHT_DYNSYM, SHT_NOBITS):
        pass  # a symbol's index; and sections that were stripped to NOBITS keep what they had
    elif section.flags & _SHF_INFO_LINK:
        if _linked_type(file, info) is None:
            file.out.warn(f"[{index:2}]: Expected link to another section in info field")
    elif kind < SHT_LOOS and not section.flags & _SHF_GNU_MBIND and info:
        file.out.warn(unexpected)
