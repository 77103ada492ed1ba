"""What the system's linker has put into this process: its link map, as residents that plans can bind to.

A resident's symbols are read from its file, so the file must be the one that is mapped: device and inode of the
mapping are compared with those of the path. An object that was replaced on disk is left out, and an error where
nothing can stand in for it (the C library family).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from latebind import _core
from latebind.elf import Elf, read
from latebind.elf.bytesource import RuntimeAddress
from latebind.errors import NotFound, SystemFailure, Unsupported
from latebind.linkplan.roles import is_c_library, is_shared
from latebind.search import Resident


@dataclass(frozen=True, slots=True)
class SystemObject:
    """One object of the link map. `base` is its load bias: runtime address = base + virtual address."""

    resident: Resident
    base: RuntimeAddress

    @property
    def elf(self) -> Elf:
        """Its file."""
        return self.resident.elf

    @property
    def shared_by_all(self) -> bool:
        """Whether every namespace shares it: the C library family and the toolchain's runtimes."""
        return is_shared(self.elf)


class Process:
    """A reader of the link map that remembers the files: `objects` is asked for at every load, and mostly unchanged."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], SystemObject | None] = {}

    @cached_property
    def executable_path(self) -> str:
        """The running program's file."""
        return os.readlink("/proc/self/exe")

    def objects(self) -> tuple[SystemObject, ...]:
        """The link map now, the program first; objects without a file (the vdso) are left out."""
        present: dict[tuple[str, int], SystemObject | None] = {}
        mapped: dict[int, tuple[int, int]] | None = None
        for number, (path, base, *_rest) in enumerate(_core.link_map()):
            key = (path or (self.executable_path if number == 0 else ""), base)
            if not key[0].startswith("/"):
                continue
            if key not in self._known:
                mapped = mapped if mapped is not None else _mapped_inodes()
                self._known[key] = _system_object(key[0], base, mapped)
            present[key] = self._known[key]
        self._known = present
        return tuple(o for o in present.values() if o is not None)

    def executable(self) -> SystemObject:
        """The running program."""
        return self.objects()[0]


def tls_of(base: RuntimeAddress, path: str) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of the system linker's object at `base`; 0: no TLS."""
    try:
        return _core.tls_of(int(base))
    except _core.ExecuteError as e:
        raise SystemFailure(e.detail, e.errno, path) from e


def _mapped_inodes() -> dict[int, tuple[int, int]]:
    """Start address of each file mapping of this process → (device, inode); proc(5), /proc/pid/maps."""
    found = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            addresses, _permissions, _offset, device, inode, *_ = line.split(None, 5)
            if inode != "0":
                major, minor = device.split(":")
                found[int(addresses.split("-")[0], 16)] = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
    return found


def _system_object(path: str, base: int, mapped: dict[int, tuple[int, int]]) -> SystemObject | None:
    try:
        elf = read(path)
    except NotFound:
        elf = None
    if elf is not None and elf.identity is not None:
        low = min((s.vaddr for s in elf.segments if s.type == 1), default=0) & -4096
        inode = mapped.get(base + low, (0, 0))[1]
        if inode == elf.identity.inode:  # the device number of a mapping differs from stat's on overlay file systems
            return SystemObject(Resident(path, elf), RuntimeAddress(base))
    if is_c_library(os.path.basename(path)):
        raise Unsupported(path, "was replaced on disk after this process mapped it", "restart the process")
    return None
