"""What an ELF file says, table by table, in the specification's words. inspect_document.py says the same as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from latebind.elf.known_note import describe, note_type_name
from latebind.elf.symbol import SHN_ABS, SHN_COMMON, SHN_UNDEF
from latebind.view.look import PLAIN, Look
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from latebind.elf import Elf, Relocation, Symbol
    from latebind.elf.archive import Archive
    from latebind.elf.memory import MappedObject

_SECTION_FLAGS: Final = {
    0x1: "W",
    0x2: "A",
    0x4: "X",
    0x10: "M",
    0x20: "S",
    0x200: "G",
    0x400: "T",
    0x800: "C",
}  # gABI, sh_flags


def header(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """What kind of file it is, and the few facts that say most about it."""
    h = elf.header
    order = "little-endian" if h.data == 1 else "big-endian"
    yield f"{h.type_name}, {h.machine_name}, {h.bits}-bit, {order}, entry point {h.entry:#x}"
    facts = {
        "interpreter": elf.interpreter,
        "oldest kernel": elf.abi_tag,
        "properties": "; ".join(map(str, elf.properties)),
        "soname": elf.soname,
        "build-id": elf.build_id,
        "flags": " ".join(elf.dynamic.flag_names),
        "needs": ", ".join(elf.dynamic.needed),
        "rpath": elf.dynamic.rpath,
        "runpath": elf.dynamic.runpath,
        "may open": "; ".join(
            f"{' or '.join(d.sonames)} ({d.priority}{': ' + d.feature if d.feature else ''})"
            for d in elf.optional_dependencies
        ),
        "plugin": "; ".join(f"{r.kind} {' '.join(r.strings[:2])}" for r in elf.plugin_records),
    }
    yield from (look.fit(("dim", name), ("", f": {value}")) for name, value in facts.items() if value)


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


def static_symbols(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The symbols of .symtab."""
    rows = (
        (str(s.index), f"{s.value:#x}", str(s.size), s.type_name, s.binding_name, section_of(elf, s), s.name)
        for s in elf.static_symbols[1:]
    )
    return table(("#", "VALUE", "SIZE", "TYPE", "BINDING", "SECTION", "NAME"), rows, right="# VALUE SIZE", look=look)


def section_of(elf: Elf, symbol: Symbol) -> str:
    """The name of the section that `symbol` belongs to, or UNDEF, ABS, COMMON."""
    special = {SHN_UNDEF: "UNDEF", SHN_ABS: "ABS", SHN_COMMON: "COMMON"}
    if symbol.section in special:
        return special[symbol.section]
    return elf.sections[symbol.section].name if symbol.section < len(elf.sections) else f"{symbol.section:#x}"


