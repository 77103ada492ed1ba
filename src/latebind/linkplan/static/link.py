"""`link`: the passes of the static linker, in order."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from latebind.elf import Elf
from latebind.elf import dynamic as dyn
from latebind.elf.archive import Archive
from latebind.elf.symbol import SHN_COMMON, STB_LOCAL, STT_FUNC, STT_OBJECT, STV_HIDDEN
from latebind.errors import Unsupported
from latebind.linkplan.static.apply import Apply
from latebind.linkplan.static.image import HEADERS, SHT_DYNAMIC, Image, dynamic_size
from latebind.linkplan.static.layout import (
    CODE,
    DATA,
    READ,
    RELRO,
    SHT_FINI_ARRAY,
    SHT_PROGBITS,
    Chunk,
    Layout,
    is_dropped,
)
from latebind.linkplan.static.machine import HANDLE, Code
from latebind.linkplan.static.members import Members
from latebind.linkplan.static.relocatable import SHF_EXECINSTR, SHF_TLS, SHF_WRITE, Reference, Relocatable
from latebind.linkplan.static.slots import Slots
from latebind.linkplan.static.symbols import Input, LinkSymbol, SymbolTable
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from latebind.linkplan.static.machine import Target


def link(
    inputs: Sequence[Elf | Archive],
    libraries: Iterable[Elf] = (),
    *,
    wanted: Sequence[str] = (),
    soname: str | None = None,
) -> bytes:
    """Link relocatable objects and archives to a shared object, and return its bytes.

    Objects are taken whole. Of an archive, the members are taken that define what something refers to, or what is in
    `wanted`; where neither says anything (archives alone, no `wanted`) every symbol of the archives is wanted.
    `libraries` are shared objects that the result may need: of each that defines something undefined, its name and
    the symbol's version are noted, as ``ld --as-needed`` does. What they do not define either stays undefined.

    Raises `MalformedElf`, `Unsupported` (a relocation that only works in programs, two definitions, …) with the
    object, section and offset, or `UnresolvedSymbol` for a hidden symbol, or a wanted one, that no input defines.
    """
    table = gather(inputs, wanted)
    target = table.target
    needed = find_versions(table, libraries)
    layout = Layout(target.page)
    take_sections(table, layout)
    _reserve_commons(table, layout)
    _end_frames(layout)
    added = _add_code(table, layout)
    _close_pieces(layout, target)
    layout.sort_constructors()
    dynamic = layout.make(".dynamic", RELRO, bytes(dynamic_size(needed)), kind=SHT_DYNAMIC)
    got = Chunk(".got", None, bytearray(), 0, 8)
    _provide(table, layout, dynamic, got)
    slots = Slots(target)
    slots.scan(c for s in layout for c in s.chunks)
    plt = layout.make(".plt", CODE, target.entry * len(slots.plt), align=16) if slots.plt else None
    got.contents, got.size = bytearray(max(slots.got_size, 8)), max(slots.got_size, 8)
    layout.section(".got", RELRO, SHT_PROGBITS, SHF_WRITE).chunks.append(got)
    header = layout.make(".eh_frame_hdr", READ, bytes(12), align=4) if (READ, ".eh_frame") in layout.sections else None
    end = layout.place(HEADERS)
    apply = Apply(target, slots, got, plt, min((s.address for s in layout if s.flags & SHF_TLS), default=0))
    apply.run((c, bool(s.flags & SHF_WRITE)) for s in layout for c in s.chunks)
    _fill_eh_frame_header(layout, header)
    flags = dyn.DF_BIND_NOW | (dyn.DF_TEXTREL if apply.changes_text else 0)
    flags |= dyn.DF_STATIC_TLS if apply.static_tls else 0
    used = dict.fromkeys(r.symbol for r in apply.left if r.symbol is not None)
    exported = [s for s in table.names.values() if s.exported and s not in used]
    local = [s for i in table.inputs for s in i.symbols if s.binding == STB_LOCAL]
    named = [*local, *added, *table.names.values()]
    return Image(
        target, layout, dynamic, needed, [*used, *exported], named, apply.left, end, flags, header,
        _wants_executable_stack(table), soname,
    ).build()  # fmt: skip


def gather(inputs: Sequence[Elf | Archive], wanted: Sequence[str]) -> SymbolTable:
    """All objects that take part, with their symbols resolved."""
    table = SymbolTable()
    archives = [Members(i) for i in inputs if isinstance(i, Archive)]
    objects = [i for i in inputs if isinstance(i, Elf)]
    for elf in objects:
        table.add(elf)
    table.want(wanted)
    if not objects and not wanted:
        table.want(name for archive in archives for name in archive.definers)
    table.take_members(archives)
    table.check_wanted(wanted, ", ".join(i.path for i in inputs))
    if not table.inputs:
        raise Unsupported(", ".join(i.path for i in inputs), "holds no object to link")
    for name, code in table.target.libc_parts.items():
        if name in table.names and not table.names[name].defined:
            table.want(n for _, _, n in code.references)
    if HANDLE in table.names:
        table.want(n for _, _, n in table.target.finalize.references)
    return table


def find_versions(table: SymbolTable, libraries: Iterable[Elf]) -> list[str]:
    """Note where each undefined symbol will come from; the names of the libraries that are needed."""
    missing = [s for s in table.undefined if s.name]
    needed: list[str] = []
    for library in libraries:
        if not missing:
            break
        name = library.soname or library.path.rpartition("/")[2]
        found = {s: match for s in missing if (match := symbol_table(library).find(s.name)) is not None}
        for symbol, match in found.items():
            symbol.library, symbol.version = name, library.symbols[match[2]].version
        if any(s.wanted for s in found):
            needed.append(name)
        missing = [s for s in missing if s not in found]
    for symbol in table.undefined:
        if symbol.library not in needed:  # only weak references: the library is not needed for them
            symbol.version = None
    return needed


# sections ---------------------------------------------------------------------------------------------------------


def take_sections(table: SymbolTable, layout: Layout) -> None:
    """Make each loaded section of the inputs a chunk, and tell symbols and relocations where they are."""
    chunks: dict[tuple[Relocatable, int], Chunk] = {}
    for taken in table.inputs:
        for section in taken.file.sections:
            if not is_dropped(section) and section.index not in taken.discarded:
                chunks[taken.file, section.index] = layout.add(section, taken.file)
    for taken in table.inputs:
        _connect(taken, chunks)


def _connect(taken: Input, chunks: dict[tuple[Relocatable, int], Chunk]) -> None:
    for symbol in taken.symbols:
        if symbol.file is taken.file and symbol.defined and not symbol.absolute and symbol.section != SHN_COMMON:
            symbol.chunk = chunks.get((taken.file, symbol.section))
            symbol.discarded |= symbol.chunk is None
    for section in taken.file.sections:
        chunk = chunks.get((taken.file, section.index))
        if chunk is None:
            continue
        chunk.references = [(r, taken.symbols[r.symbol]) for r in taken.file.references(section)]
        if chunk.name.startswith((".ctors", ".dtors")):
            _turn_round(chunk)
        elif chunk.name == ".eh_frame":
            _cut_frames(chunk)


def _turn_round(chunk: Chunk) -> None:
    """.ctors run from the last to the first, .init_array from the first; .dtors and .fini_array likewise."""
    words = [chunk.contents[at : at + 8] for at in range(0, chunk.size, 8)]
    chunk.contents = bytearray(b"".join(reversed(words)))
    chunk.references = [(r._replace(offset=chunk.size - 8 - r.offset), s) for r, s in chunk.references]


def _cut_frames(chunk: Chunk) -> None:
    """Inputs follow each other without a gap, and without the zero word that ends the whole."""
    at = 0
    length = 0
    while at + 4 <= chunk.size:
        (length,) = struct.unpack_from("<I", chunk.contents, at)
        if length == 0:
            break
        at += 4 + length
    if at > chunk.size or length == 0xFFFFFFFF:
        owner = chunk.file.name if chunk.file is not None else ""
        raise Unsupported(owner, ".eh_frame has a record that reaches beyond its end, or a 64-bit one")
    del chunk.contents[at:]
    chunk.size, chunk.align = at, 4


def _end_frames(layout: Layout) -> None:
    if (READ, ".eh_frame") in layout.sections:
        layout.make(".eh_frame", READ, bytes(4), align=4)


def _fill_eh_frame_header(layout: Layout, header: Chunk | None) -> None:
    """Version 1, where .eh_frame is, and no search table: unwinders then read .eh_frame itself (LSB, 10.6.2)."""
    if header is not None:
        frames = layout.sections[READ, ".eh_frame"].address
        header.contents[:] = struct.pack("<4Bii", 1, 0x1B, 0xFF, 0xFF, frames - (header.address + 4), 0)


def _reserve_commons(table: SymbolTable, layout: Layout) -> None:
    for symbol in table.names.values():
        if symbol.common:
            symbol.chunk, symbol.value = layout.reserve(symbol.name, symbol.size, symbol.value), 0


def _wants_executable_stack(table: SymbolTable) -> bool:
    """An object asks for it with an executable .note.GNU-stack; one without that section does not, here."""
    return any(s.name == ".note.GNU-stack" and s.flags & SHF_EXECINSTR for i in table.inputs for s in i.file.sections)


# what the linker defines ------------------------------------------------------------------------------------------


def _define(table: SymbolTable, name: str, chunk: Chunk, value: int = 0) -> None:
    """Define what inputs refer to and only the linker knows."""
    symbol = table.names.get(name)
    if symbol is not None and not symbol.defined:
        symbol.defined, symbol.chunk, symbol.value, symbol.visibility = True, chunk, value, STV_HIDDEN
        symbol.type, symbol.library, symbol.version = STT_OBJECT, None, None


def _add_code(table: SymbolTable, layout: Layout) -> list[LinkSymbol]:
    """What a compiler's start files and the static part of glibc would bring: see `machine`."""
    for name, code in table.target.libc_parts.items():
        symbol = table.names.get(name)
        if symbol is not None and not symbol.defined and symbol.library is None:
            _define(table, name, _code(code, table, layout))
            symbol.type = STT_FUNC
    handle = table.names.get(HANDLE)
    if handle is None or handle.defined:
        return []
    place = layout.make(".data.rel.ro", RELRO, bytes(8))
    _define(table, HANDLE, place)
    place.references = [(Reference(0, table.target.dynamic.absolute, 0, 0), handle)]
    chunk = _code(table.target.finalize, table, layout)
    function = LinkSymbol("latebind_finalize", STB_LOCAL, STT_FUNC, STV_HIDDEN, chunk.size, defined=True, chunk=chunk)
    array = layout.make(".fini_array.00000", RELRO, bytes(8), kind=SHT_FINI_ARRAY)
    array.references = [(Reference(0, table.target.dynamic.absolute, 0, 0), function)]
    return [function]


