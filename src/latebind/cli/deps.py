"""`latebind deps`: everything that loading a file pulls in, where each object was found, and by which rule."""

from __future__ import annotations

import click

from latebind.cli.files import for_each, open_file, print_document, print_lines


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--tree", "style", flag_value="tree", default=True, help="Who needs whom (the default).")
@click.option("--list", "style", flag_value="list", help="The objects in load order.")
@click.option("--json", "style", flag_value="json", help="One JSON document a line for each FILE.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="Search DIR before LD_LIBRARY_PATH's folders.")
@click.option("--root", metavar="DIR", help="Look every path up below DIR: a sysroot or an unpacked image.")
def command(files: tuple[str, ...], style: str, library_path: tuple[str, ...], root: str | None) -> int:
    """Show what would be loaded with each FILE, from where, and why. Nothing is executed.

    FILE is a path, or the name of a library (libz.so.1) that is searched for as dlopen does.
    The exit status is 1 where a FILE cannot be read or something that it needs is missing.
    """
    from latebind.linkplan import make_plan
    from latebind.search import Files
    from latebind.view import deps

    known = Files(root)  # shared by all FILEs, so that each object is read once

    def report(file: str) -> bool:
        plan = make_plan(open_file(file, known, library_path), known, library_path=library_path)
        if style == "json":
            print_document(deps.document(plan))
        else:
            print_lines(deps.tree(plan) if style == "tree" else deps.listing(plan))
        return not plan.missing

    return for_each(files, report)
