"""The closures of files, printed: what `latebind deps` does where it draws no picture."""

from __future__ import annotations

import os

from latebind.cli.files import for_each, open_summary, print_document, print_lines
from latebind.search import Files, fresh_closure, graph_for
from latebind.search.environment import environment_for
from latebind.search.fresh import check_loadable
from latebind.view.deps import Trees, document, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.view.look import Look


def print_closures(
    files: Sequence[str], style: str, look: Look, *, root: str | None = None, library_path: tuple[str, ...] = ()
) -> int:
    """Print what would be loaded with each of `files`, as a ``"tree"``, ``"list"`` or ``"json"``; the exit status.

    `root` is the folder below which every path is looked up, `library_path` what is searched before LD_LIBRARY_PATH.
    """
    known = Files(root)  # shared by all files, so that each object is read once
    variables = dict(os.environ) if known.is_native else {}
    trees = Trees(look)

    def report(name: str) -> bool:
        file = open_summary(name, known, library_path)
        check_loadable(file)
        env = environment_for(file, known, variables).with_library_path(library_path)
        if style == "tree" and look.is_plain:
            graph = graph_for(file, known, env)
            root = None if graph is None else graph.root(file)
            if root is not None:
                print_lines([trees.text(root)])
                return True
        closure = fresh_closure(file, known, env)
        if style == "json":
            print_document(document(closure))
        else:
            print_lines(trees.lines(closure) if style == "tree" else listing(closure, look))
        return not closure.missing

    return for_each(files, report)