def _code(code: Code, table: SymbolTable, layout: Layout) -> Chunk:
    chunk = layout.make(".text", CODE, code.code, align=16)
    chunk.references = [
        (Reference(at, kind, 0, table.target.own_addend), table.get(name)) for at, kind, name in code.references
    ]
    return chunk


def _close_pieces(layout: Layout, target: Target) -> None:
    """Make a function of the pieces of .init and of .fini, where there are any."""
    for name in (".init", ".fini"):
        section = layout.sections.get((CODE, name))
        if section is not None:
            start = Chunk(name, None, bytearray(target.pieces_start), len(target.pieces_start), 16)
            end = Chunk(name, None, bytearray(target.pieces_end), len(target.pieces_end), len(target.no_operation))
            section.chunks = [start, *section.chunks, end]


_ENDS: Final = dict.fromkeys(("_etext", "etext"), (CODE, RELRO)) | dict.fromkeys(
    ("_end", "end", "_edata", "edata"), (DATA, RELRO)
)
"""Ends of parts, for those few who ask: which part, and which one where that is empty."""


def _provide(table: SymbolTable, layout: Layout, dynamic: Chunk, got: Chunk) -> None:
    _define(table, "_DYNAMIC", dynamic)
    _define(table, "_GLOBAL_OFFSET_TABLE_", got)
    start = Chunk("", None, bytearray(), 0, 1)
    for name in ("__ehdr_start", "__executable_start"):
        _define(table, name, start)
    sections = {s.name: s for s in layout}
    for name in [n for n, s in table.names.items() if not s.defined]:
        bound = re.fullmatch(r"__(start|stop)_(\w+)", name)
        array = re.fullmatch(r"__(init|fini|preinit)_array_(start|end)", name)
        if bound is not None and bound[2] in sections:
            _define(table, name, _edge(sections[bound[2]].chunks, at_end=bound[1] == "stop"))
        elif name in _ENDS:
            part = next(p for p in _ENDS[name] if layout.part(p))
            _define(table, name, _edge(layout.part(part)[-1].chunks, at_end=True))
        elif array is not None:
            section = sections.get(f".{array[1]}_array")
            _define(table, name, dynamic if section is None else _edge(section.chunks, at_end=array[2] == "end"))


def _edge(chunks: list[Chunk], *, at_end: bool) -> Chunk:
    """A mark at the start or the end of a section."""
    mark = Chunk("", None, bytearray(), 0, 1)
    if at_end:
        chunks.append(mark)
    else:
        chunks.insert(0, mark)
    return mark
