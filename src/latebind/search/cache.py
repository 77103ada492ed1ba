"""ld.so.cache (glibc's sysdeps/generic/dl-cache.h): the system's index of shared libraries, made by ldconfig.

All three layouts are read: the new format alone, behind the old one, and the old one alone. Entries carry flags (which
ABI a library is for); the new format's may name a glibc-hwcaps subdirectory through the extension directory.
"""

from __future__ import annotations

import struct

from latebind._core import cache_path
from latebind.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TypeAlias

    _Row: TypeAlias = tuple[int, int, int, str | None]
    """One entry as the file has it: flags, the positions of key and value, the glibc-hwcaps subdirectory."""
    _Table: TypeAlias = tuple[int, int, int, list[str | None]]
    """The entries of the new format: where they begin, how many, what strings count from; the hwcaps subdirectories."""

_MAGIC_NEW: Final = b"glibc-ld.so.cache1.1"
_MAGIC_OLD: Final = b"ld.so-1.7.0\0"
_HEADER_SIZE: Final = 48
_ENTRY: Final = struct.Struct("<iIIIQ")
_OLD_HEADER_SIZE: Final = 16  # eleven bytes of magic, one of padding, the number of entries
_OLD_ENTRY: Final = struct.Struct("<iII")
_EXTENSION_MAGIC: Final = 0xEAA42174
_EXTENSION_HWCAPS: Final = 1
_HWCAP_EXTENSION: Final = 1 << 62
_HWCAP_ISA_LEVEL_MASK: Final = 0x3FF << 32

_FEW: Final = 200  # names that are looked for one by one, before all of them are read

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
    (8, 64): 0x0703,
}


class CacheEntry(Value):
    """One library: which ABI it is for, where it is, and the glibc-hwcaps subdirectory that it is in, if any."""

    __slots__ = ("flags", "path", "hwcaps")
    flags: int
    path: str
    hwcaps: str | None

    def __init__(self, flags: int, path: str, hwcaps: str | None) -> None:
        self._set(flags, path, hwcaps)


class LoaderCache:
    """The parsed cache. A damaged or absent one has no entries: ld.so ignores it too."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data or b""
        self._table: _Table | None = None
        self._rows: dict[int, list[_Row]] | None = None
        self._texts: dict[bytes, list[_Row]] | None = None
        self._found: dict[tuple[str, int, tuple[str, ...]], str | None] = {}  # what was asked for
        self._ranks: dict[tuple[str, ...], tuple[int | None, ...]] = {}  # by usable subdirectories, for the core

    def _by_key(self) -> dict[int, list[_Row]]:
        """Position of a key's string → its rows, in file order. The strings themselves are read when asked for."""
        if self._rows is None:
            rows: dict[int, list[_Row]] = {}
            try:
                for row in _rows(self._data):
                    rows.setdefault(row[1], []).append(row)
            except (struct.error, ValueError, IndexError):
                rows = {}
            self._rows = rows
        return self._rows

    @property
    def entries(self) -> dict[str, list[CacheEntry]]:
        """Soname → its entries, in file order; those whose strings lie outside the file are left out."""
        found: dict[str, list[CacheEntry]] = {}
        for rows in self._by_key().values():
            for flags, key, value, hwcaps in rows:
                name, path = _string(self._data, key), _string(self._data, value)
                if name is not None and path is not None:
                    found.setdefault(name, []).append(CacheEntry(flags, path, hwcaps))
        return found

    def lookup(self, name: str, flags: int, hwcaps: tuple[str, ...]) -> str | None:
        """The path of library `name` for the ABI `flags`; `hwcaps` are the usable subdirectories, best first."""
        key = (name, flags, hwcaps)
        try:
            return self._found[key]
        except KeyError:
            text = name.encode("utf-8", "surrogateescape") + b"\0"
            few = len(self._found) < _FEW
            found = self._found[key] = (self._looked_for if few else self._best)(text, flags, hwcaps)
            return found

    def _best(self, text: bytes, flags: int, hwcaps: tuple[str, ...]) -> str | None:
        """The same for the key `text`, out of all that are known."""
        best: tuple[int, str] | None = None
        for row_flags, _key, value, row_hwcaps in self._by_text().get(text, ()):
            rank = _rank(row_hwcaps, hwcaps)
            path = _string(self._data, value) if row_flags == flags else None
            if rank is not None and path is not None and (best is None or rank < best[0]):
                best = rank, path
        return best[1] if best else None

    def _looked_for(self, text: bytes, flags: int, hwcaps: tuple[str, ...]) -> str | None:
        """The same, for which the core goes through the file."""
        try:
            if self._table is None:
                self._table = _new_table(self._data)
            start, count, base, names = self._table
            if count == 0:  # of the old format alone there may be rows
                return self._best(text, flags, hwcaps)
            ranks = self._ranks.get(hwcaps)
            if ranks is None:
                ranks = self._ranks[hwcaps] = tuple([_rank(name, hwcaps) for name in names])
            return cache_path(self._data, (start, count, base), text, flags, ranks, len(hwcaps))
        except (struct.error, ValueError, IndexError):
            return None

    def _by_text(self) -> dict[bytes, list[_Row]]:
        """The same for every key."""
        if self._texts is None:
            data = self._data
            texts: dict[bytes, list[_Row]] = {}
            for key, rows in sorted(self._by_key().items()):
                texts.setdefault(data[key : data.find(b"\0", key) + 1], []).extend(rows)
            self._texts = texts
        return self._texts