def relocations(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The dynamic relocations: the place, the type, and what it refers to."""
    names = [look.readable_version(s.versioned_name) for s in elf.symbols]
    rows = ((f"{r.offset:#x}", r.type_name, _name(names, r.symbol), _addend(r)) for r in elf.relocations)
    return table(("PLACE", "TYPE", "SYMBOL", "ADDEND"), rows, right="PLACE", look=look, roles={"SYMBOL": "name"})


def section_relocations(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The relocations of a relocatable file, or those that the linker kept."""
    rows = []
    for group in elf.section_relocations:
        names = [s.name or section_of(elf, s) for s in group.symbols]
        where = group.target.name if group.target else group.section.name
        rows += [(where, f"{r.offset:#x}", r.type_name, _name(names, r.symbol), _addend(r)) for r in group.entries]
    return table(("SECTION", "PLACE", "TYPE", "SYMBOL", "ADDEND"), rows, right="PLACE", look=look)


def _name(names: list[str], index: int) -> str:
    if not index:
        return ""
    return names[index] if index < len(names) else f"symbol {index}, which does not exist"


def _addend(relocation: Relocation) -> str:
    return "" if relocation.addend is None else f"{relocation.addend:#x}"


def versions(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The versions that the file defines, and those that it needs from others."""
    rows = [("defines", d.name, ", ".join(d.parents)) for d in elf.version_definitions]
    rows += [("needs", n.name, n.file) for n in elf.version_needs]
    return table(("", "VERSION", "FROM"), rows, look=look, roles={"VERSION": "name"})


def notes(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The notes, those of known owners in words."""
    found = (*elf.notes, *elf.section_notes)
    rows = [(n.owner, note_type_name(n), describe(elf.source, n)) for n in found]
    return table(("OWNER", "TYPE", "WHAT"), rows, look=look)


def hashes(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The symbol hash tables and how well they work."""
    rows = (
        (
            h.kind, str(h.buckets), str(h.symbols), str(h.longest), f"{h.average:.2f}",
            f"{h.bloom_fill:.0%}" if h.bloom_words else "",
            " ".join(f"{length}:{count}" for length, count in h.lengths),
        )
        for h in elf.hash_tables
    )  # fmt: skip
    head = ("KIND", "BUCKETS", "SYMBOLS", "LONGEST", "STEPS", "BLOOM-FILL", "BUCKETS-BY-CHAIN-LENGTH")
    return table(head, rows, right="BUCKETS SYMBOLS LONGEST STEPS BLOOM-FILL", look=look)


def init(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """What runs at the start and at the end."""
    rows = (
        (
            f.kind,
            "" if f.place is None else f"{f.place:#x}",
            "" if f.address is None else f"{f.address:#x}",
            f.symbol or "",
        )
        for f in elf.init_functions
    )
    return table(("TABLE", "PLACE", "ADDRESS", "FUNCTION"), rows, right="PLACE ADDRESS", look=look)


def got(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The global offset table, slot by slot."""
    rows = ((f"{s.place:#x}", s.section, s.kind, s.relocation, s.name) for s in elf.got)
    return table(("PLACE", "SECTION", "KIND", "RELOCATION", "SYMBOL"), rows, right="PLACE", look=look)


def plt(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The procedure linkage table, stub by stub."""
    rows = ((f"{s.address:#x}", s.section, f"{s.slot:#x}", s.name) for s in elf.plt)
    return table(("ADDRESS", "SECTION", "SLOT", "SYMBOL"), rows, right="ADDRESS SLOT", look=look)


def core(elf: Elf, look: Look = PLAIN) -> Iterator[str]:
    """The process that a core file describes."""
    found = elf.core
    if found is None:
        return iter(())
    rows = [("process", str(found.process), found.arguments or found.command)]
    if found.signal:
        rows.append(("signal", str(found.signal), "" if found.fault is None else f"at {found.fault:#x}"))
    for thread in found.threads:
        registers = " ".join(f"{name}={value:#x}" for name, value in thread.registers)
        rows.append(("thread", str(thread.id), registers))
    rows += [("file", f"{f.start:#x}-{f.end:#x}", f"{f.path} from {f.offset:#x}") for f in found.files]
    rows += [("auxv", name, f"{value:#x}") for name, value in found.auxiliary]
    return table(("WHAT", "WHICH", "VALUE"), rows, look=look)


def members(archive: Archive) -> Iterator[str]:
    """The members of a static archive, with the symbols that its index has of each."""
    counts = Counter(header for _, header in archive.symbols)
    rows = ((f"{m.header:#x}", str(m.size), str(counts[m.header]), m.path or m.name) for m in archive.members)
    return table(("OFFSET", "SIZE", "SYMBOLS", "NAME"), rows, right="OFFSET SIZE SYMBOLS")


def objects(found: tuple[MappedObject, ...]) -> Iterator[str]:
    """The objects that a process has mapped."""
    rows = ((f"{o.start:#x}", f"{o.end:#x}", o.path) for o in found)
    return table(("START", "END", "OBJECT"), rows, right="START END")


TABLES: Final[dict[str, Callable[[Elf, Look], Iterator[str]]]] = {
    "header": header,
    "segments": segments,
    "sections": sections,
    "dynamic": dynamic,
    "symbols": symbols,
    "static-symbols": static_symbols,
    "relocations": relocations,
    "section-relocations": section_relocations,
    "versions": versions,
    "notes": notes,
    "hash": hashes,
    "init": init,
    "got": got,
    "plt": plt,
    "core": core,
}
