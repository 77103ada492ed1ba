"""One self-contained HTML page about a plan: the dependency graph, the segments of each object, every binding.

Nothing is fetched: style, script, pictures and data stand in the page, and its Content-Security-Policy forbids the
rest. Names come from files that nobody vouches for, so the page's text is escaped, the script builds its rows from
text nodes, and the policy lets only this one script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from latebind.view.draw import RULES, graph_svg, segments_svg
from latebind.view.explain import kind_name, relocation_names
from latebind.view.graph import graph_of
from latebind.view.look import PLAIN, Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from latebind.linkplan import Binding, LinkPlan
    from latebind.search.optional import Optionals


def page(plan: LinkPlan, bindings: Iterable[Binding], look: Look = PLAIN, optionals: Optionals | None = None) -> str:
    """The page for `plan` with these `bindings` and `optionals`; `look` says whether to demangle names."""
    style = files("latebind.view").joinpath("report.css").read_text(encoding="utf-8") + RULES
    script = files("latebind.view").joinpath("report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    name = plan.root.path.rpartition("/")[2]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(name)} – latebind</title>",
            f"<style>{style}</style></head><body>",
            *_head(plan, optionals),
            *_graph(plan, optionals),
            *_optionals(plan, optionals),
            *_segments(plan),
            *_bindings(),
            f'<script type="application/json" id="data">{_json(_data(plan, bindings, look))}</script>',
            f"<script>{script}</script></body></html>",
            "",
        ]
    )


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "backslashreplace").decode())


def _json(value: Any) -> str:
    """JSON that an HTML parser cannot take for markup."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _head(plan: LinkPlan, optionals: Optionals | None) -> Iterator[str]:
    elf = plan.root.elf
    facts = {
        "kind": f"{elf.header.type_name}, {elf.header.machine_name}, {elf.header.bits}-bit",
        "soname": elf.soname,
        "interpreter": elf.interpreter,
        "build-id": elf.build_id,
        "objects": str(len(plan.closure)),
    }
    yield '<header><button id="theme" type="button">light / dark</button>'
    yield f"<h1>{_text(plan.root.path)}</h1><dl>"
    yield from (f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items() if value)
    yield "</dl>"
    for missing in plan.missing:
        yield f'<p class="alarm">{_text(missing.name)} is missing. Tried:</p><ul>'
        yield from (f"<li>{_text(place.path)}: {_text(place.why)}</li>" for place in missing.tried)
        yield "</ul>"
    for note in optionals.bad if optionals is not None else ():
        yield f'<p class="alarm">{_text(plan.objects[note.by].path)}: {_text(note.what)}</p>'
    yield "</header>"


def _graph(plan: LinkPlan, optionals: Optionals | None) -> Iterator[str]:
    yield '<section id="graph"><h2>Dependencies</h2>'
    yield '<p class="hint">Choose an object to see its segments and what binds to it. <label><input type="checkbox" '
    yield 'id="implied"> show needs that others imply</label></p>'
    yield f'<div class="scroll">{graph_svg(graph_of(plan, optionals), alone=False)}</div></section>'


def _optionals(plan: LinkPlan, optionals: Optionals | None) -> Iterator[str]:
    """What the objects may open at run time, one row each; nothing where no object has such a note."""
    if optionals is None or not optionals.entries:
        return
    yield '<section id="optional"><h2>Opened at run time, if at all</h2><div class="scroll"><table><thead><tr>'
    yield "".join(f'<th scope="col">{head}</th>' for head in ("Object", "Names", "For", "Priority", "Would be found"))
    yield "</tr></thead><tbody>"
    for entry in optionals.entries:
        wanted, found = entry.dependency, entry.found
        about = ": ".join(part for part in (wanted.feature, wanted.description) if part)
        where = "no" if found is None else found.path if found.loaded is not None else f"{found.path} ({found.via})"
        tried = "; ".join(f"{place.path}: {place.why}" for place in entry.tried)
        cells = (plan.objects[entry.by].name.rpartition("/")[2], " or ".join(wanted.sonames), about, wanted.priority)
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}"
        yield f'<td title="{_text(found.why if found is not None else tried)}">{_text(where)}</td></tr>'
    yield "</tbody></table></div></section>"


def _segments(plan: LinkPlan) -> Iterator[str]:
    yield '<section id="segments"><h2>Segments</h2><p><label>Object <select id="object">'
    yield from (f'<option value="{o.index}">{_text(o.path)}</option>' for o in plan.closure)
    yield "</select></label></p>"
    for o in plan.closure:
        hidden = " hidden" if o.index else ""
        yield f'<div class="scroll map" data-object="{o.index}"{hidden}>{segments_svg(o.elf, alone=False)}</div>'
    yield "</section>"


def _bindings() -> Iterator[str]:
    yield '<section id="bindings"><h2>Bindings</h2><p class="bar"><label>Search <input id="search" type="search" '
    yield 'autocomplete="off" spellcheck="false" placeholder="malloc, to:libc, from:…"></label> '
    yield '<output id="count" aria-live="polite"></output></p>'
    yield '<div class="scroll"><table><thead><tr>'
    heads = ("From", "Symbol", "Version", "To", "Kind", "Relocation", "Why")
    yield from (
        f'<th scope="col"><button type="button" data-column="{i}">{h}</button></th>' for i, h in enumerate(heads)
    )
    yield '</tr></thead><tbody id="rows"></tbody></table></div>'
    yield '<p><button id="more" type="button" hidden>Show more</button></p></section>'


def _data(plan: LinkPlan, bindings: Iterable[Binding], look: Look) -> dict[str, Any]:
    """The table's rows. Texts that repeat are numbers into `texts`; a row's last cell is the readable symbol or 0."""
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    rows = []
    for b in bindings:
        readable = look.readable(b.symbol)
        target = "" if b.target is None else plan.objects[b.target].name.rpartition("/")[2]
        rows.append(
            [
                number(plan.objects[b.referrer].name.rpartition("/")[2]),
                b.symbol,
                number(b.version or ""),
                number(target),
                number(kind_name(b)),
                number(", ".join(relocation_names(plan, b))),
                number(plan.why(b)),
                readable if readable != b.symbol else 0,
            ]
        )
    return {"texts": list(texts), "rows": rows}
