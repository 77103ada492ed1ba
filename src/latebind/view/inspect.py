"""What an ELF file says, table by table, in the specification's words: as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from latebind.view.look import PLAIN, Look
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latebind.elf import Elf, Symbol

_SECTION_FLAGS: Final = {0x1: "W", 0x2: "A", 0x4: "X", 0x10: "M", 0x20: "S", 0x400: "T"}  # gABI, sh_flags


def header(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """What kind of file it is, and the few facts that say most about it."""
    h = elf.header
    order = "little-endian" if h.data == 1 else "big-endian"
    yield f"{h.type_name}, {h.machine_name}, {h.bits}-bit, {order}, entry point {h.entry:#x}"
    facts = {
        "interpreter": elf.interpreter,
        "soname": elf.soname,
        "build-id": elf.build_id,
        "flags": " ".join(elf.dynamic.flag_names),
        "needs": ", ".join(elf.dynamic.needed),
        "rpath": elf.dynamic.rpath,
        "runpath": elf.dynamic.runpath,
    }
    yield from (f"{look.paint('dim', name)}: {value}" for name, value in facts.items() if value)


def segments(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The program headers."""
    rows = (
        (s.type_name, s.permissions, *(f"{n:#x}" for n in (s.offset, s.vaddr, s.filesz, s.memsz, s.align)))
        for s in elf.segments
    )
    return table(
        ("TYPE", "ACCESS", "OFFSET", "ADDRESS", "IN-FILE", "IN-MEMORY", "ALIGN"),
        rows,
        right="OFFSET ADDRESS IN-FILE IN-MEMORY ALIGN",
        look=look,
        roles={"TYPE": "name"},
    )


def sections(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The section headers."""
    rows = (
        (
            str(s.index),
            s.name,
            s.type_name,
            "".join(letter for bit, letter in _SECTION_FLAGS.items() if s.flags & bit),
            *(f"{n:#x}" for n in (s.addr, s.offset, s.size)),
        )
        for s in elf.sections
    )
    head = ("#", "NAME", "TYPE", "FLAGS", "ADDRESS", "OFFSET", "SIZE")
    return table(head, rows, right="# ADDRESS OFFSET SIZE", look=look, roles={"NAME": "name"})


def dynamic(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The dynamic section, in file order."""
    rows = (
        (e.tag_name, f"{e.value:#x}" if e.string is None else e.string) for e in elf.dynamic.entries
    )  # a tag that means a string shows the string
    return table(("TAG", "VALUE"), rows, look=look, roles={"TAG": "name"})


def symbols(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The dynamic symbols with their versions."""
    rows = (
        (
            str(s.index),
            f"{s.value:#x}",
            str(s.size),
            s.type_name,
            s.binding_name,
            s.visibility_name,
            "defined" if s.defined else "undefined",
            look.readable_version(s.versioned_name),
        )
        for s in elf.symbols[1:]
    )
    head = ("#", "VALUE", "SIZE", "TYPE", "BINDING", "VISIBILITY", "HERE", "NAME")
    return table(head, rows, right="# VALUE SIZE", look=look, roles={"NAME": "name"})


def relocations(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The dynamic relocations: the place, the type, and what it refers to."""
    names = elf.symbols
    rows = (
        (
            f"{r.offset:#x}",
            r.type_name,
            look.readable_version(_symbol(names, r.symbol)),
            "" if r.addend is None else f"{r.addend:#x}",
        )
        for r in elf.relocations
    )
    return table(("PLACE", "TYPE", "SYMBOL", "ADDEND"), rows, right="PLACE", look=look, roles={"SYMBOL": "name"})


def _symbol(names: Sequence[Symbol], index: int) -> str:
    if not index:
        return ""
    return names[index].versioned_name if index < len(names) else f"symbol {index}, which does not exist"


def versions(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The versions that the file defines, and those that it needs from others."""
    rows = [("defines", d.name, ", ".join(d.parents)) for d in elf.version_definitions]
    rows += [("needs", n.name, n.file) for n in elf.version_needs]
    return table(("", "VERSION", "FROM"), rows, look=look, roles={"VERSION": "name"})


def notes(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The notes."""
    rows = ((n.owner, f"{n.type:#x}", n.desc.hex(" ", -4)) for n in elf.notes)
    return table(("OWNER", "TYPE", "BYTES"), rows, look=look, roles={"OWNER": "name"})


TABLES: Final[dict[str, Callable[[Elf, Look], Iterator[str]]]] = {
    "header": header,
    "segments": segments,
    "sections": sections,
    "dynamic": dynamic,
    "symbols": symbols,
    "relocations": relocations,
    "versions": versions,
    "notes": notes,
}


def document(elf: Elf, tables: tuple[str, ...]) -> dict[str, Any]:
    """The named `tables` as `latebind inspect --json` prints them: schema 1, numbers as numbers."""
    return {"schema": 1, "file": elf.path, **{name: _DOCUMENTS[name](elf) for name in tables}}


def _header_document(elf: Elf) -> dict[str, Any]:
    h = elf.header
    return {
        "type": h.type_name,
        "machine": h.machine_name,
        "bits": h.bits,
        "byte_order": "little" if h.data == 1 else "big",
        "entry": h.entry,
        "interpreter": elf.interpreter,
        "soname": elf.soname,
        "build_id": elf.build_id,
        "needed": list(elf.dynamic.needed),
        "rpath": elf.dynamic.rpath,
        "runpath": elf.dynamic.runpath,
        "flags": list(elf.dynamic.flag_names),
    }


def _symbol_document(symbol: Symbol) -> dict[str, Any]:
    return {
        "index": symbol.index,
        "name": symbol.name,
        "version": symbol.version,
        "default": symbol.default,
        "defined": symbol.defined,
        "value": symbol.value,
        "size": symbol.size,
        "type": symbol.type_name,
        "binding": symbol.binding_name,
        "visibility": symbol.visibility_name,
    }


_DOCUMENTS: Final[dict[str, Callable[[Elf], Any]]] = {
    "header": _header_document,
    "segments": lambda elf: [
        {
            "type": s.type_name, "access": s.permissions, "offset": s.offset, "address": s.vaddr,
            "file_size": s.filesz, "memory_size": s.memsz, "align": s.align,
        }
        for s in elf.segments
    ],
    "sections": lambda elf: [
        {
            "index": s.index, "name": s.name, "type": s.type_name, "flags": s.flags, "address": s.addr,
            "offset": s.offset, "size": s.size,
        }
        for s in elf.sections
    ],
    "dynamic": lambda elf: [{"tag": e.tag_name, "value": e.value, "string": e.string} for e in elf.dynamic.entries],
    "symbols": lambda elf: [_symbol_document(s) for s in elf.symbols[1:]],
    "relocations": lambda elf: [
        {"place": r.offset, "type": r.type_name, "symbol": r.symbol or None, "addend": r.addend}
        for r in elf.relocations
    ],
    "versions": lambda elf: {
        "defines": [{"name": d.name, "parents": list(d.parents)} for d in elf.version_definitions],
        "needs": [{"name": n.name, "file": n.file, "weak": n.weak} for n in elf.version_needs],
    },
    "notes": lambda elf: [{"owner": n.owner, "type": n.type, "bytes": n.desc.hex()} for n in elf.notes],
}  # fmt: skip
