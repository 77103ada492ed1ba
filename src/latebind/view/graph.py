"""The dependency graph of a plan, laid out in layers from left to right.

The way of Sugiyama, Tagawa and Toda (1981), in its plain form: break cycles, give each node the layer behind everything
that needs it, order each layer so that edges cross less (barycentres, a few sweeps), then align nodes with their
neighbours. Edges that others imply (A needs C, and A needs B, which needs C) carry no layout: nearly everything needs
libc, and those edges would be the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from latebind.linkplan import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.linkplan import LinkPlan
    from latebind.search.optional import Optionals

CHARACTER: Final = 7.3  # the width of a monospace character at 12 px, in px
HEIGHT: Final = 26.0
_ROW: Final = 38.0
_COLUMN_GAP: Final = 64.0
_SWEEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Node:
    """One object: its label, what kind it is, and what to say of it.

    The kinds are root, own, resident, system and missing, and for what is opened at run time optional and absent.
    """

    label: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` needs `target` (indexes of nodes), or may open it (`optional`). `implied`: a longer way leads there."""

    source: int
    target: int
    implied: bool
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """The objects in load order, then the missing ones, then those that may be opened at run time."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node is: its upper left corner and its width, in px."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is. `ways` holds the points between its ends that each edge of `edges` passes."""

    boxes: tuple[Box, ...]
    ways: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


def graph_of(plan: LinkPlan, optionals: Optionals | None = None) -> Graph:
    """Who needs whom in the closure of `plan`, and who may open what."""
    nodes = []
    for o in plan.closure:
        kind = "root" if o.index == 0 else str(o.role)
        role = "" if o.role is Role.OWN else f", {o.role}"
        label = o.path.rpartition("/")[2] if o.index == 0 else o.name.rpartition("/")[2]
        nodes.append(Node(label, kind, f"{o.path}  [{o.via}: {o.why}{role}]"))
    pairs = [(o.index, needed) for o in plan.closure for needed in o.needs]
    for missing in plan.missing:
        pairs += [(index, len(nodes)) for index in missing.needed_by]
        nodes.append(Node(missing.name, "missing", f"{missing.name} is missing"))
    implied = _implied(len(nodes), pairs)
    edges = [Edge(a, b, (a, b) in implied) for a, b in pairs]
    if optionals is not None:
        _add_optionals(nodes, edges, optionals)
    return Graph(tuple(nodes), tuple(edges))


def _add_optionals(nodes: list[Node], edges: list[Edge], optionals: Optionals) -> None:
    """A node for each file, or list of names without one, that is not in the closure; an edge from who may open it."""
    known: dict[str, int] = {}
    for entry in optionals.entries:
        found, wanted = entry.found, entry.dependency
        if found is not None and found.loaded is not None:
            target = found.loaded
        else:
            label = " or ".join(wanted.sonames) if found is None else found.name.rpartition("/")[2]
            target = known.setdefault(label if found is None else found.path, len(nodes))
            if target == len(nodes):
                where = "would not be found" if found is None else f"{found.path}  [{found.via}: {found.why}]"
                about = ": ".join(part for part in (wanted.feature, wanted.description) if part)
                detail = f"{where}  ({wanted.priority}{', ' if about else ''}{about})"
                nodes.append(Node(label, "absent" if found is None else "optional", detail))
        if not any((e.source, e.target) == (entry.by, target) for e in edges):
            edges.append(Edge(entry.by, target, implied=False, optional=True))


def _forward(count: int, pairs: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[int]]:
    """The edges without those that close a cycle, by source, and the nodes so that each stands before what it needs."""
    children: list[list[int]] = [[] for _ in range(count)]
    for a, b in pairs:
        if a != b:
            children[a].append(b)
    state = [0] * count  # 1: on the way down from the root, 2: done
    kept: list[list[int]] = [[] for _ in range(count)]
    order: list[int] = []
    for root in range(count):
        stack = [(root, iter(children[root]))] if not state[root] else []
        state[root] = state[root] or 1
        while stack:
            node, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                state[node] = 2
                order.append(node)
                stack.pop()
            elif state[child] != 1:
                kept[node].append(child)
                if not state[child]:
                    state[child] = 1
                    stack.append((child, iter(children[child])))
    return kept, order[::-1]


