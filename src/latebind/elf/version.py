"""Symbol versions (LSB, "Symbol Versioning"): which versions a file defines, and which it needs from whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource, StringTable

VER_NDX_LOCAL, VER_NDX_GLOBAL = 0, 1
VERSYM_HIDDEN, VERSYM_VERSION = 0x8000, 0x7FFF
VER_FLG_BASE, VER_FLG_WEAK = 0x1, 0x2


@dataclass(frozen=True, slots=True)
class VersionDefinition:
    """One version that the file defines. `parents` are those that it inherits from; `base` marks the file's name."""

    index: int
    name: str
    hash: int
    flags: int
    parents: tuple[str, ...]

    @property
    def base(self) -> bool:
        """VER_FLG_BASE: the version of the file itself, not of symbols."""
        return bool(self.flags & VER_FLG_BASE)


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """One version that the file needs from `file`. A `weak` one may be missing at run time."""

    index: int
    name: str
    hash: int
    flags: int
    file: str
    hidden: bool

    @property
    def weak(self) -> bool:
        """VER_FLG_WEAK."""
        return bool(self.flags & VER_FLG_WEAK)


# Records are linked by distances. A list can only go forward, but a hostile one does so in steps of a byte, each
# record with its own list of names: what all lists hold together is therefore bounded by what fits into the file.
_DEFINITION, _DEFINITION_NAME, _NEED, _NEED_NAME = 20, 8, 16, 16


def read_definitions(
    source: ByteSource, offset: int, count: int, strings: StringTable
) -> tuple[VersionDefinition, ...]:
    """The `count` Verdef records (DT_VERDEFNUM) from `offset` on."""
    found = []
    for _ in range(count):
        source.spend("version definitions", _DEFINITION, offset)
        _, flags, index, aux_count, name_hash, aux, following = source.unpack("HHHHIII", offset, "version definition")
        names = []
        at = offset + aux
        for _ in range(aux_count):
            source.spend("version definitions", _DEFINITION_NAME, at)
            name, more = source.unpack("II", at, "version definition name")
            names.append(strings[name])
            if not more:
                break
            at += more
        if not names:
            raise source.malformed("a version definition has no name", offset)
        found.append(VersionDefinition(index & VERSYM_VERSION, names[0], name_hash, flags, tuple(names[1:])))
        if not following:
            break
        offset += following
    return tuple(found)


def read_needs(source: ByteSource, offset: int, count: int, strings: StringTable) -> tuple[VersionNeed, ...]:
    """The `count` Verneed records (DT_VERNEEDNUM) from `offset` on, flattened to one entry a version."""
    found: list[VersionNeed] = []
    for _ in range(count):
        source.spend("needed versions", _NEED, offset)
        _, aux_count, file, aux, following = source.unpack("HHIII", offset, "version need")
        at = offset + aux
        for _ in range(aux_count):
            source.spend("needed versions", _NEED_NAME, at)
            name_hash, flags, other, name, more = source.unpack("IHHII", at, "needed version")
            found.append(
                VersionNeed(
                    other & VERSYM_VERSION, strings[name], name_hash, flags, strings[file], bool(other & VERSYM_HIDDEN)
                )
            )
            if not more:
                break
            at += more
        if len(found) > VERSYM_VERSION:
            raise source.malformed("more needed versions than version indexes exist", offset)
        if not following:
            break
        offset += following
    return tuple(found)
