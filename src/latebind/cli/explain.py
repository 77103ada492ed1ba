"""`latebind explain`: which definition each reference of a file binds to, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.files import for_each, open_file, print_document, print_lines, write_page
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from latebind.linkplan import Binding, LinkPlan
    from latebind.view.look import Look


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE... [SYMBOL...]")
@click.option("--symbol", "-s", "symbols", multiple=True, metavar="NAME", help="Only references to NAME.")
@click.option("--closure", is_flag=True, help="The references of every object, not only of FILE itself.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each FILE.")
@click.option("--html", metavar="PAGE", help="Write a page about one FILE: graph, segments, these bindings.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="Search DIR before LD_LIBRARY_PATH's folders.")
@click.option("--root", metavar="DIR", help="Look every path up below DIR: a sysroot or an unpacked image.")
@look_options
def command(
    files: tuple[str, ...],
    symbols: tuple[str, ...],
    closure: bool,  # noqa: FBT001  (click passes options by keyword)
    as_json: bool,  # noqa: FBT001
    html: str | None,
    library_path: tuple[str, ...],
    root: str | None,
    look: Look,
) -> int:
    """Show which definition each reference of FILE binds to, and why. Nothing is executed.

    An argument behind the first that is no file and has neither slash nor ".so" in it is a SYMBOL, as with --symbol.
    The exit status is 1 where a FILE cannot be read, a reference has no definition, or a SYMBOL is not referred to.
    """
    from latebind.linkplan import make_plan
    from latebind.search import Files
    from latebind.view import explain

    paths, wanted = _sort_out(files, symbols)
    if html and len(paths) > 1:
        raise click.UsageError("--html takes one FILE")
    known = Files(root)

    def report(file: str) -> bool:
        plan = make_plan(open_file(file, known, library_path), known, library_path=library_path)
        found = _bindings(plan, closure=closure)
        chosen = [b for b in found if b.symbol in wanted] if wanted else found
        if html:
            from latebind.view.report import page

            write_page(html, page(plan, chosen, look))
        elif as_json:
            print_document(explain.document(plan, chosen))
        elif wanted:
            absent = [name for name in wanted if all(b.symbol != name for b in chosen)]
            lines = [line for b in chosen for line in explain.one(plan, b, look)]
            print_lines([*lines, *(line for name in absent for line in explain.absent(plan, name, look))])
        else:
            print_lines([f"{plan.root.path}: {len(chosen)} references", *explain.overview(plan, chosen, look)])
        complete = all(any(b.symbol == name for b in chosen) for name in wanted)
        return complete and all(b.target is not None or b.weak for b in chosen)

    return for_each(paths, report)


def _bindings(plan: LinkPlan, *, closure: bool) -> list[Binding]:
    indexes = range(len(plan.closure)) if closure else (0,)
    return [binding for index in indexes for binding in plan.bindings_of(index)]


def _sort_out(arguments: tuple[str, ...], symbols: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Which arguments are files, and which are names of symbols."""
    files, names = [arguments[0]], list(symbols)
    for argument in arguments[1:]:
        is_file = "/" in argument or ".so" in argument or os.path.exists(argument)
        (files if is_file else names).append(argument)
    return files, names
