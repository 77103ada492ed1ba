"""The record of one object in the process, as the linker keeps it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latebind.elf import read, read_process
from latebind.errors import LatebindError
from latebind.search import Resident

if TYPE_CHECKING:
    from latebind import _core
    from latebind.elf import Elf
    from latebind.elf.bytesource import RuntimeAddress
    from latebind.elf.file import FileIdentity
    from latebind.linker.interpose import Interposition
    from latebind.linker.process import SystemObject
    from latebind.linkplan import Role


@dataclass(eq=False, slots=True)
class LoadedObject:
    """An object in the process, as a namespace sees it.

    `image` is the core's handle where it is our own. `file` is its file where that was read already; `system` says
    which of the system linker's objects it is.
    """

    path: str
    role: Role
    base: RuntimeAddress
    identity: FileIdentity | None = None
    file: Elf | None = None
    system: SystemObject | None = None
    image: _core.Object | None = None
    system_handle: int | None = None
    names: frozenset[str] = frozenset()
    """The names that it was asked for by."""
    opened: int = 0
    global_scope: bool = False
    pinned: bool = False
    """Whether it must never be unloaded: DF_1_NODELETE, RTLD_NODELETE."""
    number: int = 0
    """Its place among all that latebind has loaded, an object before what it needs."""
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
    _resident: Resident | None = None

    @property
    def elf(self) -> Elf:
        """Its file, read at the first question."""
        if self.system is not None:
            return self.system.elf
        if self.file is None:
            self.file = self._read()
        return self.file

    def _read(self) -> Elf:
        """What was loaded by a kept plan: its file, or, where that is another one by now, what is in memory."""
        try:
            elf = read(self.path)
        except LatebindError:
            elf = None
        if elf is not None and elf.identity == self.identity:
            return elf
        if self.image is None:
            raise AssertionError(f"{self.path} is neither ours nor the system's")
        return read_process(os.getpid(), self.image.start)

    @property
    def resident(self) -> Resident:
        """What later plans bind to."""
        if self.system is not None and self.system.resident is not None:
            return self.system.resident
        if self._resident is None:
            self._resident = Resident(self.path, self.elf, self.names)
        return self._resident

    @property
    def lingers(self) -> bool:
        """Whether running threads still have to run destructors in its code."""
        return self.image is not None and self.image.thread_destructors != 0

    def fingerprint(self) -> tuple[object, ...] | None:
        """What tells it from every other object of a namespace; None for one that is no file."""
        return None if self.identity is None else (self.path, *self.identity, sorted(self.names), self.global_scope)
