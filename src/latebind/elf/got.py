"""The global offset table: which slot belongs to which symbol.

Nothing in a file lists its slots. They are the places that relocations of the GOT's types fill in (JUMP_SLOT for
calls through the PLT, GLOB_DAT for data and addresses, the TLS types) and every other relocated word inside a section
called `.got…`. MIPS relocates its table without relocations: its global part runs parallel to the end of the dynamic
symbol table (MIPS psABI, "Global Offset Table").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import VirtualAddress
from latebind.elf.relocation import relocation_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.relocation import Relocation
    from latebind.elf.section import Section
    from latebind.elf.symbol import Symbol

_KINDS: Final = (
    ("JUMP_SLOT", "call"), ("JMP_SLOT", "call"), ("GLOB_DAT", "data"), ("TLSDESC", "tls"), ("TLS_DESC", "tls"),
    ("DTPMOD", "tls"), ("DTPOFF", "tls"), ("DTPREL", "tls"), ("TPOFF", "tls"), ("TPREL", "tls"),
    ("IRELATIVE", "ifunc"), ("_RELATIVE", "own"),
)  # fmt: skip
_EM_MIPS: Final = 8


@dataclass(frozen=True, slots=True)
class GotSlot:
    """One slot: its address, the section that holds it ("" in a file without), and what fills it in.

    `kind` is ``"call"`` (a function called through the PLT), ``"data"`` (an address), ``"tls"``, ``"ifunc"`` (what a
    resolver answers), ``"own"`` (an address in this file) or ``"reserved"`` (the dynamic linker's own). `symbol` is
    the index of the dynamic symbol, 0 for none; `name` has its version. `relocation` is the type's name.
    """

    place: VirtualAddress
    section: str
    kind: str
    symbol: int
    name: str
    addend: int | None
    relocation: str


def read_got(
    source: ByteSource,
    machine: int,
    values: Mapping[int, int],
    sections: Sequence[Section],
    relocations: Sequence[Relocation],
    symbols: Sequence[Symbol],
) -> tuple[GotSlot, ...]:
    """Every slot, ordered by address. `values` are the dynamic section's."""
    tables = [s for s in sections if s.name == ".got" or s.name.startswith((".got.", ".igot", ".plt.got"))]
    tables = [s for s in tables if not s.flags & 4 and s.addr]
    source.spend("sections called .got", len(tables) * max(1, len(relocations)))
    kinds = {kind: _kind(relocation_name(machine, kind)) for kind in {r.type for r in relocations}}
    found = {}
    for relocation in relocations:
        kind = kinds[relocation.type]
        section = next((s.name for s in tables if s.addr <= relocation.offset < s.addr + s.size), "")
        if section or kind not in {"", "own"}:
            found[relocation.offset] = _slot(source, relocation, section, kind or "data", symbols)
    for slot in _mips(source, values, symbols) if machine == _EM_MIPS else ():
        found.setdefault(slot.place, slot)
    for slot in _reserved(source, values, sections, machine):
        found.setdefault(slot.place, slot)
    return tuple(found[place] for place in sorted(found))


def _kind(relocation: str) -> str:
    if "COPY" in relocation:
        return ""
    return next((kind for part, kind in _KINDS if part in relocation), "")


def _slot(source: ByteSource, relocation: Relocation, section: str, kind: str, symbols: Sequence[Symbol]) -> GotSlot:
    if relocation.symbol >= max(1, len(symbols)):
        raise source.malformed(
            f"the relocation at {relocation.offset:#x} refers to symbol {relocation.symbol}, beyond the table"
        )
    name = symbols[relocation.symbol].versioned_name if relocation.symbol else ""
    return GotSlot(
        VirtualAddress(relocation.offset),
        section,
        kind,
        relocation.symbol,
        name,
        relocation.addend,
        relocation.type_name,
    )


def _reserved(
    source: ByteSource, values: Mapping[int, int], sections: Sequence[Section], machine: int
) -> Iterator[GotSlot]:
    """The first three slots at DT_PLTGOT, where the machine has them (x86, Arm: psABI, "Procedure Linkage Table")."""
    start = values.get(dyn.DT_PLTGOT)
    if start is None or machine not in {3, 62, 40, 183}:
        return
    section = next((s.name for s in sections if s.name.startswith(".got") and s.addr <= start < s.addr + s.size), "")
    for index, name in enumerate(("address of the dynamic section", "link map", "resolver")):
        yield GotSlot(VirtualAddress(start + index * source.word), section, "reserved", 0, name, None, "")


def _mips(source: ByteSource, values: Mapping[int, int], symbols: Sequence[Symbol]) -> Iterator[GotSlot]:
    start, local, first = (values.get(t) for t in (dyn.DT_PLTGOT, dyn.DT_MIPS_LOCAL_GOTNO, dyn.DT_MIPS_GOTSYM))
    if start is None or local is None or first is None:
        return
    for index, symbol in enumerate(symbols[first:]):
        place = VirtualAddress(start + (local + index) * source.word)
        kind = "call" if symbol.type == 2 else "data"
        yield GotSlot(place, "", kind, symbol.index, symbol.versioned_name, None, "")
