"""The global offset table of a loaded object, slot by slot: what is bound, and where each slot points right now.

The slots are found through the object's relocations (JUMP_SLOT for calls through the PLT, GLOB_DAT for addresses) and
read from memory, so that they show what is, also for objects of the system's linker and after lazy binding.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.dynamic import DT_PLTGOT
from latebind.elf.segment import PF_X, PT_LOAD
from latebind.linkplan.machines import MACHINES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.elf import Elf


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot: `address` is where it is, `value` what it holds.

    `bound` is False where the slot still leads into the object's own PLT, to be bound at the first call, or holds 0.
    `target` is the path of the object that `value` points into; None for an unbound slot and where it points into no
    object (a hook).
    """

    address: RuntimeAddress
    symbol: str
    version: str | None
    bound: bool
    target: str | None
    value: RuntimeAddress


def read_slots(elf: Elf, base: int, owner: Callable[[int], str | None]) -> tuple[Slot, ...]:
    """The slots of the object `elf` at load bias `base`, by address; `owner` names the object that an address is in."""
    machine = MACHINES.get(elf.header.machine, UNKNOWN)
    wanted = {machine.jump_slot, machine.glob_dat} - {0}
    found = [_slot(elf, base, r.offset, r.symbol, owner) for r in elf.relocations if r.type in wanted and r.symbol]
    return tuple(sorted(found, key=lambda s: s.address))


def _slot(elf: Elf, base: int, offset: int, symbol: int, owner: Callable[[int], str | None]) -> Slot:
    address = RuntimeAddress(base + offset)
    value = ctypes.c_uint64.from_address(address).value
    row = elf.symbols[symbol]
    bound = value != 0 and not _leads_back(elf, value - base, offset)
    return Slot(address, row.name, row.version, bound, owner(value) if bound else None, RuntimeAddress(value))


def _leads_back(elf: Elf, target: int, offset: int) -> bool:
    """Whether the slot at `offset` holds what the link editor put there: a place in the PLT."""
    if DT_PLTGOT not in elf.dynamic.values:
        return False
    in_code = any(s.type == PT_LOAD and s.flags & PF_X and 0 <= target - s.vaddr < s.memsz for s in elf.segments)
    if not in_code or elf.addresses.room(offset) < 8:
        return False
    at = elf.addresses.offset(offset, "a slot of the global offset table")
    return elf.source.unpack("Q", at, "a slot of the global offset table")[0] == target
