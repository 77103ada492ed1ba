"""The names that BFD gives to relocation types.

The build of reference knows x86 alone: on every other machine each relocation is called UNKNOWN (binutils'
bfd/elf64-gen.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.relocation_names import relocation_names

if TYPE_CHECKING:
    from latebind.compat.bfd import BfdFile

_NOT_IN_BFD: Final = {3: frozenset({11, *range(24, 32), 200})}  # R_386_32PLT, Sun's old TLS sequences


def bfd_relocation_name(file: BfdFile, kind: int) -> str | None:
    """BFD's name of relocation type `kind` on `file`'s machine, None for one that makes BFD refuse the table."""
    if not file.is_x86:
        return "UNKNOWN"
    machine = 62 if file.elf.header.machine == 62 else 3  # i386 and the IAMCU have the same ones
    return None if kind in _NOT_IN_BFD.get(machine, ()) else relocation_names(machine, later=False).get(kind)
