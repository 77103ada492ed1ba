"""What differs between machines when a plan is made: which relocation types are calls, copies, TLS, relative; pages.

One row a machine (its psABI's relocation table). The core has its own table for *applying* relocations; this one only
classifies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class MachineRelocations:
    """Relocation type numbers of one machine. Only a real definition counts for `plt`: for calls and for `tls`."""

    relative: int
    irelative: int
    copy: int
    jump_slot: int
    plt: frozenset[int]
    static_tls: frozenset[int]
    tls: frozenset[int] = frozenset()
    glob_dat: int = 0
    """The type of a GOT slot that holds an address; 0 for a machine that has no type of its own for it."""
    largest_page: int = 4096
    """The largest page of its kernels, in bytes; files are aligned to it so that they load under every one."""
    branch_targets: tuple[int, int] | None = None
    """The GNU property, and its bit, that say that all targets of indirect branches are marked; None: no such thing."""


def _row(
    relative: int,
    irelative: int,
    copy: int,
    jump_slot: int,
    tls: tuple[int, ...],
    static: tuple[int, ...],
    glob_dat: int = 0,
    largest_page: int = 4096,
    branch_targets: tuple[int, int] | None = None,
) -> MachineRelocations:
    calls = frozenset((jump_slot, *tls))
    return MachineRelocations(
        relative, irelative, copy, jump_slot, calls, frozenset(static), frozenset(tls), glob_dat, largest_page,
        branch_targets,
    )  # fmt: skip


MACHINES: Final = {
    62: _row(8, 37, 5, 7, (16, 17, 18, 36), (18,), 6),
    3: _row(8, 42, 5, 7, (14, 35, 36, 37, 41), (14, 37), 6),
    183: _row(1027, 1032, 1024, 1026, (1028, 1029, 1030, 1031), (1030,), 1025, 65536, (0xC0000000, 1)),
    40: _row(23, 160, 20, 22, (13, 17, 18, 19), (19,)),
    243: _row(3, 58, 4, 5, (6, 7, 8, 9, 10, 11, 12), (10, 11)),
    21: _row(22, 248, 19, 21, (68, 73, 78), (73,)),
    22: _row(12, 61, 9, 11, (54, 55, 56), (56,)),
    8: _row(3, 128, 126, 127, (38, 39, 40, 41, 42, 43, 47, 48), (47, 48)),
    258: _row(3, 12, 4, 5, (6, 7, 8, 9, 10, 11, 13, 14), (10, 11)),
}

UNKNOWN: Final = _row(0, 0, 0, 0, (), ())
"""For machines without a row: every relocation counts as taking an address."""
