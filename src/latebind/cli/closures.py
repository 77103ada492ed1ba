"""The closures of files, printed: what `latebind deps` does where it draws no picture."""

from __future__ import annotations

import gc
import os

from latebind.cli.files import for_each, is_path, open_summary, print_document, print_lines, utf8_printer, widen_output
from latebind.search import Files, Fresh
from latebind.view.alike import AlikeTrees
from latebind.view.deps import Trees, document, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from latebind.view.look import Look


_MANY: Final = 16
"""Files from which on a thread of its own reads them: it takes as long to start as some of them to read."""


def print_closures(
    files: Sequence[str], style: str, look: Look, *, root: str | None = None, library_path: tuple[str, ...] = ()
) -> int:
    """Print what would be loaded with each of `files`, as a ``"tree"``, ``"list"`` or ``"json"``; the exit status.

    `root` is the folder below which every path is looked up, `library_path` what is searched before LD_LIBRARY_PATH.
    """
    gc.disable()  # what is remembered about files stays until the end, and is walked over again and again for nothing
    known = Files(root)  # shared by all files, so that each object is read once
    many = len(files) >= _MANY
    if many:
        known.read_ahead(name for name in files if "/" in name)
        widen_output()
    fresh = Fresh(known, dict(os.environ) if known.is_native else {}, library_path)
    trees = Trees(look)
    alike = AlikeTrees(fresh, trees)
    shared = style == "tree" and look.is_plain
    print_utf8 = utf8_printer()

    def report(name: str) -> bool:
        if "/" in name or is_path(name, known):
            file, path = known.summary(name), name
        else:
            file = open_summary(name, known, library_path)
            path = file.path
        below = fresh.below(file, path) if shared else None
        if below is not None:
            print_utf8(trees.text(path, below))
            return True
        known_tree = alike.text(file, path) if shared else None
        if known_tree is not None:
            print_utf8(known_tree[0])
            return known_tree[1]
        closure = fresh.closure(file, path)
        optionals = None
        if any(o.summary.may_have_dlopen_note for o in closure.objects):
            from latebind.search.optional import find_optional

            optionals = find_optional(closure, known, fresh.environment(file))
        if style == "json":
            print_document(document(closure, optionals))
        elif style == "tree":
            if shared and many and optionals is None:
                alike.remember(closure)
            print_utf8(("\n".join(trees.lines(closure, optionals)) + "\n").encode("utf-8", "surrogateescape"))
        else:
            print_lines(listing(closure, look, optionals))
        return not closure.missing

    return for_each(files, report)