def _implied(count: int, pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The edges that a longer way makes superfluous (the transitive reduction leaves them out)."""
    kept, order = _forward(count, pairs)
    reached = [0] * count  # bit sets
    for node in reversed(order):
        for child in kept[node]:
            reached[node] |= reached[child] | 1 << child
    return {
        (node, child)
        for node in range(count)
        for child in kept[node]
        if any(reached[other] >> child & 1 for other in kept[node] if other != child)
    }


def lay_out(graph: Graph) -> Layout:
    """Where to draw the nodes and edges of `graph`."""
    count = len(graph.nodes)
    layer = _layers(count, [(e.source, e.target) for e in graph.edges])
    chains, layer = _with_steps(graph, layer)
    columns: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for node, place in enumerate(layer):
        columns[place].append(node)
    before: list[list[int]] = [[] for _ in layer]
    after: list[list[int]] = [[] for _ in layer]
    for chain in chains.values():
        for a, b in pairwise(chain):
            after[a].append(b)
            before[b].append(a)
    _order(columns, before, after)
    heights = _heights(columns, before, after)
    widths = [len(n.label) * CHARACTER + 20 for n in graph.nodes]
    lefts, rights, left = [], [], 10.0
    for column in columns:
        lefts.append(left)
        rights.append(left + max((widths[n] for n in column if n < count), default=0.0))
        left = rights[-1] + _COLUMN_GAP
    boxes = tuple(Box(lefts[layer[n]], heights[n], widths[n]) for n in range(count))
    ways = tuple(  # straight through the columns between its ends, so that it bends only in the gaps
        tuple(
            (x, heights[n] + HEIGHT / 2)
            for n in chains.get((e.source, e.target), ())[1:-1]
            for x in (lefts[layer[n]], rights[layer[n]])
        )
        for e in graph.edges
    )
    return Layout(boxes, ways, left - _COLUMN_GAP + 10, max(heights, default=0.0) + HEIGHT + 10)


def _layers(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    kept, order = _forward(count, pairs)
    layer = [0] * count
    for node in order:
        for child in kept[node]:
            layer[child] = max(layer[child], layer[node] + 1)
    return layer


def _with_steps(graph: Graph, layer: list[int]) -> tuple[dict[tuple[int, int], list[int]], list[int]]:
    """The edges that carry the layout, as chains with one invisible node in each layer that they cross."""
    places = list(layer)
    chains = {}
    for edge in graph.edges:
        if edge.implied or layer[edge.source] >= layer[edge.target]:
            continue
        chain = [edge.source]
        for between in range(layer[edge.source] + 1, layer[edge.target]):
            chain.append(len(places))
            places.append(between)
        chains[edge.source, edge.target] = [*chain, edge.target]
    return chains, places


def _order(columns: list[list[int]], before: list[list[int]], after: list[list[int]]) -> None:
    """Reorder each column in place: nodes go near the mean place of their neighbours."""
    place = {node: float(i) for column in columns for i, node in enumerate(column)}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = before if down else after
        for column in columns if down else reversed(columns):
            column.sort(key=lambda n: _mean([place[m] for m in neighbours[n]], place[n]))
            place.update((node, float(i)) for i, node in enumerate(column))


def _heights(columns: list[list[int]], before: list[list[int]], after: list[list[int]]) -> list[float]:
    """The upper edge of each node: near its neighbours, in the column's order, and a row apart from the next."""
    top = [0.0] * len(before)
    for column in columns:
        for i, node in enumerate(column):
            top[node] = i * _ROW
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = before if down else after
        for column in columns if down else reversed(columns):
            wanted = [_mean([top[m] for m in neighbours[n]], top[n]) for n in column]
            low, high = list(wanted), list(wanted)
            for i in range(1, len(column)):
                low[i] = max(low[i], low[i - 1] + _ROW)
            for i in range(len(column) - 2, -1, -1):
                high[i] = min(high[i], high[i + 1] - _ROW)
            for i, node in enumerate(column):
                top[node] = (low[i] + high[i]) / 2
    least = min(top, default=0.0)
    return [t - least + 10 for t in top]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
