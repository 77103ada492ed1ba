"""`latebind abi`: whether a new build of a library still serves what was linked with the old one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS, complain
from latebind.cli.files import open_file, print_document, print_lines
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from latebind.elf import Elf
    from latebind.linkplan.declarations import Declarations
    from latebind.view.look import Look


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--debug-old", metavar="FILE", help="Debug information of OLD (default: in it, or by its build-id).")
@click.option("--debug-new", metavar="FILE", help="Debug information of NEW.")
@click.option("--symbols-only", is_flag=True, help="Do not read debug information.")
@click.option("--headers", multiple=True, metavar="DIR", help="What callers include: all other types are private.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@look_options
def command(
    old: str,
    new: str,
    debug_old: str | None,
    debug_new: str | None,
    symbols_only: bool,  # noqa: FBT001  (click passes options by keyword)
    headers: tuple[str, ...],
    as_json: bool,  # noqa: FBT001
    look: Look,
) -> int:
    """Compare the interface of the library NEW with that of OLD: exports that went, came or changed.

    Where both have debug information, the signatures of exported functions and the layouts of the types that they
    use are compared too. A type that callers only hold a pointer to and that no header defines is taken for private.
    The exit status is 1 where something breaks that was linked with OLD.
    """
    from latebind.linkplan.abi import compare_abi
    from latebind.search import Files
    from latebind.view import abi

    files = Files()
    before, after = open_file(old, files), open_file(new, files)
    declarations = None if symbols_only else _declarations((before, debug_old), (after, debug_new), headers)
    found = compare_abi(before, after, declarations)
    if as_json:
        print_document(abi.document(found))
    else:
        print_lines(abi.report(found, look))
    return FINDING if found.breaks else SUCCESS


def _declarations(
    old: tuple[Elf, str | None], new: tuple[Elf, str | None], headers: tuple[str, ...]
) -> tuple[Declarations, Declarations] | None:
    """What both builds declare; None, with a message, where one of them has no debug information.

    Without the optional pyelftools it is a message too, unless the debug information was asked for by name.
    """
    from latebind.errors import Unsupported
    from latebind.linkplan.abi import exports
    from latebind.linkplan.declarations import debug_file, read_declarations

    names = {name for folder in headers for _, _, found in os.walk(folder) for name in found}
    known = []
    for elf, given in (old, new):
        path = given or debug_file(elf)
        if path is None:
            complain(f"signatures and layouts are not compared: {elf.path} has no debug information")
            return None
        try:
            known.append(read_declarations(path, {name for name, _ in exports(elf)}, names))
        except Unsupported as error:
            if given or headers:
                raise
            complain(f"signatures and layouts are not compared: {error.why}; {error.do}")
            return None
    return known[0], known[1]
