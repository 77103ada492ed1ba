"""Version records (LSB, "Symbol Versioning") with their positions, as a tool that lists them needs them.

`elf.version` resolves the same records to names for a linker. Here an index stays an index, a record carries its
offset in the section, and a chain that breaks ends the list and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

DEFINITION_SIZE, DEFINITION_NAME_SIZE, NEED_SIZE, NEED_NAME_SIZE = 20, 8, 16, 16


class DefinitionName(NamedTuple):
    """One Verdaux: its offset in the section and its name (an offset in the string table)."""

    offset: int
    name: int


class Definition(NamedTuple):
    """One Verdef with its names: the version's own first, then its parents'.

    `number` is vd_ndx, by which symbols refer to it. `complete` is false where one of the names is missing.
    """

    offset: int
    revision: int
    flags: int
    number: int
    name_count: int
    names: tuple[DefinitionName, ...]
    complete: bool


class NeedName(NamedTuple):
    """One Vernaux: the version `name` that is needed; `other` is the index by which symbols refer to it."""

    offset: int
    flags: int
    other: int
    name: int


class Need(NamedTuple):
    """One Verneed: the versions that are needed of `file` (an offset in the string table)."""

    offset: int
    revision: int
    file: int
    name_count: int
    names: tuple[NeedName, ...]
    complete: bool


def read_definitions(source: ByteSource, offset: int, size: int, count: int) -> tuple[list[Definition], bool]:
    """Up to `count` definitions in the `size` bytes at `offset`, and whether all of them are there."""
    found: list[Definition] = []
    at = 0
    while len(found) < count:
        if at + DEFINITION_SIZE > size:
            return found, False
        revision, flags, index, names, _, aux, following = source.unpack("HHHHIII", offset + at, "version definition")
        listed, complete = _definition_names(source, offset, size, at + aux, names)
        found.append(Definition(at, revision, flags, index, names, listed, complete))
        if following < DEFINITION_SIZE:
            return found, len(found) == count and following == 0
        at += following
    return found, True


def _definition_names(
    source: ByteSource, offset: int, size: int, at: int, count: int
) -> tuple[tuple[DefinitionName, ...], bool]:
    found: list[DefinitionName] = []
    for number in range(count):
        if at + DEFINITION_NAME_SIZE > size:
            return tuple(found), False
        name, following = source.unpack("II", offset + at, "version name")
        found.append(DefinitionName(at, name))
        if following < DEFINITION_NAME_SIZE:
            return tuple(found), number == count - 1
        at += following
    return tuple(found), True


def read_needs(source: ByteSource, offset: int, size: int, count: int) -> tuple[list[Need], bool]:
    """Up to `count` needs in the `size` bytes at `offset`, and whether all of them are there."""
    found: list[Need] = []
    at = 0
    while len(found) < count:
        if at + NEED_SIZE > size:
            return found, False
        revision, names, file, aux, following = source.unpack("HHIII", offset + at, "version need")
        listed, complete = _need_names(source, offset, size, at + aux, names)
        found.append(Need(at, revision, file, names, listed, complete))
        if following < NEED_SIZE:
            return found, len(found) == count and following == 0
        at += following
    return found, True


def _need_names(source: ByteSource, offset: int, size: int, at: int, count: int) -> tuple[tuple[NeedName, ...], bool]:
    found: list[NeedName] = []
    for number in range(count):
        if at + NEED_NAME_SIZE > size:
            return tuple(found), False
        _, flags, other, name, following = source.unpack("IHHII", offset + at, "needed version")
        found.append(NeedName(at, flags, other, name))
        if following < NEED_NAME_SIZE:
            return tuple(found), number == count - 1
        at += following
    return tuple(found), True
