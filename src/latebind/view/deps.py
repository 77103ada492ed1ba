"""A closure: as a tree with the reason for each place, as a list in load order, as a JSON document."""

from __future__ import annotations

from latebind.search import Found, Missing, Via
from latebind.view.look import PLAIN, Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    from latebind.search import Below, Closure, Node, Place
    from latebind.search.optional import BadNote, Optional, Optionals

    Parts: TypeAlias = tuple[tuple[str, str], ...]
    """Pieces of a line with their roles (view.look)."""
    Child: TypeAlias = Found | Missing | Optional | BadNote


_BRANCH, _LAST, _BELOW, _BELOW_LAST = [f"\0{text}".encode() for text in ("├─ ", "└─ ", "│  ", "   ")]
"""What stands before a line that is put together in UTF-8, and before those below it."""


def tree(closure: Closure, look: Look = PLAIN, optionals: Optionals | None = None) -> list[str]:
    """The lines of the tree: who needs whom, where each object is, and by which rule it was found.

    An object is opened where it is first met; further down it is only named. `optionals` hang at dotted branches below
    the objects that may open them.
    """
    return Trees(look).lines(closure, optionals)


class Trees:
    """Trees of many closures: what is said about a place in many of them is put together once."""

    def __init__(self, look: Look = PLAIN) -> None:
        self._look = look
        self._opened: dict[Place, Any] = {}  # the rest of a line behind its branches, as `_open` makes it
        self._named: dict[Place, Any] = {}
        self._chunks: dict[tuple[Node, int, bool], bytes] = {}
        self._mentions: dict[tuple[Node, bool], bytes] = {}
        self._texts: dict[Below, bytes] = {}

    def lines(self, closure: Closure, optionals: Optionals | None = None) -> list[str]:
        """The lines of one tree, as `tree` says."""
        plain, fit = self._look.is_plain, self._look.fit
        opened, named = self._opened, self._named
        lines = [fit(("head", closure.root.path))]
        seen = {0}
        pending = _children(closure, closure.root, "", optionals)  # what is still to come, the next one last
        while pending:
            child, branch, deeper = pending.pop()
            if isinstance(child, Missing):
                lines.append(fit(("dim", branch), ("bad", f"{child.name} is missing")))
                lines += [fit(("dim", deeper), ("", f"tried {place.path}: {place.why}")) for place in child.tried]
                continue
            if not isinstance(child, Found):
                lines.append(fit(("dim", branch), *_optional(child)))
                continue
            place = child.place
            if child.index in seen:
                rest = named.get(place) or self._name(place)
            else:
                rest = opened.get(place) or self._open(place)
                seen.add(child.index)
                if child.needs or closure.missing or optionals is not None:
                    pending += _children(closure, child, deeper, optionals)
            lines.append(branch + rest if plain else fit(("dim", branch), *rest))
        return lines

    def text(self, path: str, below: Below) -> bytes:
        """The same tree with its last line's end, in UTF-8, of the file at `path`, from a graph that many files share.

        Only for a look that is plain. What hangs below a node depends on what has been met before; below most it is the
        same again and again.
        """
        text = self._texts.get(below)
        if text is None:
            # Lines are separated by zero bytes until here: no name can have one.
            text = self._texts[below] = self._lines_below(below.children, 0).replace(b"\0", b"\n") + b"\n"
        return path.encode("utf-8", "surrogateescape") + text

    def _lines_below(self, children: tuple[Node, ...], seen: int) -> bytes:
        """The lines of `children` and below, each behind a separator; `seen` has the bits of the nodes met before."""
        chunks = []
        last = children[-1] if children else None
        for child in children:
            if child.bit & seen:
                chunks.append(self._mentions.get((child, child is last)) or self._mention(child, last=child is last))
                continue
            key = child, child.reach & seen, child is last
            chunk = self._chunks.get(key)
            if chunk is None:
                chunk = self._chunks[key] = self._chunk(child, seen, last=child is last)
            chunks.append(chunk)
            seen |= child.reach
        return b"".join(chunks)

    def _chunk(self, node: Node, seen: int, *, last: bool) -> bytes:
        """The line of `node`, which is met for the first time, and those below it."""
        rest: bytes = self._open(node.place).encode("utf-8", "surrogateescape")
        line = (_LAST if last else _BRANCH) + rest
        if not node.children:
            return line
        deeper = _BELOW_LAST if last else _BELOW
        return line + self._lines_below(node.children, seen | node.bit).replace(b"\0", deeper)

    def _mention(self, node: Node, *, last: bool) -> bytes:
        """The line of `node` where it was met before."""
        rest: bytes = self._name(node.place).encode("utf-8", "surrogateescape")
        text = (_LAST if last else _BRANCH) + rest
        self._mentions[node, last] = text
        return text

    def _open(self, place: Place) -> Any:
        """What `lines` puts behind the branches: parts, or their text where nothing will be coloured or cut."""
        why = f"  [{place.via}: {place.why}]"
        rest: Any
        if self._look.is_plain:
            rest = f"{place.name} → {place.path}{why}"
        else:
            rest = ("name", place.name), ("", " → "), ("path", place.path), ("dim", why)
        self._opened[place] = rest
        return rest

    def _name(self, place: Place) -> Any:
        """The same where what is below it was shown before."""
        rest: Any = f"{place.name} (see above)"
        if not self._look.is_plain:
            rest = ("", place.name), ("dim", " (see above)")
        self._named[place] = rest
        return rest


