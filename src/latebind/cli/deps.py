"""`latebind deps`: everything that loading a file pulls in, where each object was found, and by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from latebind.cli.files import for_each, open_file, print_lines, write_page
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan import LinkPlan
    from latebind.search.optional import Optionals
    from latebind.view.look import Look


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--tree", "style", flag_value="tree", default=True, help="Who needs whom (the default).")
@click.option("--list", "style", flag_value="list", help="The objects in load order.")
@click.option("--json", "style", flag_value="json", help="One JSON document a line for each FILE.")
@click.option("--dot", "style", flag_value="dot", help="The graph in the language of Graphviz.")
@click.option(
    "--svg", metavar="PICTURE", help="Draw the graph of one FILE into PICTURE instead (- is standard output)."
)
@click.option("--html", metavar="PAGE", help="Write a page about one FILE: graph, segments, every binding.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="Search DIR before LD_LIBRARY_PATH's folders.")
@click.option("--root", metavar="DIR", help="Look every path up below DIR: a sysroot or an unpacked image.")
@look_options
def command(
    files: tuple[str, ...],
    style: str,
    svg: str | None,
    html: str | None,
    library_path: tuple[str, ...],
    root: str | None,
    look: Look,
) -> int:
    """Show what would be loaded with each FILE, from where, and why. Nothing is executed.

    FILE is a path, or the name of a library (libz.so.1) that is searched for as dlopen does. What an object says that
    it may open at run time (.note.dlopen) is shown as optional, with the place where it would be found now.
    The exit status is 1 where a FILE cannot be read or something that it needs is missing.
    """
    if (svg or html) and len(files) > 1:
        raise click.UsageError("--svg and --html take one FILE")
    if not svg and not html and style != "dot":
        from latebind.cli.closures import print_closures

        return print_closures(files, style, look, root=root, library_path=library_path)

    from latebind.linkplan import make_plan
    from latebind.search import Files, fresh_closure
    from latebind.search.optional import find_optional

    known = Files(root)  # shared by all FILEs, so that each object is read once

    def report(file: str) -> bool:
        plan = make_plan(open_file(file, known, library_path), known, library_path=library_path)
        optionals = find_optional(fresh_closure(plan.root.elf, known, plan.environment), known, plan.environment)
        if svg:
            from latebind.view import draw, graph

            write_page(svg, draw.graph_svg(graph.graph_of(plan, optionals)) + "\n")
        if html:
            from latebind.view.report import page

            write_page(html, page(plan, (b for o in plan.closure for b in plan.bindings_of(o.index)), look, optionals))
        if not svg and not html:
            print_lines(_dot(plan, optionals))
        return not plan.missing

    return for_each(files, report)


def _dot(plan: LinkPlan, optionals: Optionals) -> Iterator[str]:
    from latebind.view import draw, graph

    return draw.dot(graph.graph_of(plan, optionals))
