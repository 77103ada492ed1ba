"""What an ELF file says, table by table, as `latebind inspect --json` prints it: schema 1, numbers as numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from latebind.elf.known_note import describe, note_type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.elf import Elf, Symbol
    from latebind.elf.archive import Archive
    from latebind.elf.memory import MappedObject


def document(elf: Elf, tables: tuple[str, ...]) -> dict[str, Any]:
    """The named `tables` as `latebind inspect --json` prints them: schema 1, numbers as numbers."""
    return {"schema": 1, "file": elf.path, **{name: _DOCUMENTS[name](elf) for name in tables}}


def members_document(archive: Archive) -> dict[str, Any]:
    """The members of a static archive and its symbol index."""
    return {
        "schema": 1,
        "file": archive.path,
        "thin": archive.thin,
        "members": [asdict(m) for m in archive.members],
        "symbols": [{"name": name, "member": header} for name, header in archive.symbols],
    }


def objects_document(pid: int, found: tuple[MappedObject, ...]) -> dict[str, Any]:
    """The objects that process `pid` has mapped."""
    return {"schema": 1, "process": pid, "objects": [asdict(o) for o in found]}


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
        "oldest_kernel": None if elf.abi_tag is None else str(elf.abi_tag),
        "properties": [asdict(p) for p in elf.properties],
        "may_open": [asdict(d) for d in elf.optional_dependencies],
        "package": elf.package,
        "plugin": [asdict(r) for r in elf.plugin_records],
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
    "static-symbols": lambda elf: [_symbol_document(s) for s in elf.static_symbols[1:]],
    "section-relocations": lambda elf: [
        {
            "section": g.section.name, "changes": g.target.name if g.target else None,
            "entries": [
                {"place": r.offset, "type": r.type_name, "symbol": r.symbol or None, "addend": r.addend}
                for r in g.entries
            ],
        }
        for g in elf.section_relocations
    ],
    "versions": lambda elf: {
        "defines": [{"name": d.name, "parents": list(d.parents)} for d in elf.version_definitions],
        "needs": [{"name": n.name, "file": n.file, "weak": n.weak} for n in elf.version_needs],
    },
    "notes": lambda elf: [
        {
            "owner": n.owner, "type": n.type, "type_name": note_type_name(n), "what": describe(elf.source, n),
            "bytes": n.desc.hex(),
        }
        for n in (*elf.notes, *elf.section_notes)
    ],
    "hash": lambda elf: [
        {**asdict(h), "longest": h.longest, "steps": h.average, "bloom_fill": h.bloom_fill} for h in elf.hash_tables
    ],
    "init": lambda elf: [asdict(f) for f in elf.init_functions],
    "got": lambda elf: [asdict(s) for s in elf.got],
    "plt": lambda elf: [asdict(s) for s in elf.plt],
    "core": lambda elf: None if elf.core is None else asdict(elf.core),
}  # fmt: skip
