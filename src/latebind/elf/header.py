"""The ELF header (gABI, "ELF Header"): what kind of file this is, and where its tables are."""

from __future__ import annotations

from dataclasses import dataclass

from latebind.elf import numbers
from latebind.elf.bytesource import ByteSource, FileOffset, VirtualAddress, type_of_bytes
from latebind.elf.machine_names import MACHINES
from latebind.elf.names import FILE_TYPES
from latebind.errors import MalformedElf

ELFCLASS32, ELFCLASS64 = numbers.ELFCLASS32, numbers.ELFCLASS64
ELFDATA2LSB, ELFDATA2MSB = numbers.ELFDATA2LSB, numbers.ELFDATA2MSB
ET_REL, ET_EXEC, ET_DYN, ET_CORE = numbers.ET_REL, numbers.ET_EXEC, numbers.ET_DYN, numbers.ET_CORE
ELFOSABI_GNU = 3
EM_386, EM_MIPS, EM_X86_64, EM_AARCH64 = 3, 8, 62, 183
PN_XNUM = 0xFFFF  # the real number of program headers is in section 0's sh_info


@dataclass(frozen=True, slots=True)
class Header:
    """The ELF header's fields, in the specification's order and names without their prefix."""

    elf_class: int
    data: int
    os_abi: int
    abi_version: int
    type: int
    machine: int
    version: int
    entry: VirtualAddress
    phoff: FileOffset
    shoff: FileOffset
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @property
    def machine_name(self) -> str:
        """The machine's name, as ``"x86-64"``, or its number where it is not known."""
        return MACHINES.get(self.machine, f"machine {self.machine}")

    @property
    def type_name(self) -> str:
        """``"ET_DYN"`` and so on."""
        return FILE_TYPES.get(self.type, f"{self.type:#x}")

    @property
    def bits(self) -> int:
        """32 or 64."""
        return 64 if self.elf_class == ELFCLASS64 else 32


def is_sound(data: type_of_bytes) -> bool:
    """Whether `read_header` reads `data`: it is an ELF file, and not cut off inside the header."""
    start = bytes(data[:64])
    if start[:4] != b"\x7fELF" or len(start) < 52 or start[5] not in (ELFDATA2LSB, ELFDATA2MSB):
        return False
    return len(start) == 64 if start[4] == ELFCLASS64 else start[4] == ELFCLASS32


def read_header(name: str, data: type_of_bytes) -> tuple[Header, ByteSource]:
    """The header of `data` and a source that reads in its class and byte order.

    Raises `MalformedElf` where `data` is not an ELF file or is cut off inside the header.
    """
    ident = bytes(data[:16])
    if ident[:4] != b"\x7fELF":
        raise MalformedElf(name, 0, _not_elf(ident))
    if len(ident) < 16:
        raise MalformedElf(name, len(ident), "cut off inside e_ident")
    elf_class, order = ident[4], ident[5]
    if elf_class not in (ELFCLASS32, ELFCLASS64):
        raise MalformedElf(name, 4, f"unknown ELF class {elf_class} (32-bit is 1, 64-bit is 2)")
    if order not in (ELFDATA2LSB, ELFDATA2MSB):
        raise MalformedElf(name, 5, f"unknown byte order {order} (little-endian is 1, big-endian is 2)")
    return read_any_header(name, data)


def read_any_header(name: str, data: type_of_bytes) -> tuple[Header, ByteSource]:
    """As `read_header` for data that starts with the magic number, but of any class and byte order.

    An unknown class is read as 32-bit and an unknown byte order as little-endian, so that such a file can be shown.
    Raises `MalformedElf` where `data` is cut off inside the header.
    """
    ident = bytes(data[:16])
    if len(ident) < 16:
        raise MalformedElf(name, len(ident), "cut off inside e_ident")
    elf_class, order = ident[4], ident[5]
    source = ByteSource(name, data, is64=elf_class == ELFCLASS64, little=order != ELFDATA2MSB)
    fields = source.unpack("HHIQQQIHHHHHH" if source.is64 else "HHIIIIIHHHHHH", 16, "ELF header")
    kind, machine, version, entry, phoff, shoff, *rest = fields
    header = Header(
        elf_class, order, ident[7], ident[8], kind, machine, version,
        VirtualAddress(entry), FileOffset(phoff), FileOffset(shoff), *rest,
    )  # fmt: skip
    return header, source


def _not_elf(start: bytes) -> str:
    """Why these first bytes are not ELF's, with a guess at what they are."""
    if not start:
        return "not an ELF file: it is empty"
    if start.startswith((b"/* GNU ld script", b"INPUT", b"GROUP", b"OUTPUT_FORMAT")):
        return "not an ELF file: it is a linker script (name the library that it points to)"
    if start.startswith((b"!<arch>\n", b"!<thin>\n")):
        return "not an ELF file: it is a static archive (name one of its members: libfoo.a(bar.o))"
    if start.startswith(b"#!"):
        return "not an ELF file: it is a script"
    return f"not an ELF file: it starts with {start[:4]!r} instead of the magic number"
