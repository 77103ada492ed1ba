"""Relocation types by machine (`e_machine`): number → name.

The names are those of binutils 2.40, which follow each machine's psABI supplement, keep older names and add a few;
they stand in relocation-names.txt beside this module. Types that came later are here. Data only: what a relocation
*does* is in the core's table for its machine.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

_LATER: Final = {
    62: """R_X86_64_ 43:CODE_4_GOTPCRELX CODE_4_GOTTPOFF CODE_4_GOTPC32_TLSDESC CODE_5_GOTPCRELX CODE_5_GOTTPOFF
        CODE_5_GOTPC32_TLSDESC CODE_6_GOTPCRELX CODE_6_GOTTPOFF CODE_6_GOTPC32_TLSDESC""",
    243: """R_RISCV_ 12:TLSDESC 41:GOT32_PCREL 59:PLT32 SET_ULEB128 SUB_ULEB128 TLSDESC_HI20 TLSDESC_LOAD_LO12
        TLSDESC_ADD_LO12 TLSDESC_CALL""",
    258: """R_LARCH_ 13:TLS_DESC32 TLS_DESC64 101:DELETE ALIGN PCREL20_S2 CFA ADD6 SUB6 ADD_ULEB128 SUB_ULEB128
        64_PCREL CALL36 TLS_DESC_PC_HI20 TLS_DESC_PC_LO12 TLS_DESC64_PC_LO20 TLS_DESC64_PC_HI12 TLS_DESC_HI20
        TLS_DESC_LO12 TLS_DESC64_LO20 TLS_DESC64_HI12 TLS_DESC_LD TLS_DESC_CALL TLS_LE_HI20_R TLS_LE_ADD_R
        TLS_LE_LO12_R TLS_LD_PCREL20_S2 TLS_GD_PCREL20_S2 TLS_DESC_PCREL20_S2""",
}
"""Types that binutils 2.40 does not know yet, written as in the text file."""


@cache
def _table() -> dict[int, str]:
    """The text file: machine → the line that names its types."""
    lines: dict[int, str] = {}
    with open(os.path.join(os.path.dirname(__file__), "relocation-names.txt"), encoding="ascii") as table:
        for line in table:
            machines, _, names = line.partition(" ")
            if not line.startswith("#"):
                lines |= {int(machine): names for machine in machines.split(",")}
    return lines


def _expand(text: str) -> dict[int, str]:
    """The names in one line: their common prefix, then each in turn, ``number:name`` after a gap."""
    prefix, *words = text.split()
    if prefix == "-":
        prefix = ""
    names, number = {}, 0
    for word in words:
        jump, colon, name = word.partition(":")
        if colon:
            number = int(jump)
        names[number] = prefix + (name if colon else jump)
        number += 1
    return names


@cache
def relocation_names(machine: int, *, later: bool = True) -> dict[int, str]:
    """Number → name of `machine`'s relocation types; empty for a machine that is not known.

    Without `later` only the names that binutils 2.40 knows, for who must print what it prints.
    """
    names = _expand(_table()[machine]) if machine in _table() else {}
    if later and machine in _LATER:
        names = names | _expand(_LATER[machine])
    return names


def machines() -> tuple[int, ...]:
    """Every `e_machine` whose relocation types have names here."""
    return tuple(_table())
