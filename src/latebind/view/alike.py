"""Trees of files that differ in little but their names, as the libraries and programs of one JDK do: put together once.

Such a file has a DT_RPATH, so its closure stands alone (search/graph.py); but what another file of the same folder with
the same DT_RPATH needs by the same names is the same, and is shown with another path in the reasons.
"""

from __future__ import annotations

import os

from latebind.search import Closure, Place
from latebind.search.rules import Via, reason_of_rpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from latebind.elf.summary import Summary
    from latebind.search import Found, Fresh
    from latebind.view.deps import Trees


class _Pattern:
    """A tree with a mark for each reason that names the file: a zero byte before and behind a number."""

    __slots__ = ("asked", "files", "is_complete", "text")

    def __init__(self, closure: Closure, text: bytes) -> None:
        self.asked = frozenset([name for found in closure.objects for name in found.summary.needed])
        self.files = frozenset([found.summary for found in closure.objects[1:]])
        self.is_complete = not closure.missing
        self.text = text


class AlikeTrees:
    """The trees of such files, for a look that is plain."""

    def __init__(self, fresh: Fresh, trees: Trees) -> None:
        self._fresh = fresh
        self._trees = trees
        self._patterns: dict[object, _Pattern] = {}

    def text(self, file: Summary, path: str) -> tuple[bytes, bool] | None:
        """The tree of `file` in UTF-8 and whether nothing is missing; None where it is like no other that was shown."""
        pattern = self._patterns.get(self._key(file, path))
        if pattern is None or file in pattern.files or path in pattern.asked or file.soname in pattern.asked:
            return None  # what asks for the file by its name gets it
        text = pattern.text
        for number, reason in enumerate(_reasons(file, path)):
            text = text.replace(b"\0%d\0" % number, reason.encode("utf-8", "surrogateescape"))
        return path.encode("utf-8", "surrogateescape") + text, pattern.is_complete

    def remember(self, closure: Closure) -> None:
        """Note how this closure looks, for files that are like its root."""
        root = closure.root
        key = self._key(root.summary, root.path)
        if key is None or root.needed_by or root.names or " of " in f"{root.path}{root.summary.rpath}":
            return
        marks = {reason: f"\0{number}\0" for number, reason in enumerate(_reasons(root.summary, root.path))}
        marked = Closure(tuple([_marked(found, marks) for found in closure.objects]), closure.missing)
        lines = ["", *self._trees.lines(marked)[1:], ""]
        self._patterns[key] = _Pattern(closure, "\n".join(lines).encode("utf-8", "surrogateescape"))

    def _key(self, file: Summary, path: str) -> object:
        """What is the same for files that are alike; None for one that is like no other."""
        if file.rpath is None or file.may_have_dlopen_note or self._fresh.environment(file).preload:
            return None
        # The kernel tells a program's real path, which is where $ORIGIN begins (rules.py).
        if file.interpreter is not None and (not self._fresh.files.is_native or os.path.islink(path)):
            return None
        kind = file.interpreter, file.machine, file.elf_class, file.data, file.type, file.flags_1
        return os.path.dirname(path), file.rpath, file.needed, kind


def _reasons(file: Summary, path: str) -> list[str]:
    return [reason_of_rpath(folder, path) for folder in (file.rpath or "").split(":")]


def _marked(found: Found, marks: dict[str, str]) -> Found:
    """The same object; where the reason for its place names the file, with a mark for a reason."""
    place = found.place
    mark = marks.get(place.why) if place.via is Via.RPATH else None
    return found if mark is None else found.at(Place(place.name, place.path, place.via, mark, place.summary))
