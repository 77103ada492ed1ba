"""Who needs whom among the files of one environment, worked out once for a run over many of them.

Where a name leads depends on who asks: on the search paths of the loaders, and on what has come already under that
name (closure.py). In most closures neither makes a difference: nothing in them has a search path of its own, and each
name means one file. Those share one graph here. For any other file `Graph.root` is None: its closure stands alone.
"""

from __future__ import annotations

from latebind.elf.numbers import DF_1_NODEFLIB
from latebind.search.closure import Place, Search, place_of_resident
from latebind.search.fresh import linker_of
from latebind.search.rules import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from latebind.elf.summary import Summary
    from latebind.search.environment import Environment
    from latebind.search.files import Files

_ALONE: Final = 1
"""The bit in `Node.reach` of what must be searched for alone."""
_DEEPEST: Final = 100


class Node:
    """One object. `children` are what it needs, in order; `reach` has its own `bit` and those of all below it."""

    __slots__ = ("bit", "children", "place", "reach")

    def __init__(self, place: Place, bit: int, children: tuple[Node, ...] = (), reach: int = 0) -> None:
        self.place = place
        self.bit = bit
        self.children = children
        self.reach = reach
        """0 while what is below it is not known."""


class Graph:
    """The graph for files of one kind in one environment; see `graph_for`."""

    def __init__(self, file: Summary, files: Files, env: Environment) -> None:
        self._linker = linker_of(files, env)
        self._search = Search(file, files, env, ())
        self._asker = self._search.add_root()  # it has no search path, so what it finds everybody would
        self._nodes: dict[str, Node] = {}
        self._by_alias: dict[str, Node] = {}
        self._by_file: dict[Summary, Node] = {}
        self._ambiguous = _ALONE  # the bits of nodes that share a name or a file with another
        self._next = _ALONE << 1
        self._nowhere = Node(self._asker.place, _ALONE, (), _ALONE)

    def root(self, file: Summary) -> Node | None:
        """The closure of `file` as a node, where nothing in it must be searched for alone."""
        if not _is_plain(file) or (self._linker is not None and file is self._linker.summary):
            return None
        children, reach = self._below(file, 0)
        if reach & self._ambiguous:
            return None
        # What asks for it by name gets it, not what the name leads to.
        for other in (self._by_alias.get(file.soname or ""), self._by_alias.get(file.path), self._by_file.get(file)):
            if other is not None and other.bit & reach:
                return None
        return Node(Place(file.path, file.path, Via.ROOT, "the file itself", file), 0, children, reach)

    def _below(self, file: Summary, depth: int) -> tuple[tuple[Node, ...], int]:
        """The nodes of what `file` needs, and everything that they reach."""
        children, reach = [], 0
        for name in file.needed:
            child = self._nodes.get(name) or self._make(name, depth)
            reach |= child.reach or _ALONE  # 0: it is being made, so this is a cycle
            if child not in children:
                children.append(child)
        return tuple(children), reach

    def _make(self, name: str, depth: int) -> Node:
        place = None if "$" in name or depth > _DEEPEST else self._place(name)
        if place is None:
            self._nodes[name] = self._by_alias[name] = self._nowhere
            return self._nowhere
        node = self._nodes[name] = Node(place, self._next)
        self._next <<= 1
        self._register(node)
        reach = node.bit
        if place.via is not Via.INTERP:
            if _is_plain(place.summary):
                node.children, below = self._below(place.summary, depth + 1)
                reach |= below
            else:
                reach |= _ALONE
        node.reach = reach
        return node

    def _place(self, name: str) -> Place | None:
        """Where `name` leads whoever asks, or None: nowhere, or in a roundabout way to the dynamic linker."""
        if self._linker is not None and name in (self._linker.summary.soname, self._linker.path):
            return place_of_resident(name, self._linker)
        place = self._search.place_of(name, self._asker)
        if not isinstance(place, Place) or (self._linker is not None and self._linker.is_file(place.summary)):
            return None
        return place

    def _register(self, node: Node) -> None:
        place = node.place
        others = [
            self._by_alias.setdefault(name, node) for name in (place.name, place.path, place.summary.soname or "")
        ]
        others.append(self._by_file.setdefault(place.summary, node))
        for other in others:
            if other is not node:
                self._ambiguous |= other.bit | node.bit


def _is_plain(file: Summary) -> bool:
    """Whether what it needs is searched for along the environment's paths alone."""
    return file.runpath is None and file.rpath is None and not file.flags_1 & DF_1_NODEFLIB


def graph_for(file: Summary, files: Files, env: Environment) -> Graph | None:
    """The graph that the closure of `file` may be part of; one for each environment and kind of file."""
    if env.is_musl or env.preload or any("$" in folder for folder in env.library_path) or not _is_plain(file):
        return None
    key = ("graph", env, file.elf_class, file.data, file.machine)
    return files.kept(key, lambda: Graph(file, files, env))