def _rows(data: bytes) -> Iterator[_Row]:
    """The rows of the new format, which may stand behind the old one; else those of the old one alone."""
    start, count, base, names = _new_table(data)
    if count:
        entries = data[start : start + count * _ENTRY.size]
        if len(entries) == count * _ENTRY.size:
            for entry in _ENTRY.iter_unpack(entries):
                yield _row(entry, base, names)
    elif base:
        strings = _OLD_HEADER_SIZE + _old_count(data) * _OLD_ENTRY.size
        for flags, key, value in _OLD_ENTRY.iter_unpack(data[_OLD_HEADER_SIZE:strings]):
            yield flags, strings + key, strings + value, None


def _rank(name: str | None, hwcaps: tuple[str, ...]) -> int | None:
    """How good an entry of the glibc-hwcaps subdirectory `name` is, 0 the best; None where the CPU cannot use it."""
    if name is None:
        return len(hwcaps)
    return hwcaps.index(name) if name in hwcaps else None


def _old_count(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, len(_MAGIC_OLD))[0]) if data.startswith(_MAGIC_OLD) else 0


def _new_table(data: bytes) -> _Table:
    """The new format's table; without entries where there is none, and then `base` is 0 without the old one too."""
    base = (_OLD_HEADER_SIZE + _old_count(data) * _OLD_ENTRY.size + 7) & ~7 if data.startswith(_MAGIC_OLD) else 0
    if data[base : base + len(_MAGIC_NEW)] != _MAGIC_NEW:
        return 0, 0, base, []
    count, _strings, _flags, extensions = struct.unpack_from("<IIB3xI", data, base + len(_MAGIC_NEW))
    return base + _HEADER_SIZE, count, base, _hwcaps_names(data, base, extensions)


def _row(entry: tuple[Any, ...], base: int, names: list[str | None]) -> _Row:
    flags, key, value, _osversion, hwcap = entry
    is_extension = hwcap & ~_HWCAP_ISA_LEVEL_MASK & ~0xFFFFFFFF == _HWCAP_EXTENSION
    return flags, base + key, base + value, names[hwcap & 0xFFFFFFFF] if is_extension else None


def _hwcaps_names(data: bytes, base: int, extensions: int) -> list[str | None]:
    if not extensions:
        return []
    magic, count = struct.unpack_from("<II", data, base + extensions)
    if magic != _EXTENSION_MAGIC:
        return []
    for i in range(count):
        tag, _flags, offset, size = struct.unpack_from("<IIII", data, base + extensions + 8 + 16 * i)
        if tag == _EXTENSION_HWCAPS:
            offsets = struct.iter_unpack("<I", data[base + offset : base + offset + size])
            return [_string(data, base + at) for (at,) in offsets]
    return []


def _string(data: bytes, offset: int) -> str | None:
    end = data.find(b"\0", offset)
    return data[offset:end].decode("utf-8", "surrogateescape") if end >= 0 else None