def _children(
    closure: Closure, parent: Found, indent: str, optionals: Optionals | None
) -> list[tuple[Child, str, str]]:
    """What hangs below `parent`, the last child first: each with its branch and the indentation below it."""
    branch, deeper = f"{indent}├─ ", f"{indent}│  "
    objects = closure.objects
    children: list[tuple[Child, str, str]] = []
    if not parent.index:  # what is preloaded comes first (ld.so(8), "LD_PRELOAD"), whether something needs it or not
        children = [(o, branch, deeper) for o in objects if o.via is Via.PRELOAD and o.index not in parent.needs]
    children += [(objects[i], branch, deeper) for i in parent.needs]
    if closure.missing:
        children += [(m, branch, deeper) for m in closure.missing if parent.index in m.needed_by]
    if optionals is not None:
        dotted = f"{indent}├┄ "
        children += [(entry, dotted, deeper) for entry in optionals.entries if entry.by == parent.index]
        children += [(note, dotted, deeper) for note in optionals.bad if note.by == parent.index]
    if children:
        child, branch, _ = children[-1]
        children[-1] = child, f"{branch[:-3]}└{branch[-2:]}", f"{indent}   "
        children.reverse()
    return children


def _optional(entry: Optional | BadNote) -> Parts:
    """What a program may open: ``NAME → PATH  [rule: why]  (suggested, feature: description)``."""
    wanted = getattr(entry, "dependency", None)
    if wanted is None:
        return (("warn", getattr(entry, "what", "")),)
    found = getattr(entry, "found", None)
    about = f"({wanted.priority}{', ' if wanted.feature else ''}{wanted.feature}"
    about += f": {wanted.description})" if wanted.description else ")"
    if found is None:
        return ("warn", f"{' or '.join(wanted.sonames)} would not be found"), ("dim", f"  {about}")
    where = f"  [{found.via}: {found.why}]" if found.loaded is None else f"  [{found.why}]"
    return ("name", found.name), ("", " → "), ("path", found.path), ("dim", f"{where}  {about}")


def listing(closure: Closure, look: Look = PLAIN, optionals: Optionals | None = None) -> Iterator[str]:
    """The objects in load order, one a line; below them what is missing, then what they may open at run time."""
    from latebind.view.table import table

    yield look.fit(("head", closure.root.path))
    rows = [(o.name, o.path, o.via, o.why) for o in closure.objects[1:]]
    roles = {"NAME": "name", "PATH": "path", "WHY": "dim"}
    yield from table(("NAME", "PATH", "VIA", "WHY"), rows, indent="  ", look=look, roles=roles)
    for missing in closure.missing:
        who = ", ".join(closure.objects[i].path for i in missing.needed_by)
        yield look.fit(("bad", f"  {missing.name} is missing"), ("", f", needed by {who}"))
        yield from (f"    tried {place.path}: {place.why}" for place in missing.tried)
    for entry in optionals.entries if optionals is not None else ():
        yield look.fit(("", "  optional: "), *_optional(entry), ("", f", of {closure.objects[entry.by].path}"))
        if entry.found is None:
            yield from (f"    tried {place.path}: {place.why}" for place in entry.tried)
    for note in optionals.bad if optionals is not None else ():
        yield look.fit(("warn", f"  {closure.objects[note.by].path}: {note.what}"))


def document(closure: Closure, optionals: Optionals | None = None) -> dict[str, Any]:
    """The closure as `latebind deps --json` prints it: schema 1, objects in load order without the file itself."""
    return {
        "schema": 1,
        "file": closure.root.path,
        "interpreter": closure.root.summary.interpreter,
        "objects": [
            {
                "name": o.name,
                "path": o.path,
                "via": o.via,
                "why": o.why,
                "needed_by": [closure.objects[index].path for index in o.needed_by],
            }
            for o in closure.objects[1:]
        ],
        "missing": [
            {
                "name": missing.name,
                "needed_by": [closure.objects[index].path for index in missing.needed_by],
                "tried": [{"path": place.path, "why": place.why} for place in missing.tried],
            }
            for missing in closure.missing
        ],
        "optional": [_optional_document(closure, entry) for entry in optionals.entries] if optionals else [],
        "problems": [
            {"path": closure.objects[note.by].path, "what": note.what} for note in (optionals.bad if optionals else ())
        ],
    }


def _optional_document(closure: Closure, entry: Optional) -> dict[str, Any]:
    wanted, found = entry.dependency, entry.found
    return {
        "from": closure.objects[entry.by].path,
        "sonames": list(wanted.sonames),
        "feature": wanted.feature,
        "description": wanted.description,
        "priority": wanted.priority,
        "found": found
        and {
            "name": found.name,
            "path": found.path,
            "via": str(found.via),
            "why": found.why,
            "loaded": found.loaded is not None,
        },
        "tried": [{"path": place.path, "why": place.why} for place in entry.tried],
    }
