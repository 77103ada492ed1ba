"""The closure of DT_NEEDED: which objects a file pulls in, in load order; rules.py says where each is looked for.

This is `_dl_map_object` and `_dl_map_object_deps` of glibc's elf/dl-load.c and dl-deps.c as a function of files: the
list grows breadth-first, a name that an object already answers to is not searched again, and two paths to one inode
are one object.

In a run over many files the same names are looked for again and again. Where a name leads depends on the environment
and on the search paths of the objects that ask for it, and most have none: what was found once is remembered.
"""

from __future__ import annotations

from latebind.elf.numbers import DF_1_NODEFLIB, ET_DYN, ET_EXEC
from latebind.elf.summary import summary_of
from latebind.errors import MalformedElf, NotFound, Tried
from latebind.search.rules import CACHE_SAYS_SO, Rules, Via
from latebind.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, TypeAlias

    from latebind.elf import Elf
    from latebind.elf.summary import Summary
    from latebind.search.environment import Environment
    from latebind.search.files import Files
    from latebind.search.rules import Candidate

    Owners: TypeAlias = tuple[tuple[str, Summary], ...]
    """The objects whose own search paths count, with the paths that $ORIGIN depends on."""


class Resident(Value):
    """An object that is there before the search starts: it answers to its soname, its `names` and by its inode."""

    __slots__ = ("path", "file", "names", "via")
    path: str
    file: Elf | Summary
    names: frozenset[str]
    via: Via

    def __init__(
        self, path: str, file: Elf | Summary, names: frozenset[str] = frozenset(), via: Via = Via.RESIDENT
    ) -> None:
        self._set(path, file, names, via)

    @property
    def summary(self) -> Summary:
        """What searching knows of its file."""
        return summary_of(self.file)

    @property
    def elf(self) -> Elf:
        """Its whole file."""
        return self.summary.elf


class Place:
    """Where a name leads: to the file at `path`, by the rule `via` and for the reason `why`. Not to be changed."""

    __slots__ = ("name", "path", "summary", "via", "why")

    def __init__(self, name: str, path: str, via: Via, why: str, summary: Summary) -> None:
        self.name = name
        self.path = path
        self.via = via
        self.why = why
        self.summary = summary


class Found:
    """One object of the closure: `name` is how it was first asked for, `needed_by` holds indexes of objects."""

    __slots__ = ("_aliases", "_owners", "index", "loader", "needed_by", "needs", "place", "resident")

    def __init__(self, index: int, place: Place, loader: int | None, resident: Resident | None) -> None:
        self.index = index
        self.place = place
        self.loader = loader
        self.resident = resident
        self.needed_by: list[int] = []
        self.needs: list[int] = []
        self._aliases: list[str] | None = None
        self._owners: Owners | None = None

    @property
    def name(self) -> str:
        """How it was first asked for."""
        return self.place.name

    @property
    def names(self) -> set[str]:
        """Every name that it was asked for by."""
        return {*([] if self.place.via is Via.ROOT else [self.place.name]), *(self._aliases or ())}

    @property
    def path(self) -> str:
        """Where it was found."""
        return self.place.path

    @property
    def via(self) -> Via:
        """The rule by which it was found."""
        return self.place.via

    @property
    def why(self) -> str:
        """The reason in words."""
        return self.place.why

    @property
    def summary(self) -> Summary:
        """What searching knows of its file."""
        return self.place.summary

    @property
    def elf(self) -> Elf:
        """Its whole file, opened when it is first asked for."""
        return self.place.summary.elf

    def at(self, place: Place) -> Found:
        """The same object at another place."""
        other = Found(self.index, place, self.loader, self.resident)
        other.needed_by, other.needs = self.needed_by, self.needs
        return other

    def __repr__(self) -> str:
        return f"<Found {self.index}: {self.name} at {self.path}>"


class Missing(Value):
    """A needed name that no rule led to a file for."""

    __slots__ = ("name", "needed_by", "tried")
    name: str
    needed_by: tuple[int, ...]
    tried: tuple[Tried, ...]

    def __init__(self, name: str, needed_by: tuple[int, ...], tried: tuple[Tried, ...]) -> None:
        self._set(name, needed_by, tried)


