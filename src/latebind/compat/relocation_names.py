"""Names of relocation types as binutils has them, for every machine that binutils knows.

They differ here and there from those of the machines' own documents, which are in `elf.relocation_names`: binutils
keeps older names and adds its own. The table is the text file beside this module.
"""

from __future__ import annotations

import os
from functools import cache


@cache
def relocation_names(machine: int) -> dict[int, str]:
    """Number → name of the relocation types of `machine`; empty for a machine without any."""
    wanted = str(machine)
    path = os.path.join(os.path.dirname(__file__), "relocation-names.txt")
    with open(path, encoding="ascii") as table:
        for line in table:
            machines, _, rest = line.partition(" ")
            if not line.startswith("#") and wanted in machines.split(","):
                return _names(rest)
    return {}


def _names(text: str) -> dict[int, str]:
    """The names in one line of the table: their common prefix, then each in turn, ``number:name`` after a gap."""
    prefix, *words = text.split()
    if prefix == "-":
        prefix = ""
    names = {}
    number = 0
    for word in words:
        jump, colon, name = word.partition(":")
        if colon:
            number = int(jump)
        names[number] = prefix + (name if colon else jump)
        number += 1
    return names
