"""What the objects of a closure may open at run time (.note.dlopen), and what dlopen(3) would find for it now.

The notes are the "ELF dlopen metadata" of the UAPI Group: lists of library names with a feature, a description and a
priority (known_note.py reads them). None of it is loaded with the closure; a name is looked up as `dlopen` called from
the object with the note would do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.elf.known_note import OptionalDependency, read_dlopen
from latebind.errors import MalformedElf
from latebind.search.closure import Place, Residents, Search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Elf
    from latebind.errors import Tried
    from latebind.search.closure import Closure, Found
    from latebind.search.environment import Environment
    from latebind.search.files import Files
    from latebind.search.rules import Via


@dataclass(frozen=True, slots=True)
class WouldBe:
    """Where one of an optional dependency's names would be found. `loaded`: it is in the closure anyway."""

    name: str
    path: str
    via: Via
    why: str
    loaded: int | None = None
    """The index of the object in the closure that answers to the name."""


@dataclass(frozen=True, slots=True)
class Optional:
    """One entry of a note: `by` is the index of the object that has it, `found` the first of its names that is there.

    `tried` holds the places where the names before that one, or all of them, were looked for in vain.
    """

    by: int
    dependency: OptionalDependency
    found: WouldBe | None
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class BadNote:
    """A note of object `by` that does not read as a list of libraries, and what is wrong with it."""

    by: int
    what: str


@dataclass(frozen=True, slots=True)
class Optionals:
    """What all objects of a closure may open, and the notes that cannot be read."""

    entries: tuple[Optional, ...] = ()
    bad: tuple[BadNote, ...] = ()


def find_optional(closure: Closure, files: Files, env: Environment) -> Optionals:
    """The optional dependencies of all objects of `closure`, found in `files` by `env`'s rules."""
    found: list[Optional] = []
    bad: list[BadNote] = []
    search = Search(closure.root.summary, files, env, Residents())
    search.objects = list(closure.objects)
    for item in closure.objects:
        if not item.summary.may_have_dlopen_note:
            continue
        try:
            for entry in _entries(item.elf, item.index, bad):
                place, tried = _first_place(entry, item, search)
                found.append(Optional(item.index, entry, place, tried))
        except MalformedElf as error:  # not even the notes can be told apart
            bad.append(BadNote(item.index, error.what))
    return Optionals(tuple(found), tuple(bad))


def _entries(elf: Elf, index: int, bad: list[BadNote]) -> Iterator[OptionalDependency]:
    """The entries of all notes of `elf`, object `index`; a note that says nothing sensible goes to `bad`."""
    for note in elf.dlopen_notes:
        try:
            yield from read_dlopen(elf.source, note)
        except MalformedElf as error:
            bad.append(BadNote(index, error.what))


def _first_place(entry: OptionalDependency, item: Found, search: Search) -> tuple[WouldBe | None, tuple[Tried, ...]]:
    tried: list[Tried] = []
    for name in entry.sonames:
        for other in search.objects:
            if name in (other.name, other.summary.soname, other.path):
                return WouldBe(name, other.path, other.via, "loaded anyway", other.index), tuple(tried)
        place = search.place_of(name, item)
        if isinstance(place, Place):
            return WouldBe(name, place.path, place.via, place.why), tuple(tried)
        tried += place
    return None, tuple(tried)