class Closure(Value):
    """The objects in load order, the root first, and the names that were not found."""

    __slots__ = ("objects", "missing")
    objects: tuple[Found, ...]
    missing: tuple[Missing, ...]

    def __init__(self, objects: tuple[Found, ...], missing: tuple[Missing, ...]) -> None:
        self._set(objects, missing)

    @property
    def root(self) -> Found:
        """The object that was asked for."""
        return self.objects[0]


class Residents:
    """The objects that are there already, to be asked by name and by file; of two that answer the first one counts."""

    def __init__(self, residents: Sequence[Resident] = ()) -> None:
        self.by_name: dict[str, Resident] = {}
        self._by_file: dict[object, Resident] = {}  # by summary, and by device and inode
        self.linker = next((r for r in residents if r.via is Via.INTERP), None)
        for resident in residents:
            file = resident.summary
            for name in (*resident.names, file.soname, resident.path):
                if name is not None:
                    self.by_name.setdefault(name, resident)
            self._by_file.setdefault(file, resident)
            if file.identity is not None:
                self._by_file.setdefault(file.identity[:2], resident)

    def of_file(self, file: Summary) -> Resident | None:
        """The one that `file` is, perhaps by another path."""
        known = self._by_file.get(file)
        if known is None and file.identity is not None:
            known = self._by_file.get(file.identity[:2])
        return known


def find_closure(
    root: Elf | Summary,
    files: Files,
    env: Environment,
    residents: Sequence[Resident] | Residents = (),
    path: str | None = None,
) -> Closure:
    """Everything that loading `root` pulls in.

    `residents` are objects that are already there (the dynamic linker in a fresh process; the link map of a running
    one): they come into the closure only where something needs them. `path` is how `root` is asked for (default: the
    path that it was read by first).
    """
    there = residents if isinstance(residents, Residents) else Residents(residents)
    return Search(summary_of(root), files, env, there).run(path)


def locate(name: str, requester: Elf | Summary, files: Files, env: Environment) -> Summary:
    """The file that `dlopen(name)` called from `requester` (the running program) would load.

    A name with a slash is a path. Raises `NotFound` with every place that was tried.
    """
    program = summary_of(requester)
    if program.soname == name:
        return program
    search = Search(program, files, env, Residents())
    found = search.place_of(name, search.add_root())
    if not isinstance(found, Place):
        raise NotFound(name, None, found)
    return found.summary


_PARTS_OF_MUSL: Final = tuple([f"lib{part}." for part in ("c", "pthread", "rt", "m", "dl", "util", "xnet")])
"""How names begin that musl's linker answers to itself, since it is the C library (ldso/dynlink.c, `load_library`)."""


def _remembered(env: Environment, files: Files) -> tuple[Rules, dict[object, Place | tuple[Tried, ...]]]:
    """What the searches for files of one kind in one environment share: the rules, and where names led."""
    return Rules(env, files), {}


