"""Binding the references of one object in a scope: the bulk work is the core's (match.c); here stand the policies.

A reference's *class* decides what counts as a definition: a call never binds to a program's own PLT entry, a copy
relocation passes the program over (glibc's `elf_machine_type_class`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.symbol import SHN_ABS, STB_GNU_UNIQUE, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_TLS
from latebind.errors import MalformedElf
from latebind.linkplan.binding import Binding, How, Kind
from latebind.linkplan.machines import MACHINES, UNKNOWN
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf import Elf

ADDRESS, PLT, COPY = 0, 1, 2

_SPECIAL: Final = {STT_FUNC: Kind.FUNCTION, STT_GNU_IFUNC: Kind.IFUNC, STT_TLS: Kind.TLS}
_KINDS: Final = tuple(_SPECIAL.get(kind, Kind.DATA) for kind in range(16))  # by ELF_ST_TYPE
_HOWS: Final = tuple(How)  # by the core's number: looking up is cheaper than calling an enum
_ABSOLUTE: Final = Kind.ABSOLUTE


def references(elf: Elf) -> list[tuple[int, int]]:
    """Each (symbol index, relocation type) that the file's relocations use, once, in order of first appearance."""
    machine = MACHINES.get(elf.header.machine, UNKNOWN)
    tables = tuple((t.offset, t.size, t.has_addend) for t in elf.relocation_tables if t.tag != "RELR")
    try:
        found = symbol_table(elf).references(tables, machine.relative)
    except ValueError as e:
        raise MalformedElf(elf.path, None, str(e)) from e
    if elf.packed_relocations:  # the core reads plain tables only
        packed = ((r.symbol, r.type) for r in elf.packed_relocations if r.type != machine.relative)
        found = list(dict.fromkeys([*found, *packed]))
    return found


def bind_references(
    elf: Elf, index: int, scope: Sequence[tuple[int, Elf]], executable: int | None
) -> tuple[Binding, ...]:
    """The bindings of every symbol that `elf` (object `index` of the plan) refers to.

    `scope` holds (object index, file) in search order; `executable` is the object that copy relocations pass over.
    """
    machine = MACHINES.get(elf.header.machine, UNKNOWN)
    types: dict[tuple[int, int], list[int]] = {}
    for symbol, kind in references(elf):
        if symbol:
            wanted = PLT if kind in machine.plt else COPY if kind == machine.copy else ADDRESS
            types.setdefault((symbol, wanted), []).append(kind)
    table = symbol_table(elf)
    bindings: list[Binding] = []
    for wanted in (ADDRESS, PLT, COPY):
        requests = [key for key in types if key[1] == wanted]
        if not requests:
            continue
        places = [p for p in scope if wanted != COPY or p[0] != executable]
        try:
            rows = table.bind(requests, tuple(symbol_table(e) for _, e in places))
        except IndexError as e:
            raise MalformedElf(elf.path, None, f"a relocation refers to {e}, which is not in the file") from e
        except ValueError as e:  # a budget ran out
            raise MalformedElf(elf.path, None, str(e)) from e
        bindings += [_binding(index, row, places, tuple(types[row[0], row[1]])) for row in rows]
    return tuple(bindings)


def bind_call(elf: Elf, index: int, symbol: int, scope: Sequence[tuple[int, Elf]]) -> Binding:
    """What a call of `elf`'s symbol number `symbol` binds to in `scope`, as in `bind_references`."""
    rows = symbol_table(elf).bind([(symbol, PLT)], tuple(symbol_table(e) for _, e in scope))
    machine = MACHINES.get(elf.header.machine, UNKNOWN)
    return _binding(index, rows[0], scope, (machine.jump_slot,))


def _binding(
    index: int,
    row: tuple[int, int, str, str | None, int, int, tuple[int, int, int, int, int, int, int]],
    places: Sequence[tuple[int, Elf]],
    types: tuple[int, ...],
) -> Binding:
    """One row of the core's answer as a `Binding`. Runs once a referenced symbol, tens of thousands of times a plan."""
    symbol_index, _, name, version, own_info, own_section, match = row
    how_number, position, target_symbol, value, size, info, section = match
    how = _HOWS[how_number]
    weak = own_info >> 4 == STB_WEAK
    if how is How.LOCAL or how is How.PROTECTED:
        # hidden and undefined: nothing outside may define it, and it does not itself
        target: int | None = index if own_section else None
    else:
        target = places[position][0] if position >= 0 else None
    if target is None:
        kind = Kind.WEAK_UNDEFINED if weak else Kind.UNRESOLVED
        return Binding(index, symbol_index, name, version, weak, types, kind, None, 0, 0, how, position, 0)
    kind = _ABSOLUTE if section == SHN_ABS else _KINDS[info & 0xF]
    unique = info >> 4 == STB_GNU_UNIQUE
    return Binding(
        index, symbol_index, name, version, weak, types, kind, target, value, size, how, position, target_symbol, unique
    )
