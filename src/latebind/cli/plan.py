"""`latebind plan`: a whole plan on one page or as a document, and what differs between two."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.files import open_file, print_document, print_lines

if TYPE_CHECKING:
    from latebind.linkplan import LinkPlan, PlanRecord


def _planned(file: str, library_path: tuple[str, ...], root: str | None) -> LinkPlan:
    from latebind.linkplan import make_plan
    from latebind.search import Files

    files = Files(root)
    return make_plan(open_file(file, files, library_path), files, library_path=library_path)


@click.group()
def command() -> None:
    """Show what loading a file will do, keep that as a document, and compare two of them. Nothing is executed."""


@command.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="The whole plan as one JSON document, for `plan diff`.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="Search DIR before LD_LIBRARY_PATH's folders.")
@click.option("--root", metavar="DIR", help="Look every path up below DIR: a sysroot or an unpacked image.")
def show(
    file: str,
    as_json: bool,  # noqa: FBT001  (click passes options by keyword)
    library_path: tuple[str, ...],
    root: str | None,
) -> int:
    """Print the plan for FILE: objects, reasons, bindings, the order of constructors."""
    from latebind.linkplan import record

    plan = _planned(file, library_path, root)
    if as_json:
        click.echo(record(plan).to_json())
    else:
        print_lines(str(plan).splitlines())
    return FINDING if plan.missing or plan.unresolved else SUCCESS


@command.command()
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="The differences as one JSON document.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="For AFTER: search DIR first.")
@click.option("--root", metavar="DIR", help="For AFTER: look every path up below DIR.")
def diff(
    before: str,
    after: str,
    as_json: bool,  # noqa: FBT001
    library_path: tuple[str, ...],
    root: str | None,
) -> int:
    """Show what changes from plan BEFORE to plan AFTER: each is an ELF file or a document of `plan show --json`.

    With -L or --root both may name one program: what would change for it with those libraries?
    The exit status is 1 where AFTER breaks something: an object or a definition that BEFORE had is missing.
    """
    from latebind.linkplan import compare
    from latebind.view import plan as view

    found = compare(_record(before, (), None), _record(after, library_path, root))
    if as_json:
        print_document(view.document(found))
    else:
        print_lines(view.differences(found))
    return FINDING if found.breaks else SUCCESS


def _record(name: str, library_path: tuple[str, ...], root: str | None) -> PlanRecord:
    """The plan that `name` means: a document that was kept, or one made now."""
    from latebind.linkplan import PlanRecord, record

    if os.path.isfile(name):
        with open(name, "rb") as f:
            start = f.read(1)
            if start == b"{":
                return PlanRecord.from_json((start + f.read()).decode("utf-8", "replace"), name)
    return record(_planned(name, library_path, root))
