"""The closure of DT_NEEDED: which objects a file pulls in, in load order; rules.py says where each is looked for.

This is `_dl_map_object` and `_dl_map_object_deps` of glibc's elf/dl-load.c and dl-deps.c as a function of files: the
list grows breadth-first, a name that an object already answers to is not searched again, and two paths to one inode
are one object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from latebind.elf.header import ET_DYN, ET_EXEC
from latebind.errors import MalformedElf, NotFound, Tried
from latebind.search.rules import Rules, Via

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf import Elf
    from latebind.search.environment import Environment
    from latebind.search.files import Files


@dataclass(frozen=True, slots=True)
class Resident:
    """An object that is there before the search starts: it answers to its soname and by its inode."""

    path: str
    elf: Elf
    names: frozenset[str] = frozenset()
    via: Via = Via.RESIDENT


@dataclass(slots=True)
class Found:
    """One object of the closure: `name` is how it was first asked for, `needed_by` holds indexes of objects."""

    index: int
    name: str
    path: str
    via: Via
    elf: Elf
    why: str
    loader: int | None
    needed_by: list[int] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    resident: Resident | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A needed name that no rule led to a file for."""

    name: str
    needed_by: tuple[int, ...]
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class Closure:
    """The objects in load order, the root first, and the names that were not found."""

    objects: tuple[Found, ...]
    missing: tuple[Missing, ...]


def find_closure(root: Elf, files: Files, env: Environment, residents: Sequence[Resident] = ()) -> Closure:
    """Everything that loading `root` pulls in.

    `residents` are objects that are already there (the dynamic linker in a fresh process; the link map of a running
    one): they come into the closure only where something needs them.
    """
    return _Search(root, files, env, residents).run()


def locate(name: str, requester: Elf, files: Files, env: Environment) -> Elf:
    """The file that `dlopen(name)` called from `requester` (the running program) would load.

    A name with a slash is a path. Raises `NotFound` with every place that was tried.
    """
    search = _Search(requester, files, env, ())
    program = search._add(requester.path, requester.path, Via.ROOT, requester, "the program", None, None)  # noqa: SLF001
    if requester.soname == name:
        return requester
    tried: list[Tried] = []
    found = search._search(name, program, tried)  # noqa: SLF001
    if found is None:
        raise NotFound(name, None, tuple(tried))
    return found.elf


_PART_OF_MUSL: Final = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Names that musl's linker answers to itself, since it is the C library (ldso/dynlink.c, `load_library`)."""


def _same_file(a: Elf, b: Elf) -> bool:
    return a is b or (a.identity is not None and b.identity is not None and a.identity[:2] == b.identity[:2])


