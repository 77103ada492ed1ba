"""The dependency graph: which edges others imply, layers, and nothing drawn over anything else."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import latebind
from latebind.view import draw
from latebind.view.graph import HEIGHT, Edge, Graph, Node, _implied, graph_of, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


def graph(count: int, pairs: list[tuple[int, int]]) -> Graph:
    implied = _implied(count, pairs)
    nodes = tuple(Node(f"lib{i}.so", "own", "") for i in range(count))
    return Graph(nodes, tuple(Edge(a, b, (a, b) in implied) for a, b in pairs))


def test_an_edge_is_implied_where_a_longer_way_leads_there() -> None:
    found = graph(4, [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 3)])
    assert {(e.source, e.target) for e in found.edges if e.implied} == {(0, 2), (0, 3), (1, 3)}


def test_a_cycle_is_laid_out_all_the_same() -> None:
    layout = lay_out(graph(3, [(0, 1), (1, 2), (2, 1), (2, 0), (1, 1)]))
    assert layout.boxes[0].x < layout.boxes[1].x < layout.boxes[2].x


def test_everything_stands_right_of_what_needs_it_and_no_two_boxes_overlap() -> None:
    dice = random.Random(7)
    for _ in range(30):
        count = dice.randint(1, 40)
        pairs = {(a, dice.randrange(a + 1, count)) for a in range(count - 1) for _ in range(dice.randint(0, 4))}
        found = graph(count, sorted(pairs))
        boxes = lay_out(found).boxes
        assert all(boxes[e.source].x + boxes[e.source].width < boxes[e.target].x for e in found.edges)
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = a.x + a.width < b.x or b.x + b.width < a.x or abs(a.y - b.y) >= HEIGHT
                assert apart


def test_the_graph_of_nothing_is_empty() -> None:
    assert lay_out(graph(0, [])).boxes == ()


def test_missing_libraries_are_nodes(cc: Compiler, tmp_path: Path) -> None:
    cc.shared("", name='libno"pe.so', flags=["-nostdlib", '-Wl,-soname,libno"pe.so'])
    flags = ["-nostdlib", str(tmp_path / 'libno"pe.so'), "-Wl,--no-as-needed"]
    root = cc.shared("", name="libroot.so", flags=[flags[0], "-Wl,--no-as-needed", flags[1]])
    (tmp_path / 'libno"pe.so').unlink()
    found = graph_of(latebind.plan(root))
    assert [(n.label, n.kind) for n in found.nodes] == [("libroot.so", "root"), ('libno"pe.so', "missing")]
    text = "\n".join(draw.dot(found))
    assert r'label="libno\"pe.so"' in text
    assert "n0 -> n1;" in text
    drawing = ET.fromstring(draw.graph_svg(found))  # noqa: S314  (it is what we wrote ourselves)
    texts = [e.text for e in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["libroot.so", 'libno"pe.so']


def test_segments_are_drawn_in_the_file_and_in_memory(cc: Compiler) -> None:
    elf = latebind.read(cc.shared("char zeros[100000]; int one = 1; int f(void) { return one; }"))
    drawing = ET.fromstring(draw.segments_svg(elf))  # noqa: S314
    loads = [s for s in elf.segments if s.type == 1]
    kinds = [e.get("class") for e in drawing.iter("{http://www.w3.org/2000/svg}rect")]
    assert kinds.count("seg zero") == 1
    assert kinds.count("seg x") == 2  # once in the file, once in memory
    assert sum((k or "").startswith("seg") for k in kinds) == 2 * len(loads) + 1
    texts = " ".join(e.text or "" for e in drawing.iter("{http://www.w3.org/2000/svg}text"))
    assert "GNU_RELRO" in texts
    assert f"{loads[1].vaddr:#x}" in texts
