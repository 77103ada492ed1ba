"""The names that BFD gives to relocation types.

They are mostly the psABI's, with a few of its own. The build of reference knows x86 alone: on every other machine
each relocation is called UNKNOWN (binutils' bfd/elf64-gen.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.relocation_names import relocation_names

if TYPE_CHECKING:
    from latebind.compat.bfd import BfdFile

_X86_64: Final = {
    **relocation_names(62),
    39: "R_X86_64_PC32_BND",
    40: "R_X86_64_PLT32_BND",
    250: "R_X86_64_GNU_VTINHERIT",
    251: "R_X86_64_GNU_VTENTRY",
}
_NOT_IN_BFD: Final = frozenset({11, *range(24, 32)})  # R_386_32PLT and Sun's old TLS sequences
_I386: Final = {
    **{number: name for number, name in relocation_names(3).items() if number not in _NOT_IN_BFD},
    7: "R_386_JUMP_SLOT",
    250: "R_386_GNU_VTINHERIT",
    251: "R_386_GNU_VTENTRY",
}


def bfd_relocation_name(file: BfdFile, kind: int) -> str | None:
    """BFD's name of relocation type `kind` on `file`'s machine, None for one that makes BFD refuse the table."""
    if not file.is_x86:
        return "UNKNOWN"
    return (_X86_64 if file.elf.header.machine == 62 else _I386).get(kind)
