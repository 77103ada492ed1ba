"""What runs before `main` and after `exit` (gABI, "Initialization and Termination Functions").

In the file an entry of DT_INIT_ARRAY is often zero: a relocation fills it in. What it *will* name is therefore read
from the relocation at its place, without executing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import VirtualAddress
from latebind.elf.relocation import RELATIVE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.relocation import Relocation
    from latebind.elf.segment import AddressMap
    from latebind.elf.symbol import Symbol

_ARRAYS: Final = (
    ("PREINIT_ARRAY", dyn.DT_PREINIT_ARRAY, dyn.DT_PREINIT_ARRAYSZ),
    ("INIT_ARRAY", dyn.DT_INIT_ARRAY, dyn.DT_INIT_ARRAYSZ),
    ("FINI_ARRAY", dyn.DT_FINI_ARRAY, dyn.DT_FINI_ARRAYSZ),
)
_EM_ARM: Final = 40


@dataclass(frozen=True, slots=True)
class InitFunction:
    """One function that the dynamic linker calls, in the order of the tables.

    `kind` is the table: PREINIT_ARRAY, INIT, INIT_ARRAY, FINI_ARRAY or FINI. `place` is the address of the entry (None
    for INIT and FINI, which are no tables). `address` is the function's, None where another object defines it.
    `symbol` is its name, None where no symbol table of the file has one.
    """

    kind: str
    place: VirtualAddress | None
    address: VirtualAddress | None
    symbol: str | None


def read_init_functions(
    source: ByteSource,
    values: Mapping[int, int],
    addresses: AddressMap,
    relocations: Sequence[Relocation],
    symbols: Sequence[Symbol],
    names: Mapping[int, str],
) -> tuple[InitFunction, ...]:
    """All of them: what runs at the start first, then what runs at the end.

    `values` are the dynamic section's, `symbols` the dynamic symbols and `names` address → function name.
    """
    tables = [(kind, values[at], values.get(size, 0)) for kind, at, size in _ARRAYS if values.get(at)]
    spans = [range(start, start + size, source.word) for _, start, size in tables]
    by_place = {r.offset: r for r in relocations if any(r.offset in span for span in spans)} if spans else {}
    found = {
        kind: list(_array(source, kind, addresses.offset(start, f"DT_{kind}") if size else 0, span, by_place, symbols))
        for (kind, start, size), span in zip(tables, spans, strict=True)
    }
    for kind, tag in (("INIT", dyn.DT_INIT), ("FINI", dyn.DT_FINI)):
        if values.get(tag):
            found[kind] = [InitFunction(kind, None, VirtualAddress(values[tag]), None)]
    order = ("PREINIT_ARRAY", "INIT", "INIT_ARRAY", "FINI_ARRAY", "FINI")
    return tuple(_named(function, names) for kind in order for function in found.get(kind, ()))


def _named(function: InitFunction, names: Mapping[int, str]) -> InitFunction:
    if function.address is None or function.symbol is not None:
        return function
    name = names.get(function.address)
    return InitFunction(function.kind, function.place, function.address, name)


def _array(
    source: ByteSource,
    kind: str,
    offset: int,
    span: range,
    by_place: Mapping[int, Relocation],
    symbols: Sequence[Symbol],
) -> Iterator[InitFunction]:
    stored = source.numbers(offset, len(span), source.word, f"DT_{kind}")
    mask = (1 << 8 * source.word) - 1
    for place, value in zip(span, stored, strict=True):
        relocation = by_place.get(place)
        if relocation is None:
            if value not in {0, mask}:  # 0 and -1 mark no function
                yield InitFunction(kind, VirtualAddress(place), VirtualAddress(value), None)
            continue
        addend = value if relocation.addend is None else relocation.addend
        if not relocation.symbol:
            if relocation.type != RELATIVE_TYPES.get(relocation.machine):
                addend = value
            yield InitFunction(kind, VirtualAddress(place), VirtualAddress(addend & mask), None)
            continue
        if relocation.symbol >= len(symbols):
            raise source.malformed(
                f"the relocation at {place:#x} refers to symbol {relocation.symbol}, beyond the table"
            )
        symbol = symbols[relocation.symbol]
        address = VirtualAddress(symbol.value + addend & mask) if symbol.defined else None
        yield InitFunction(kind, VirtualAddress(place), address, symbol.name)


def function_names(machine: int, tables: Sequence[Sequence[Symbol]]) -> dict[int, str]:
    """Address → name for every function that `tables` define; earlier tables and global names win."""
    names: dict[int, str] = {}
    for table in reversed(tables):
        functions = [s for s in table if s.type in {2, 10} and s.section and s.name]
        for symbol in sorted(functions, key=lambda s: s.binding != 0):
            names[symbol.value] = symbol.name
            if machine == _EM_ARM:  # bit 0 says Thumb and is no part of the address
                names[symbol.value & ~1] = symbol.name
    return names
