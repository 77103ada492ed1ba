"""Who needs whom among the files of one environment, worked out once for a run over many of them.

Where a name leads depends on who asks: on the search paths of the loaders, and on what has come already under that
name (closure.py). In most closures neither makes a difference: nothing in them has a DT_RPATH, which is inherited, and
each name means one file. Those share one graph here. For any other file `Graph.below` is None: its closure stands
alone.
"""

from __future__ import annotations

from latebind.elf.numbers import DF_1_NODEFLIB, ET_CORE, ET_REL
from latebind.errors import LatebindError
from latebind.search.closure import Found, Place, Search, place_of_resident
from latebind.search.environment import environment_for, usual_interpreter
from latebind.search.fresh import check_loadable, fresh_closure, residents_of
from latebind.search.rules import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from latebind.elf.summary import Summary
    from latebind.search.closure import Closure
    from latebind.search.environment import Environment
    from latebind.search.files import Files

_ALONE: Final = 1
"""The bit in `Node.reach` of what must be searched for alone."""
_DEEPEST: Final = 100
_NOT_LOADED: Final = (ET_REL, ET_CORE)


class Node:
    """One object. `children` are what it needs, in order; `reach` has its own `bit` and those of all below it."""

    __slots__ = ("bit", "children", "clash", "place", "reach")

    def __init__(self, place: Place, bit: int) -> None:
        self.place = place
        self.bit = bit
        self.children: tuple[Node, ...] = ()
        self.reach = 0
        """0 while what is below it is not known."""
        self.clash = 0
        """The bits of what must not be in one closure with it, or with one of those below it."""


class Below:
    """What hangs below a file: `children`, what they reach, and what must not be in one closure with them."""

    __slots__ = ("children", "clash", "reach")

    def __init__(self, children: tuple[Node, ...], reach: int, clash: int) -> None:
        self.children = children
        self.reach = reach
        self.clash = clash


class Graph:
    """The graph for files of the kind of `file` in one environment, whose own paths hold no $ORIGIN."""

    def __init__(self, file: Summary, files: Files, env: Environment) -> None:
        self._residents = residents_of(files, env)
        self._linker_file = None if self._residents.linker is None else self._residents.linker.summary
        self._search = Search(file, files, env, self._residents)
        self._nodes: dict[object, Node] = {}  # by name, or by name and the object whose DT_RUNPATH counts
        self._by_place: dict[object, Node] = {}
        self._below: dict[tuple[str, ...], Below] = {}  # of roots without DT_RUNPATH, by what they need
        self._by_alias: dict[str, int] = {}  # the bits of the nodes that answer to a name
        self._by_file: dict[Summary, int] = {}
        self._next = _ALONE << 1

    def below(self, file: Summary, path: str) -> Below | None:
        """The closure of `file`, asked for by `path`, without itself; None where it must be searched for alone."""
        below = self._below.get(file.needed) if file.runpath is None else None
        if file is self._linker_file or file.type in _NOT_LOADED or not _is_plain(file):
            return None
        if below is None:
            node = Node(Place(path, path, Via.ROOT, "the file itself", file), 0)
            self._hang_below(node, 0)
            below = Below(node.children, node.reach, node.clash)
            if file.runpath is None:
                self._below[file.needed] = below
        # What asks for the root by its name gets it, not what the name leads to.
        clash = below.clash | self._by_file.get(file, 0) | self._by_alias.get(path, 0) | _ALONE
        if file.soname:
            clash |= self._by_alias.get(file.soname, 0)
        return None if below.reach & clash else below

    def _aliases(self, file: Summary, *names: str) -> int:
        """The bits of the nodes that share a name or the file with this one."""
        bits = self._by_file.get(file, 0)
        for name in (*names, file.soname or ""):
            bits |= self._by_alias.get(name, 0)
        return bits

    def _hang_below(self, node: Node, depth: int) -> None:
        """Give `node` its children, and what they reach."""
        place = node.place
        asker = (place.path, place.summary) if place.summary.runpath is not None else None
        children, reach, clash = [], node.bit, node.clash
        for name in place.summary.needed:
            child = self._nodes.get(name if asker is None else (name, asker)) or self._make(name, node, asker, depth)
            reach |= child.reach or _ALONE  # 0: it is being made, so this is a cycle
            clash |= child.clash
            if child not in children:
                children.append(child)
        node.children, node.reach, node.clash = tuple(children), reach, clash

    def _make(self, name: str, loader: Node, asker: object, depth: int) -> Node:
        """The node that `name` leads to for `loader`, whose search path counts where there is an `asker`."""
        place = None if "$" in name or depth > _DEEPEST else self._place(name, loader)
        answer = (name, asker) if place is None else (name, place.path, place.via, place.why)
        key = name if asker is None else (name, asker)
        node = self._nodes[key] = self._by_place.get(answer) or Node(place or loader.place, self._next)
        if node.bit == self._next:
            self._next <<= 1
            self._by_place[answer] = node
            self._register(node, name, alone=place is None)
            if not node.reach:
                self._hang_below(node, depth + 1)
        return node

    def _register(self, node: Node, name: str, *, alone: bool) -> None:
        """Note what `node` answers to, and with which other nodes it shares that."""
        place, file = node.place, node.place.summary
        names = (name,) if alone else (name, place.path, file.soname or name)
        node.clash = self._aliases(file, *names)
        for alias in names:
            self._by_alias[alias] = self._by_alias.get(alias, 0) | node.bit
        if alone or (place.via is not Via.INTERP and not _is_plain(file)):
            node.reach = node.bit | _ALONE
        elif place.via is Via.INTERP:  # which links itself
            node.reach = node.bit
        if not alone:
            self._by_file[file] = self._by_file.get(file, 0) | node.bit

    def _place(self, name: str, loader: Node) -> Place | None:
        """Where `name` leads for `loader`, or None: nowhere, or in a roundabout way to the dynamic linker."""
        resident = self._residents.by_name.get(name)
        if resident is not None:
            return place_of_resident(name, resident)
        known = self._search.cached(name) if loader.place.summary.runpath is None else None
        place = known or self._search.place_of(name, Found(0, loader.place, None, None))
        if isinstance(place, Place) and place.via is Via.CACHE:
            self._search.files.expect_in(place.path.rpartition("/")[0] or "/")
        return place if isinstance(place, Place) and self._residents.of_file(place.summary) is None else None


