"""`latebind inspect`: what is in an ELF file, table by table; also in a static archive, and in a process's memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from latebind.cli.files import for_each, open_file, print_document, print_lines
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from latebind.elf import Elf
    from latebind.elf.archive import Archive
    from latebind.search import Files
    from latebind.view.look import Look

# One option for each of view.inspect.TABLES; named here so that --help imports nothing.
_TABLES: Final = {
    "header": "What kind of file it is.",
    "segments": "The program headers.",
    "sections": "The section headers.",
    "dynamic": "The dynamic section.",
    "symbols": "The dynamic symbols with their versions.",
    "static-symbols": "The symbols of .symtab.",
    "relocations": "The dynamic relocations.",
    "section-relocations": "The relocations by section, as in a relocatable file.",
    "versions": "The versions that it defines and needs.",
    "notes": "The notes.",
    "hash": "The symbol hash tables, with their statistics.",
    "init": "What runs at the start and at the end.",
    "got": "The global offset table: which slot belongs to which symbol.",
    "plt": "The procedure linkage table: which stub calls which symbol.",
    "core": "The process that a core file describes.",
}
_SHOWN_FIRST: Final = ("header", "segments", "dynamic")


def _table_options(function: Callable[..., int]) -> Callable[..., int]:
    for name, text in reversed(_TABLES.items()):
        function = click.option(f"--{name}", "tables", flag_value=name, multiple=True, help=text)(function)
    return function


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@_table_options
@click.option("--all", "everything", is_flag=True, help="All of these.")
@click.option("--pid", type=click.IntRange(min=1), help="Look into the memory of this process.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each FILE.")
@look_options
def command(
    files: tuple[str, ...],
    tables: tuple[str, ...],
    everything: bool,  # noqa: FBT001  (click passes options by keyword)
    pid: int | None,
    as_json: bool,  # noqa: FBT001
    look: Look,
) -> int:
    """Show what is in each ELF FILE: header, segments and dynamic section, or the tables that are asked for.

    FILE can be a static archive, or one of its members: libfoo.a(bar.o). With --pid, FILE names an object that the
    process has mapped, by its path, its last part or its address; without FILE, these objects are listed.
    """
    from latebind.search import Files

    asked = tuple(_TABLES) if everything else tuple(name for name in _TABLES if name in tables)
    if not files and pid is None:
        raise click.UsageError("Missing argument 'FILE...'.")

    known = Files()

    def report(file: str) -> bool:
        if pid is not None:
            _print(_in_process(pid, file), asked, look, as_json=as_json)
            return True
        archive = _archive(file)
        if archive is None:
            _print(_open(file, known), asked, look, as_json=as_json)
        else:
            _print_archive(archive, asked, look, as_json=as_json)
        return True

    if pid is not None and not files:
        return for_each((str(pid),), lambda _: _print_objects(pid, as_json=as_json))
    return for_each(files, report)


def _open(file: str, known: Files) -> Elf:
    from latebind.elf import read
    from latebind.elf.archive import split_member

    member = split_member(file)
    if member is not None and os.path.exists(member[0]) and not os.path.exists(file):
        return read(file)
    return open_file(file, known)


def _archive(file: str) -> Archive | None:
    """The static archive called `file`, or None where it is something else or not there."""
    from latebind.elf import read_archive
    from latebind.elf.archive import is_archive

    if not os.path.isfile(file):
        return None
    try:
        with open(file, "rb") as opened:
            start = opened.read(8)
    except OSError:
        return None  # who opens it as an ELF file says why it cannot be read
    return read_archive(file) if is_archive(start) else None


def _in_process(pid: int, which: str) -> Elf:
    """The object of process `pid` that `which` means: an address, a path, or the last part of one."""
    from latebind.elf import read_process
    from latebind.elf.memory import mapped_objects
    from latebind.errors import NotFound, Tried

    if which.startswith("0x") and which[2:].isalnum():
        try:
            return read_process(pid, int(which, 16))
        except ValueError as e:
            raise click.UsageError(f"{which!r} is not an address") from e
    found = mapped_objects(pid)
    for each in found:
        if which in {each.path, os.path.basename(each.path)}:
            return read_process(pid, each.start)
    tried = tuple(Tried(each.path, "another name") for each in found)
    raise NotFound(which, f"process {pid}", tried)


def _print(elf: Elf, asked: tuple[str, ...], look: Look, *, as_json: bool) -> None:
    from latebind.view import inspect, inspect_document

    chosen = asked or _SHOWN_FIRST
    if as_json:
        print_document(inspect_document.document(elf, chosen))
    else:
        print_lines(_text(elf, chosen, inspect.TABLES, look))


def _print_archive(archive: Archive, asked: tuple[str, ...], look: Look, *, as_json: bool) -> None:
    """The members; each of them table by table where tables are asked for."""
    from latebind.elf import read_member
    from latebind.view import inspect, inspect_document

    if asked:
        for member in archive.members:
            _print(read_member(archive, member), asked, look, as_json=as_json)
    elif as_json:
        print_document(inspect_document.members_document(archive))
    else:
        kind = "thin archive" if archive.thin else "static archive"
        print_lines([archive.path, f"{kind}, {len(archive.members)} members", *inspect.members(archive)])


def _print_objects(pid: int, *, as_json: bool) -> bool:
    from latebind.elf.memory import mapped_objects
    from latebind.view import inspect, inspect_document

    found = mapped_objects(pid)
    if as_json:
        print_document(inspect_document.objects_document(pid, found))
    else:
        print_lines(inspect.objects(found))
    return True


def _text(
    elf: Elf, chosen: tuple[str, ...], tables: dict[str, Callable[[Elf, Look], Iterator[str]]], look: Look
) -> Iterator[str]:
    yield look.paint("head", elf.path)
    for name in chosen:
        lines = list(tables[name](elf, look.inside(2)))
        if name != "header":
            yield ""
            yield f"{name}: {len(lines) - 1}" if lines else f"no {name}"
        yield from (f"  {line}" for line in lines)