class _Search:
    """The state of one closure; `run` is the loop, everything else answers "which file is this name?"."""

    def __init__(self, root: Elf, files: Files, env: Environment, residents: Sequence[Resident]) -> None:
        self.files = files
        self.env = env
        self.rules = Rules(env, files)
        self.root = root
        self.residents = residents
        self.objects: list[Found] = []
        self.missing: dict[str, Missing] = {}
        self._by_name: dict[str, Found] = {}
        self._by_elf: dict[int, Found] = {}

    def run(self) -> Closure:
        there = next((r for r in self.residents if _same_file(r.elf, self.root)), None)
        root = there.elf if there is not None else self.root
        self._add(self.root.path, self.root.path, Via.ROOT, root, "the file itself", None, there)
        for name in self.env.preload:
            self._preload(name)
        for loader in self.objects:  # grows while it is walked: breadth-first
            if loader.resident is not None and loader.resident.via is Via.INTERP:
                continue
            for name in loader.elf.dynamic.needed:
                self._need(name, loader)
        return Closure(tuple(self.objects), tuple(self.missing.values()))

    def _preload(self, name: str) -> None:
        """One object of LD_PRELOAD. As in ld.so, one that cannot be had is passed over (ld.so(8), "LD_PRELOAD")."""
        if self._known(name) is None and not (self.env.secure and "/" in name):
            found = self._search(name, self.objects[0], [], Via.PRELOAD)
            if found is not None and self.env.secure and not self.files.is_setuid(found.path):
                self._forget(found)

    def _forget(self, found: Found) -> None:
        """Take back the object that was added last."""
        self.objects.pop()
        del self._by_elf[id(found.elf)]
        self._by_name = {name: f for name, f in self._by_name.items() if f is not found}

    def _need(self, name: str, loader: Found) -> None:
        # A name that one object did not find is looked for again for the next: that may have another search path.
        tried: list[Tried] = []
        found = self._known(name) or self._search(name, loader, tried)
        if found is None:
            before = self.missing.get(name, Missing(name, (), ()))
            places = dict.fromkeys((*before.tried, *tried))
            self.missing[name] = Missing(name, (*before.needed_by, loader.index), tuple(places))
            return
        if found.index not in loader.needs:
            loader.needs.append(found.index)
            found.needed_by.append(loader.index)

    # which object is it -------------------------------------------------------------------------------------

    def _known(self, name: str) -> Found | None:
        """An object that answers to `name`: it was asked for by it, or its DT_SONAME says so (`_dl_name_match_p`)."""
        found = self._by_name.get(name)
        if found is None and self.env.is_musl and _PART_OF_MUSL.match(name):
            return next((self._take_resident(r, name) for r in self.residents if r.via is Via.INTERP), None)
        if found is None:
            for resident in self.residents:
                if name in resident.names or name in (resident.elf.soname, resident.path):
                    return self._take_resident(resident, name)
        return found

    def _take_resident(self, resident: Resident, name: str) -> Found:
        known = self._by_elf.get(id(resident.elf))
        if known is not None:
            return self._alias(known, name)
        why = "the program's interpreter" if resident.via is Via.INTERP else "already in the process"
        return self._add(name, resident.path, resident.via, resident.elf, why, None, resident)

    def _alias(self, found: Found, name: str) -> Found:
        found.names.add(name)
        self._by_name.setdefault(name, found)
        return found

    def _add(
        self, name: str, path: str, via: Via, elf: Elf, why: str, loader: int | None, resident: Resident | None
    ) -> Found:
        found = Found(len(self.objects), name, path, via, elf, why, loader, resident=resident)
        self.objects.append(found)
        self._by_elf[id(elf)] = found
        if via is not Via.ROOT:
            self._alias(found, name)
        # musl knows an object by the name it was searched under, and by its inode; DT_SONAME means nothing to it.
        for other in (None if self.env.is_musl else elf.soname, path):
            if other:
                self._by_name.setdefault(other, found)
        return found

    def _chain(self, loader: Found) -> list[Found]:
        """The loading object, its loader, and so on; at the end the root, whose DT_RPATH serves everyone."""
        chain = [loader]
        while chain[-1].index and chain[-1].loader is not None:
            chain.append(self.objects[chain[-1].loader])
        if chain[-1].index:
            chain.append(self.objects[0])
        return chain

    # which file is it ---------------------------------------------------------------------------------------

    def _search(self, name: str, loader: Found, tried: list[Tried], preload: Via | None = None) -> Found | None:
        for path, via, why in self.rules.candidates(name, self._chain(loader), tried):
            elf = self._acceptable(path, tried)
            if elf is None:
                continue
            known = self._by_elf.get(id(elf))
            if known is not None:
                return self._alias(known, name)
            for resident in self.residents:
                if _same_file(resident.elf, elf):
                    return self._take_resident(resident, name)
            return self._add(name, path, preload or via, elf, why, loader.index, None)
        return None

    def _acceptable(self, path: str, tried: list[Tried]) -> Elf | None:
        """The file at `path`, where it is one that ld.so would take; else the reason in `tried`."""
        try:
            elf = self.files.elf(path)
        except NotFound:
            tried.append(Tried(path, "no such file"))
            return None
        except MalformedElf as e:
            tried.append(Tried(path, e.what))
            return None
        header, wanted = elf.header, self.root.header
        if header.elf_class != wanted.elf_class:
            tried.append(Tried(path, f"wrong class: {header.bits}-bit, {wanted.bits}-bit is needed"))
        elif header.machine != wanted.machine or header.data != wanted.data:
            tried.append(Tried(path, f"wrong machine: {header.machine_name}, {wanted.machine_name} is needed"))
        elif header.type not in (ET_DYN, ET_EXEC):
            tried.append(Tried(path, f"not a shared object: {header.type_name}"))
        else:
            return elf
        return None
