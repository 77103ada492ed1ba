"""`readelf` on static archives: the index of symbols (-c), and every member as a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.compat.text import file_name
from latebind.elf.archive import parse_archive
from latebind.elf.mapping import map_file
from latebind.elf.symbol_rows import byte_text
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.compat.readelf import Run
    from latebind.elf.archive import Archive, Member
    from latebind.elf.bytesource import type_of_bytes


def show_archive(path: str, name: str, data: type_of_bytes, run: Run) -> bool:
    """Show the archive `data`, called `name`, that is the file at `path`; False if a part could not be shown."""
    try:
        archive = parse_archive(path, data)
    except MalformedElf:
        return run.fail(f"{name}: failed to read archive header")
    if run.options.archive_index:
        _show_index(archive, name, run)
        if run.options.only_index:
            return True
    fine = True
    for member in archive.members:
        fine = _show_member(archive, member, name, run) and fine
    return fine


def _show_index(archive: Archive, name: str, run: Run) -> None:
    if not archive.symbols:
        run.out.write(f"{name} has no archive index\n")
        run.fail(f"{name}: unable to dump the index as none was found")
        return
    header = bytes(archive.data[8:68])  # the index is the first member
    width = 8 if header.startswith(b"/SYM64/") else 4
    size = int(header[48:58]) - width - len(archive.symbols) * width
    run.out.write(f"Index of archive {name}: ({len(archive.symbols)} entries, 0x{size:x} bytes in the symbol table)\n")
    names: dict[int, str] = {member.header: file_name(member.name) for member in archive.members}
    before = -1
    for symbol, at in archive.symbols:
        if at != before:
            run.out.write(f"Contents of binary {name}({names.get(at, '')}) at offset 0x{at:x}\n")
            before = at
        run.out.write(f"\t{byte_text(symbol)}\n")


def _show_member(archive: Archive, member: Member, name: str, run: Run) -> bool:
    shown = f"{name}[{file_name(member.name)}]" if archive.thin else f"{name}({file_name(member.name)})"
    if member.start is not None:
        return run.show_object(shown, archive.data[member.start : member.start + member.size], named=True)
    try:
        data = map_file(member.path or member.name)
    except OSError:
        return run.fail(f"Input file '{file_name(member.path or member.name)}' is not readable.")
    return run.show_object(shown, data, named=True)
