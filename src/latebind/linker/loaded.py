"""The record of one object in the process, as the linker keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind import _core
    from latebind.elf import Elf
    from latebind.elf.bytesource import RuntimeAddress
    from latebind.linker.interpose import Interposition
    from latebind.linkplan import Role
    from latebind.search import Resident


@dataclass(eq=False, slots=True)
class LoadedObject:
    """An object in the process, as a namespace sees it. `image` is the core's handle where it is our own."""

    resident: Resident
    role: Role
    base: RuntimeAddress
    image: _core.Object | None = None
    system_handle: int | None = None
    opened: int = 0
    global_scope: bool = False
    pinned: bool = False
    """Whether it must never be unloaded: DF_1_NODELETE, RTLD_NODELETE."""
    gone: bool = False
    """Whether it was taken out of the process."""
    needs: list[LoadedObject] = field(default_factory=list)
    holds: list[LoadedObject] = field(default_factory=list)
    scope: tuple[LoadedObject, ...] = ()
    """Where its own references were looked up when it was loaded."""
    interposition: Interposition | None = None
    """What its references go through where it was loaded with hooks; released when it is unmapped."""
    unique: tuple[tuple[LoadedObject, str], ...] = ()
    """The unique symbols of other objects that it is bound to, each with its owner."""

    @property
    def elf(self) -> Elf:
        """Its file."""
        return self.resident.elf

    @property
    def lingers(self) -> bool:
        """Whether running threads still have to run destructors in its code."""
        return self.image is not None and self.image.thread_destructors != 0
