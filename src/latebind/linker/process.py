"""What the system's linker has put into this process: its link map, as residents that plans can bind to.

A resident's symbols are read from its file, so the file must be the one that is mapped: the build-ids are compared, or,
where there is none, the inode of the mapping with that of the path. An object that was replaced on disk is left out,
and an error where nothing can stand in for it (the C library family).
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from functools import cached_property

from latebind import _core
from latebind.elf import Elf, read
from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.segment import PT_LOAD
from latebind.errors import NotFound, SystemFailure, Unsupported
from latebind.linker.loaded import LoadedObject
from latebind.linkplan.roles import Role, is_c_library, is_shared
from latebind.linkplan.table import layout_of
from latebind.search import Resident


@dataclass(eq=False, slots=True)
class SystemObject:
    """One object of the link map. `base` is its load bias: runtime address = base + virtual address.

    `soname` and `build_id` are what its memory says; its file is read when somebody asks for it.
    """

    path: str
    base: RuntimeAddress
    soname: str | None
    build_id: bytes
    _resident: Resident | None = None
    was_read: bool = False

    @property
    def resident(self) -> Resident | None:
        """Its file, as something that plans bind to; None where the file on disk is not the one that is mapped.

        Raises `Unsupported` where nothing can stand in for it (the C library family).
        """
        if not self.was_read:
            self._resident = self._read()
            self.was_read = True
        return self._resident

    def _read(self) -> Resident | None:
        try:
            elf = read(self.path)
        except NotFound:
            elf = None
        if elf is not None and self._is_mapped(elf):
            return Resident(self.path, elf)
        if is_c_library(os.path.basename(self.path)):
            raise _replaced(self.path)
        return None

    def _is_mapped(self, elf: Elf) -> bool:
        """Whether that file is the one in memory: it has the same build-id, or else the inode."""
        plain = layout_of(elf) if self.build_id else None
        if plain is not None and plain.build_id == self.build_id:
            return True
        low = min((s.vaddr for s in elf.segments if s.type == PT_LOAD), default=0) & -mmap.PAGESIZE
        # The device number of a mapping differs from stat's on overlay file systems: the inode must do.
        return elf.identity is not None and _mapped_inodes().get(self.base + low) == elf.identity.inode

    @property
    def elf(self) -> Elf:
        """Its file. Raises `Unsupported` where that was replaced."""
        if self.resident is None:
            raise _replaced(self.path)
        return self.resident.elf

    @property
    def shared_by_all(self) -> bool:
        """Whether every namespace shares it: the C library family and the toolchain's runtimes."""
        return is_shared(self.soname)


class LinkMap:
    """The system linker's objects at one moment, the program first; without those that have no file (the vdso)."""

    def __init__(self, objects: tuple[SystemObject, ...]) -> None:
        self.objects = objects
        self.shared = tuple([o for o in objects if o.shared_by_all])
        """Those that every namespace shares."""
        self._unsure = [o for o in objects if not o.build_id]
        self._fingerprints: dict[bool, str] = {}

    @cached_property
    def residents(self) -> dict[str, LoadedObject]:
        """Its objects by path, as a namespace sees them."""
        return {o.path: LoadedObject(o.path, Role.RESIDENT, o.base, system=o) for o in self.objects}

    def fingerprint(self, *, shared: bool) -> str:
        """What tells the program and the `shared` objects, or all, from those of every other moment.

        A build-id says which file it was; where there is none, the file at its path must do.
        """
        known = self._fingerprints.get(shared)
        if known is None:
            known = self._fingerprints[shared] = self._with_build_id(shared=shared)
        if not self._unsure:
            return known
        unsure = [o for o in self._seen(shared=shared) if not o.build_id]
        identities = _core.identities(tuple([o.path for o in unsure]))
        return f"{known}\0{identities}{[o.resident is not None for o in unsure]}"

    def _seen(self, *, shared: bool) -> tuple[SystemObject, ...]:
        return (self.objects[0], *self.shared) if shared else self.objects

    def _with_build_id(self, *, shared: bool) -> str:
        seen = [f"{o.path}\0{o.build_id.hex()}\n" for o in self._seen(shared=shared)]
        return f"{'shared' if shared else 'all'}\n{''.join(seen)}"


class Process:
    """A reader of the link map that remembers it, with the files: every load asks, and it is mostly unchanged."""

    def __init__(self) -> None:
        self.executable_path = os.readlink("/proc/self/exe")
        """The running program's file."""
        self._known: dict[tuple[str, int], SystemObject] = {}
        self._changes = _core.link_map_changes()  # before what they tell of: what comes in between is seen again
        self._last = self._read()
        # Now, not in the first load.
        _core.look_for_unwinder()
        self._last.fingerprint(shared=True)
        self._last.fingerprint(shared=False)
        _ = self._last.residents

    def link_map(self) -> LinkMap:
        """The link map now. Reads no file."""
        changes = _core.link_map_changes()
        if changes != self._changes:
            self._last = self._read()
            self._changes = changes
        return self._last

    def _read(self) -> LinkMap:
        present: dict[tuple[str, int], SystemObject] = {}
        for number, entry in enumerate(_core.link_map()):
            name = entry[0] or (self.executable_path if number == 0 else "")
            if name.startswith("/"):
                present[name, entry[1]] = self._object(name, entry)
        self._known = present
        return LinkMap(tuple(present.values()))

    def _object(self, name: str, entry: tuple[str, int, int, int, str | None, bytes]) -> SystemObject:
        _path, base, _dynamic, _tls, soname, build_id = entry
        known = self._known.get((name, base))
        if known is not None and known.build_id == build_id:  # else another build has come to the same place since
            return known
        return SystemObject(name, RuntimeAddress(base), soname, build_id)

    def arrived(self, base: int) -> SystemObject | None:
        """The object that the system's linker has just loaded at `base`; None where none with a file is there."""
        for entry in _core.link_map(base):
            if entry[0].startswith("/"):
                known = self._known[entry[0], base] = self._object(entry[0], entry)
                return known
        return None

    def objects(self) -> tuple[SystemObject, ...]:
        """Its objects, without those whose file on disk is another one now: nothing can be bound to them."""
        return tuple([o for o in self.link_map().objects if o.resident is not None])

    def executable(self) -> SystemObject:
        """The running program."""
        return self.link_map().objects[0]


def tls_of(base: RuntimeAddress, path: str) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of the system linker's object at `base`; 0: no TLS."""
    try:
        return _core.tls_of(int(base))
    except _core.ExecuteError as e:
        raise SystemFailure(e.detail, e.errno, path) from e


def _mapped_inodes() -> dict[int, int]:
    """Start address of each file mapping of this process → inode; proc(5), /proc/pid/maps."""
    found = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            addresses, _permissions, _offset, _device, inode, *_ = line.split(None, 5)
            if inode != "0":
                found[int(addresses.split("-")[0], 16)] = int(inode)
    return found


def _replaced(path: str) -> Unsupported:
    return Unsupported(path, "was replaced on disk after this process mapped it", "restart the process")