def _is_plain(file: Summary) -> bool:
    """Whether what it needs is searched for along the environment's paths and its own DT_RUNPATH alone.

    What may say that it opens something at run time is not plain either: that is shown with its closure.
    """
    return file.rpath is None and not file.flags_1 & DF_1_NODEFLIB and not file.may_have_dlopen_note


class Fresh:
    """Fresh processes, one for each of many files: what the dynamic linker loads with each; see `fresh_closure`.

    Each file is asked about with the path by which it is meant.

    `variables` and `library_path` are as in `environment_for` and `Environment.with_library_path`.
    """

    def __init__(self, files: Files, variables: Mapping[str, str] | None, library_path: tuple[str, ...] = ()) -> None:
        self.files = files
        self._variables = variables
        self._library_path = library_path
        self._known: dict[object, tuple[Environment, Graph | None]] = {}

    def closure(self, file: Summary, path: str) -> Closure:
        """Everything that is loaded with `file`; raises `Unsupported` where no dynamic linker can load it."""
        check_loadable(file, path)  # before the environment is asked for
        return fresh_closure(file, self.files, self._surroundings(file)[0], path)

    def environment(self, file: Summary) -> Environment:
        """The environment in which `file` is loaded."""
        return self._surroundings(file)[0]

    def below(self, file: Summary, path: str) -> Below | None:
        """The same without the file itself, from a graph that many files share; None where `closure` must be asked."""
        try:
            graph = self._surroundings(file)[1] if file.is_dynamic else None
            return None if graph is None else graph.below(file, path)
        except LatebindError:
            return None  # a broken file: `closure` comes to it in the order of its search, and says so

    def _surroundings(self, file: Summary) -> tuple[Environment, Graph | None]:
        kind = (file.interpreter, file.machine, file.elf_class, file.data)
        known = self._known.get(kind)
        if known is not None:
            return known
        key = (file.interpreter or usual_interpreter(file), *kind[1:])
        known = self._known.get(key)
        if known is None:
            env = environment_for(file, self.files, self._variables).with_library_path(self._library_path)
            shared = not (env.is_musl or env.preload or any("$" in folder for folder in env.library_path))
            known = self._known[key] = env, Graph(file, self.files, env) if shared else None
        self._known[kind] = known
        return known
