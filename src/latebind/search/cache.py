"""ld.so.cache (glibc's sysdeps/generic/dl-cache.h): the system's index of shared libraries, made by ldconfig.

The new format is read, alone or behind the old one. Its entries carry flags (which ABI a library is for) and may
name a glibc-hwcaps subdirectory through the extension directory.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_MAGIC_NEW: Final = b"glibc-ld.so.cache1.1"
_MAGIC_OLD: Final = b"ld.so-1.7.0\0"
_HEADER_SIZE: Final = 48
_ENTRY: Final = struct.Struct("<iIIIQ")
_OLD_ENTRY_SIZE: Final = 12
_EXTENSION_MAGIC: Final = 0xEAA42174
_EXTENSION_HWCAPS: Final = 1
_HWCAP_EXTENSION: Final = 1 << 62
_HWCAP_ISA_LEVEL_MASK: Final = 0x3FF << 32

CACHE_FLAGS: Final = {
    # (e_machine, class bits) → the flags of libraries for it: FLAG_ELF_LIBC6 and the ABI's own bits
    (62, 64): 0x0303,
    (62, 32): 0x0803,
    (3, 32): 0x0003,
    (183, 64): 0x0A03,
    (40, 32): 0x0903,
    (21, 64): 0x0503,
    (22, 64): 0x0403,
    (243, 64): 0x1003,
    (258, 64): 0x1203,
}


class CacheEntry(NamedTuple):
    """One library: which ABI it is for, where it is, and the glibc-hwcaps subdirectory that it is in, if any."""

    flags: int
    path: str
    hwcaps: str | None


class LoaderCache:
    """The parsed cache. A damaged or absent one has no entries: ld.so ignores it too."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data or b""
        self._entries: dict[str, list[CacheEntry]] | None = None

    @property
    def entries(self) -> dict[str, list[CacheEntry]]:
        """Soname → its entries, in file order."""
        if self._entries is None:
            try:
                self._entries = _parse(self._data)
            except (struct.error, ValueError, IndexError):
                self._entries = {}
        return self._entries

    def lookup(self, name: str, flags: int, hwcaps: tuple[str, ...]) -> str | None:
        """The path of library `name` for the ABI `flags`; `hwcaps` are the usable subdirectories, best first."""
        plain = None
        best: tuple[int, str] | None = None
        for entry in self.entries.get(name, ()):
            if entry.flags != flags:
                continue
            if entry.hwcaps is None:
                plain = plain or entry.path
            elif entry.hwcaps in hwcaps:
                rank = hwcaps.index(entry.hwcaps)
                best = min(best, (rank, entry.path)) if best else (rank, entry.path)
        return best[1] if best else plain


def _parse(data: bytes) -> dict[str, list[CacheEntry]]:
    base = 0
    if data.startswith(_MAGIC_OLD):
        (count,) = struct.unpack_from("<I", data, len(_MAGIC_OLD))
        base = (len(_MAGIC_OLD) + 4 + count * _OLD_ENTRY_SIZE + 7) & ~7
    if data[base : base + len(_MAGIC_NEW)] != _MAGIC_NEW:
        return {}
    count, _strings, _flags, extensions = struct.unpack_from("<IIB3xI", data, base + len(_MAGIC_NEW))
    names = _hwcaps_names(data, base, extensions)
    table = data[base + _HEADER_SIZE : base + _HEADER_SIZE + count * _ENTRY.size]
    if len(table) != count * _ENTRY.size:
        return {}
    found: dict[str, list[CacheEntry]] = {}
    for flags, key, value, _osversion, hwcap in _ENTRY.iter_unpack(table):
        subdirectory = None
        if hwcap & ~_HWCAP_ISA_LEVEL_MASK & ~0xFFFFFFFF == _HWCAP_EXTENSION:
            subdirectory = names[hwcap & 0xFFFFFFFF]
        found.setdefault(_string(data, base + key), []).append(
            CacheEntry(flags, _string(data, base + value), subdirectory)
        )
    return found


def _hwcaps_names(data: bytes, base: int, extensions: int) -> list[str]:
    if not extensions:
        return []
    magic, count = struct.unpack_from("<II", data, base + extensions)
    if magic != _EXTENSION_MAGIC:
        return []
    for i in range(count):
        tag, _flags, offset, size = struct.unpack_from("<IIII", data, base + extensions + 8 + 16 * i)
        if tag == _EXTENSION_HWCAPS:
            return [
                _string(data, base + at)
                for (at,) in struct.iter_unpack("<I", data[base + offset : base + offset + size])
            ]
    return []


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode("utf-8", "surrogateescape")
