"""Pictures of a plan: the dependency graph as DOT and SVG, a file's segments in the file and in memory as SVG.

No program is called: the layout is our own (`graph.py`). An SVG on its own carries its style; inside the report the
page's style applies to the same classes.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from latebind.elf.segment import PT_GNU_STACK, PT_LOAD
from latebind.view.graph import HEIGHT, Graph, Layout, lay_out
from latebind.view.look import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.elf import Elf, Segment

STYLE: Final = """
svg{--ink:#1c2430;--dim:#6a7585;--line:#8c99aa;--faint:#d5dbe3;--box:#eef3fa;--edge:#9db4d3;--root:#d9e8ff;
--missing:#ffe0dd;--bad:#b3261e;--exec:#f7d9a8;--data:#cfe8cf;--text:#dfe6f3;--paper:#fff;background:var(--paper)}
@media (prefers-color-scheme:dark){svg{--ink:#e4e9f0;--dim:#97a3b4;--line:#75849a;--faint:#343d4a;--box:#222b38;
--edge:#4c6184;--root:#1f3a63;--missing:#4a1f1d;--bad:#ff8a80;--exec:#6b4c17;--data:#2b4d31;--text:#2f3a4d;
--paper:#141a22}}
"""
_RULES: Final = """
svg text{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,monospace;fill:var(--ink)}
svg .dim{fill:var(--dim);font-size:11px}
.node rect{fill:var(--box);stroke:var(--edge)}
.node.root rect{fill:var(--root);stroke-width:2}
.node.missing rect{fill:var(--missing);stroke:var(--bad);stroke-dasharray:4 3}
.node.missing text{fill:var(--bad)}
.node.optional rect,.node.absent rect{fill:none;stroke-dasharray:4 3}
.node.absent text{fill:var(--dim)}
.edge{fill:none;stroke:var(--line);stroke-width:1.3}
.edge.implied{stroke:var(--faint)}
.edge.optional{stroke-dasharray:5 4}
svg marker path{fill:var(--line)}
.seg{stroke:var(--edge);fill:var(--text)}
.seg.x{fill:var(--exec)}
.seg.w{fill:var(--data)}
.seg.zero{fill:none;stroke-dasharray:3 3}
.flow{fill:var(--faint);opacity:.6}
.part{fill:var(--line)}
"""
RULES: Final = _RULES.strip()


_DOT_NODES: Final = {
    "root": ", penwidth=2",
    "missing": ', color="#b3261e", fontcolor="#b3261e"',
    "optional": ', style="rounded,dashed"',
    "absent": ', style="rounded,dashed", fontcolor="#6a7585"',
}


# the dependency graph ---------------------------------------------------------------------------------------------


def dot(graph: Graph) -> Iterator[str]:
    """The graph in the language of Graphviz.

    Edges that others imply are dotted and do not shape the layout; what is opened at run time, if at all, is dashed.
    """
    yield "digraph dependencies {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor="#eef3fa", fontname="monospace"];'
    for index, node in enumerate(graph.nodes):
        extra = _DOT_NODES.get(node.kind, "")
        yield f"  n{index} [label={_quoted(node.label)}, tooltip={_quoted(node.detail)}{extra}];"
    for edge in graph.edges:
        style = ' [style=dotted, color="#8c99aa", constraint=false]' if edge.implied else ""
        if edge.optional:
            style = " [style=dashed]"
        yield f"  n{edge.source} -> n{edge.target}{style};"
    yield "}"


def _quoted(text: str) -> str:
    """A quoted ID of the DOT language, in which only the quotation mark and the backslash are special."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def graph_svg(graph: Graph, *, alone: bool = True) -> str:
    """The graph as an SVG document; not `alone`: as an element of a page that has the style."""
    layout = lay_out(graph)
    parts = [_open(layout.width, layout.height, "Dependency graph", alone=alone)]
    parts.append(
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    order = sorted(range(len(graph.edges)), key=lambda i: not graph.edges[i].implied)  # the faint ones lie below
    parts += [_edge(graph, layout, index) for index in order]
    for index, (node, box) in enumerate(zip(graph.nodes, layout.boxes, strict=True)):
        parts.append(
            f'<g class="node {node.kind}" data-node="{index}"><title>{_safe(node.detail)}</title>'
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT:.0f}" rx="6"/>'
            f'<text x="{box.x + 10:.1f}" y="{box.y + 17:.1f}">{_safe(node.label)}</text></g>'
        )
    return "\n".join([*parts, "</svg>"])


def _edge(graph: Graph, layout: Layout, index: int) -> str:
    edge, way = graph.edges[index], layout.ways[index]
    source, target = layout.boxes[edge.source], layout.boxes[edge.target]
    points = [
        (source.x + source.width, source.y + HEIGHT / 2),
        *way,
        (target.x - 2, target.y + HEIGHT / 2),
    ]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = max(abs(x2 - x1) / 2, 24) if x2 > x1 else 60
        path += f"C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    kind = " implied" if edge.implied else " optional" if edge.optional else ""
    marker = "" if edge.implied else ' marker-end="url(#tip)"'
    return f'<path class="edge{kind}" data-from="{edge.source}" data-to="{edge.target}" d="{path}"{marker}/>'


def _open(width: float, height: float, title: str, *, alone: bool) -> str:
    style = f"<style>{STYLE}{_RULES}</style>" if alone else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{_safe(title)}">{style}'
    )


def _safe(text: str) -> str:
    """Text for XML: names of files are bytes, and control characters are not allowed there even when escaped."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return escape("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown))


# segments ---------------------------------------------------------------------------------------------------------

_MOST_SEGMENTS: Final = 40
_FULL: Final = 340.0  # px that all segments share by size
_LEAST: Final = 22.0  # px that each gets at least
_GAP: Final = 10.0
_BAR: Final = 190.0  # px, the width of a block
_FILE_X: Final = 90.0
_MEMORY_X: Final = 400.0


class _Axis:
    """Numbers from files (offsets, addresses) → px: every stretch between two limits has its own scale."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.limits = sorted({limit for span in spans for limit in span})
        self.tops = [30.0]
        total = sum(end - start for start, end in spans) or 1
        for low, high in pairwise(self.limits):
            used = any(start <= low and high <= end for start, end in spans)
            self.tops.append(self.tops[-1] + (_LEAST + _FULL * (high - low) / total if used else _GAP))

    def at(self, value: int) -> float:
        """Where `value` is; what lies outside is at the nearer end."""
        for index, (low, high) in enumerate(pairwise(self.limits)):
            if low <= value <= high:
                top, bottom = self.tops[index : index + 2]
                return top + (bottom - top) * (value - low) / (high - low)
        return self.tops[0] if not self.limits or value < self.limits[0] else self.tops[-1]


def segments_svg(elf: Elf, *, alone: bool = True) -> str:
    """The loaded segments of `elf`, where they lie in the file and where in memory, side by side.

    Heights grow with size but no block vanishes. To the right of memory stand the segments that mark a part of it
    (RELRO, TLS, DYNAMIC …); what memory has beyond the file's bytes (zeroed, .bss) is dashed.
    """
    loads = [s for s in elf.segments if s.type == PT_LOAD][:_MOST_SEGMENTS]
    marks = [s for s in elf.segments if s.type not in (PT_LOAD, PT_GNU_STACK) and s.memsz][:_MOST_SEGMENTS]
    in_file = _Axis([(s.offset, s.offset + s.filesz) for s in loads if s.filesz])
    in_memory = _Axis([span for s in loads for span in _memory_spans(s)])
    height = max(in_file.tops[-1], in_memory.tops[-1]) + 20
    parts = [_open(1000, height, f"Segments of {elf.path}", alone=alone)]
    parts.append(f'<text class="dim" x="{_FILE_X}" y="18">in the file</text>')
    parts.append(f'<text class="dim" x="{_MEMORY_X}" y="18">in memory</text>')
    for segment in loads:
        parts += _segment(segment, in_file, in_memory)
    parts += _marks(marks, in_memory)
    return "\n".join([*parts, "</svg>"])


def _memory_spans(segment: Segment) -> list[tuple[int, int]]:
    start, middle, end = segment.vaddr, segment.vaddr + segment.filesz, segment.vaddr + segment.memsz
    return [span for span in ((start, middle), (middle, end)) if span[0] < span[1]]


def _segment(segment: Segment, in_file: _Axis, in_memory: _Axis) -> Iterator[str]:
    kind = "x" if "x" in segment.permissions else "w" if "w" in segment.permissions else "r"
    f1, f2 = in_file.at(segment.offset), in_file.at(segment.offset + segment.filesz)
    m1, m2 = in_memory.at(segment.vaddr), in_memory.at(segment.vaddr + segment.filesz)
    m3 = in_memory.at(segment.vaddr + segment.memsz)
    title = _safe(
        f"{segment.type_name} {segment.permissions}: {segment.filesz:#x} bytes at offset {segment.offset:#x}, "
        f"{segment.memsz:#x} bytes at address {segment.vaddr:#x}"
    )
    if segment.filesz:
        right = _FILE_X + _BAR
        yield (
            f'<path class="flow" d="M{right} {f1:.1f}L{_MEMORY_X} {m1:.1f}L{_MEMORY_X} {m2:.1f}L{right} {f2:.1f}z"/>'
        )
        yield _block(kind, _FILE_X, f1, f2, title, f"{segment.permissions} {segment.filesz:#x}")
        yield f'<text class="dim" x="{_FILE_X - 8}" y="{f1 + 12:.1f}" text-anchor="end">{segment.offset:#x}</text>'
    size = f"{segment.permissions} {segment.memsz:#x}"
    if m2 > m1:
        yield _block(kind, _MEMORY_X, m1, m2, title, size)
    if m3 > m2:
        zeros = segment.memsz - segment.filesz
        yield _block("zero", _MEMORY_X, m2, m3, title, f"zeros {zeros:#x}" if m2 > m1 else size)
    yield f'<text class="dim" x="{_MEMORY_X - 8}" y="{m1 + 12:.1f}" text-anchor="end">{segment.vaddr:#x}</text>'


def _block(kind: str, x: float, top: float, bottom: float, title: str, label: str) -> str:
    text = f'<text x="{x + 8}" y="{(top + bottom) / 2 + 4:.1f}">{label}</text>' if bottom - top >= 14 else ""
    return (
        f'<g><title>{title}</title><rect class="seg {kind}" x="{x}" y="{top:.1f}" width="{_BAR}" '
        f'height="{bottom - top:.1f}" rx="3"/>{text}</g>'
    )


def _marks(marks: Sequence[Segment], in_memory: _Axis) -> Iterator[str]:
    """Bars to the right of memory, one column each so that those that overlap stay apart; the labels do too."""
    next_label = 30.0
    bars = _MEMORY_X + _BAR + 12
    labels = bars + len(marks) * 8 + 12
    for number, segment in enumerate(sorted(marks, key=lambda s: s.vaddr)):
        top, bottom = in_memory.at(segment.vaddr), in_memory.at(segment.vaddr + segment.memsz)
        x = bars + number * 8
        y = max(top + 4, next_label)
        next_label = y + 14
        name = f"{segment.type_name} {segment.vaddr:#x}+{segment.memsz:#x}"
        yield f'<rect class="part" x="{x}" y="{top:.1f}" width="5" height="{max(bottom - top, 2):.1f}" rx="1"/>'
        yield f'<path class="edge implied" d="M{x + 5} {top + 1:.1f}L{labels - 4} {y:.1f}"/>'
        yield f'<text class="dim" x="{labels}" y="{y + 4:.1f}">{_safe(shorten(name, 44))}</text>'