class Search:
    """The state of one closure; `run` is the loop, everything else answers "which file is this name?"."""

    def __init__(self, root: Summary, files: Files, env: Environment, residents: Residents) -> None:
        self.files = files
        self.env = env
        self.root = root
        self.residents = residents
        self.objects: list[Found] = []
        self.missing: dict[str, Missing] = {}
        self._by_name: dict[str, Found] = {}
        self._by_file: dict[Summary, Found] = {}
        key = ("search", env, root.elf_class, root.machine, root.data)
        self._is_plain = not (env.library_path or env.is_musl)
        self._rules, self._places = files.kept(key, lambda: _remembered(env, files))

    def run(self, path: str | None = None) -> Closure:
        """The loop: each object's needs in turn, and behind all others those of what they pull in."""
        objects, by_name = self.objects, self._by_name
        self.add_root(path)
        for name in self.env.preload:
            self._preload(name)
        for loader in objects:  # grows while it is walked
            if loader.resident is not None and loader.resident.via is Via.INTERP:
                continue
            number, needs = loader.index, loader.needs
            for name in loader.place.summary.needed:
                found = by_name.get(name) or self._find(name, loader)
                if found is None:
                    continue
                needed_by = found.needed_by
                if not needed_by or needed_by[-1] != number:  # it may be needed under two names
                    needed_by.append(number)
                    needs.append(found.index)
        return Closure(tuple(objects), tuple(self.missing.values()))

    def add_root(self, path: str | None = None) -> Found:
        """The first object, asked for by `path`."""
        path = path or self.root.path
        resident = self.residents.of_file(self.root)
        root = self.root if resident is None else resident.summary
        return self._add(Place(path, path, Via.ROOT, "the file itself", root), None, resident)

    def _preload(self, name: str) -> None:
        """One object of LD_PRELOAD. As in ld.so, one that cannot be had is passed over (ld.so(8), "LD_PRELOAD")."""
        if name in self._by_name or self._known_resident(name) is not None or (self.env.secure and "/" in name):
            return
        place = self.place_of(name, self.objects[0])
        if not isinstance(place, Place) or (self.env.secure and not self.files.is_setuid(place.path)):
            return
        self._take(Place(name, place.path, Via.PRELOAD, place.why, place.summary), self.objects[0])

    def _find(self, name: str, loader: Found) -> Found | None:
        """The object that `name` means where none has it for its name yet; a missing one is put on the list."""
        found = self._known_resident(name)
        if found is not None:
            return found
        place = self.place_of(name, loader)
        if isinstance(place, Place):
            return self._take(place, loader)
        # A name that one object did not find is looked for again for the next: that may have another search path.
        before = self.missing.get(name, Missing(name, (), ()))
        tried = tuple(dict.fromkeys((*before.tried, *place)))
        self.missing[name] = Missing(name, (*before.needed_by, loader.index), tried)
        return None

    # which object is it -------------------------------------------------------------------------------------

    def _take(self, place: Place, loader: Found) -> Found:
        """The object for the file at `place`: one that is there already, or a new one."""
        found = self._by_file.get(place.summary)
        if found is not None:
            return self._alias(found, place.name)
        resident = self.residents.of_file(place.summary)
        if resident is not None:
            return self._take_resident(resident, place.name)
        return self._add(place, loader.index, None)

    def _known_resident(self, name: str) -> Found | None:
        """A resident that answers to `name`: its DT_SONAME says so, for example (`_dl_name_match_p`)."""
        if self.env.is_musl and name.startswith(_PARTS_OF_MUSL):
            resident = self.residents.linker
        else:
            resident = self.residents.by_name.get(name)
        return None if resident is None else self._take_resident(resident, name)

    def _take_resident(self, resident: Resident, name: str) -> Found:
        known = self._by_file.get(resident.summary)
        if known is not None:
            return self._alias(known, name)
        return self._add(place_of_resident(name, resident), None, resident)

    def _alias(self, found: Found, name: str) -> Found:
        if found._aliases is None:  # noqa: SLF001  (they are one thing)
            found._aliases = []  # noqa: SLF001
        found._aliases.append(name)  # noqa: SLF001
        self._by_name.setdefault(name, found)
        return found

    def _add(self, place: Place, loader: int | None, resident: Resident | None) -> Found:
        found = Found(len(self.objects), place, loader, resident)
        self.objects.append(found)
        self._by_file[place.summary] = found
        by_name = self._by_name
        if place.via is not Via.ROOT:
            by_name.setdefault(place.name, found)
        # musl knows an object by the name it was searched under, and by its inode; DT_SONAME means nothing to it.
        soname = None if self.env.is_musl else place.summary.soname
        if soname:
            by_name.setdefault(soname, found)
        by_name.setdefault(place.path, found)
        return found

    # which file is it ---------------------------------------------------------------------------------------

    def place_of(self, name: str, loader: Found) -> Place | tuple[Tried, ...]:
        """Where `name` leads when `loader` asks for it, or every place that was tried and why it was rejected."""
        owners = self._owners_for(name, loader)
        key = (name, owners) if owners else name
        known = self._places.get(key)
        if known is None:
            known = self._places[key] = self._look_for(name, loader, owners)
        return known

    def cached(self, name: str) -> Place | None:
        """Where the cache leads `name` for a loader without a search path of its own, where nothing comes before it."""
        known = self._places.get(name)
        if known is None and self._is_plain and "/" not in name and "$" not in name:
            path = self.env.cache.lookup(name, self.env.cache_flags, self.env.hwcaps)
            file = None if path is None else self._acceptable(path, [])
            if path is not None and file is not None:
                known = self._places[name] = Place(name, path, Via.CACHE, CACHE_SAYS_SO, file)
        return known if isinstance(known, Place) else None

    def _owners_for(self, name: str, loader: Found) -> Owners:
        """The objects on which it depends where `name` leads when `loader` asks; rules.py says why these."""
        file = loader.place.summary
        own = not self.env.is_musl and file.runpath is not None
        owners = ((loader.path, file),) if own else self._inherited(loader)
        if file.flags_1 & DF_1_NODEFLIB or self._rules.has_tokens or "$" in name:
            owners = ((loader.path, file), *owners)
        return owners

    def _inherited(self, loader: Found) -> Owners:
        """Those in the chain of loaders that begins with `loader`."""
        if loader._owners is None:  # noqa: SLF001  (they are one thing)
            file = loader.summary
            above = self._above(loader)
            owners = () if above is None else self._inherited(above)
            if file.rpath is not None or (self.env.is_musl and file.runpath is not None):
                owners = ((loader.path, file), *owners)
            loader._owners = owners  # noqa: SLF001
        return loader._owners  # noqa: SLF001

    def _above(self, found: Found) -> Found | None:
        """Who loaded it; at the end the root, whose DT_RPATH serves everyone."""
        return self.objects[found.loader or 0] if found.index else None

    def _look_for(self, name: str, loader: Found, owners: Owners) -> Place | tuple[Tried, ...]:
        place = self._own_or_cached(name, loader) if owners else self.cached(name)
        if place is not None:
            return place
        tried: list[Tried] = []
        return self._first(name, self._rules.candidates(name, self._chain(loader), tried), tried) or tuple(tried)

    def _own_or_cached(self, name: str, loader: Found) -> Place | None:
        """The same for a loader with search paths of its own or from above, with nothing between them and the cache."""
        file, rules = loader.place.summary, self._rules
        if not self._is_plain or "/" in name or "$" in name or file.flags_1 & DF_1_NODEFLIB:
            return None
        own = rules.inherited(name, self._chain(loader)) if file.runpath is None else rules.of_runpath(name, loader)
        return self._first(name, own, []) or self.cached(name)

    def _chain(self, loader: Found) -> list[Found]:
        """`loader`, who loaded it, and so on up to the root."""
        chain, above = [loader], self._above(loader)
        while above is not None:
            chain.append(above)
            above = self._above(above)
        return chain

    def _first(self, name: str, candidates: Iterable[Candidate], tried: list[Tried]) -> Place | None:
        """The first place that will do; why the others will not is added to `tried`."""
        for path, via, why in candidates:
            file = self._acceptable(path, tried)
            if file is not None:
                return Place(name, path, via, why, file)
        return None

    def _acceptable(self, path: str, tried: list[Tried]) -> Summary | None:
        """The file at `path`, where it is one that ld.so would take; else the reason in `tried`."""
        file = self.files.look(path)
        if isinstance(file, NotFound):
            tried.append(Tried(path, "no such file"))
            return None
        if isinstance(file, MalformedElf):
            tried.append(Tried(path, file.what))
            return None
        wanted = self.root
        if file.elf_class != wanted.elf_class:
            tried.append(Tried(path, f"wrong class: {file.bits}-bit, {wanted.bits}-bit is needed"))
        elif file.machine != wanted.machine or file.data != wanted.data:
            names = (file.elf.header.machine_name, wanted.elf.header.machine_name)
            tried.append(Tried(path, "wrong machine: {}, {} is needed".format(*names)))
        elif file.type not in (ET_DYN, ET_EXEC):
            tried.append(Tried(path, f"not a shared object: {file.elf.header.type_name}"))
        else:
            return file
        return None


def place_of_resident(name: str, resident: Resident) -> Place:
    """Where `name` leads when `resident` answers to it."""
    why = "the program's interpreter" if resident.via is Via.INTERP else "already in the process"
    return Place(name, resident.path, resident.via, why, resident.summary)
