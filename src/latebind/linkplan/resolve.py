"""Binding the references of one object in a scope: the core does it (bindings.c); here stands what it is told.

A reference's *class* decides what counts as a definition: a call never binds to a program's own PLT entry, a copy
relocation passes the program over (glibc's `elf_machine_type_class`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind import _core
from latebind.elf.dynamic import DT_RELACOUNT, DT_RELCOUNT
from latebind.errors import MalformedElf
from latebind.linkplan.binding import Binding, How, Kind
from latebind.linkplan.machines import MACHINES, UNKNOWN, MachineRelocations
from latebind.linkplan.table import layout_of, symbol_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf import Elf

    type_of_patch = tuple[int, int, int]
    type_of_job = tuple[_core.Bindings, tuple[int, ...], int, dict[int, type_of_patch]]
    type_of_question = tuple[
        tuple[tuple[int, int, bool], ...],
        tuple[tuple[int, int], ...],
        tuple[int, tuple[int, ...], int],
        tuple[_core.SymbolTable, ...],
        int,
        tuple[str, ...],
    ]

_KINDS: Final = tuple(Kind)  # by the core's number: looking up is cheaper than calling an enum
_HOWS: Final = tuple(How)
_COUNTS: Final = {"RELA": DT_RELACOUNT, "REL": DT_RELCOUNT}
_SELF = -1  # the core's place for the referrer itself, outside the scope


def references(elf: Elf) -> list[tuple[int, int]]:
    """Each (symbol index, relocation type) that the file's relocations use, once, in order of first appearance."""
    machine = MACHINES.get(elf.summary.machine, UNKNOWN)
    try:
        found = symbol_table(elf).references(_plain_tables(elf), machine.relative)
    except ValueError as e:
        raise MalformedElf(elf.path, None, str(e)) from e
    packed = _packed_references(elf, machine)
    return list(dict.fromkeys([*found, *packed])) if packed else found


def _plain_tables(elf: Elf) -> tuple[tuple[int, int, bool], ...]:
    """What the core walks: not the RELATIVE entries that a table counts at its beginning (DT_RELACOUNT).

    They are often most of it, have no symbol, and glibc takes them for RELATIVE unseen (`elf_dynamic_do_Rel`).
    """
    plain = layout_of(elf)
    if plain is not None:
        return plain.relocations
    tables = []
    for t in elf.relocation_tables:
        if t.tag == "RELR":
            continue
        counted = elf.dynamic.values.get(_COUNTS.get(t.tag, 0), 0) * elf.source.word * (3 if t.has_addend else 2)
        skipped = counted if counted <= t.size else 0
        tables.append((t.offset + skipped, t.size - skipped, t.has_addend))
    return tuple(tables)


def _packed_references(elf: Elf, machine: MachineRelocations) -> tuple[tuple[int, int], ...]:
    """The references of packed tables, which the core does not read."""
    if layout_of(elf) is not None:  # a plain file has none
        return ()
    packed = elf.packed_relocations
    return tuple(dict.fromkeys((r.symbol, r.type) for r in packed if r.type != machine.relative)) if packed else ()


class Scope(NamedTuple):
    """The objects that are searched, in that order: each one's index in the plan, and its symbols.

    `copy_skips` is the place in it that copy relocations pass over, -1 for none.
    """

    numbers: tuple[int, ...]
    symbols: tuple[_core.SymbolTable, ...]
    copy_skips: int


def scope_of(numbers: tuple[int, ...], symbols: tuple[_core.SymbolTable, ...], executable: int | None) -> Scope:
    """The scope of these objects; copy relocations pass over `executable`, where it is one of them."""
    return Scope(numbers, symbols, numbers.index(executable) if executable in numbers else -1)


@dataclass(frozen=True, slots=True)
class BoundReferences:
    """What the references of one object are bound to: rows in the core, of which `Binding`s are made when asked for.

    `objects` holds the plan's object index for each place in the scope, `index` that of the referrer itself.
    """

    index: int
    objects: tuple[int, ...]
    rows: _core.Bindings
    path: str

    def __len__(self) -> int:
        return len(self.rows)

    def binding(self, number: int) -> Binding:
        """Row `number` as a `Binding`; `MalformedElf` where the names of the symbols overlap again and again."""
        try:
            row = self.rows[number]
        except ValueError as e:  # a budget ran out
            raise MalformedElf(self.path, None, str(e)) from e
        symbol, name, version, weak, types, kind, how, place, value, size, target_symbol, unique = row
        target = self.objects[place] if place >= 0 else self.index if place == _SELF else None
        return Binding(
            self.index, symbol, name, version, weak, types, _KINDS[kind], target, value, size, _HOWS[how],
            max(place, -1), target_symbol, unique,
        )  # fmt: skip

    def served(self, services: dict[str, int], providers: frozenset[int]) -> dict[int, type_of_patch]:
        """The watched rows whose name is one of `services`, and that one of the objects `providers` defines.

        Bound to the core's own function of that number. Without unique definitions. Raises as `binding`.
        """
        try:
            return self.rows.served(self.objects, services, providers)
        except ValueError as e:
            raise MalformedElf(self.path, None, str(e)) from e

    def targets(self, types: frozenset[int]) -> set[int]:
        """The objects that references of these relocation types are bound to."""
        places = self.rows.places(tuple(types))
        return {self.index if place == _SELF else self.objects[place] for place in places}

    def job(self, patches: dict[int, type_of_patch]) -> type_of_job:
        """How the core makes the packed plan's records, with `patches` in the place of the rows of those numbers."""
        return self.rows, self.objects, self.index, patches

    def packed(self, patches: dict[int, type_of_patch]) -> tuple[bytes, set[int]]:
        """The packed plan's records (src/core/plan.h), and the objects that they bind to."""
        return self.rows.packed(self.objects, self.index, patches)


def patch(b: Binding) -> type_of_patch:
    """What `b` is in the packed plan: kind, object or -1, value."""
    value = 0 if b.kind is Kind.WEAK_UNDEFINED or b.kind is Kind.UNRESOLVED else b.value
    return b.kind, -1 if b.target is None or b.kind is Kind.HOOK else b.target, value


class Wanted(NamedTuple):
    """What to bind: every symbol that `elf`, object `referrer` of the plan, refers to; `symbols` are its own.

    The rows of `watched` names and those bound to unique definitions are told apart (`rows.watched`).
    """

    elf: Elf
    referrer: int
    symbols: _core.SymbolTable
    scope: Scope
    watched: tuple[str, ...] = ()


def bind_references(wanted: Wanted) -> BoundReferences:
    """Bind what is wanted. Raises `MalformedElf`."""
    return _bind(wanted, _question(wanted))


def bind_all_references(wanted: Sequence[Wanted]) -> list[BoundReferences | None]:
    """The same for many objects at once, by two threads; None for those that `bind_references` raises for."""
    rows = _core.bind_all(tuple([(one.symbols, _question(one)) for one in wanted]))
    return [_bound(one, found) if found is not None else None for one, found in zip(wanted, rows, strict=True)]


def bind_call(elf: Elf, index: int, symbol: int, scope: Sequence[tuple[int, Elf]]) -> Binding:
    """What a call of `elf`'s symbol number `symbol` binds to in `scope`, as in `bind_references`."""
    scoped = scope_of(tuple([i for i, _ in scope]), tuple([symbol_table(e) for _, e in scope]), None)
    wanted = Wanted(elf, index, symbol_table(elf), scoped)
    machine = MACHINES.get(elf.summary.machine, UNKNOWN)
    return _bind(wanted, _question_of(wanted, (), ((symbol, machine.jump_slot),))).binding(0)


def _bind(wanted: Wanted, question: type_of_question) -> BoundReferences:
    elf = wanted.elf
    try:
        return _bound(wanted, wanted.symbols.bind(*question))
    except IndexError as e:
        raise MalformedElf(elf.path, None, f"a relocation refers to {e}, which is not in the file") from e
    except ValueError as e:  # a table lies outside the file, or a budget ran out
        raise MalformedElf(elf.path, None, str(e)) from e


def _question(wanted: Wanted) -> type_of_question:
    """The arguments of the core's `SymbolTable.bind` for all references of the file."""
    plain = layout_of(wanted.elf)
    if plain is not None:
        return _question_of(wanted, plain.relocations, ())
    machine = MACHINES.get(wanted.elf.summary.machine, UNKNOWN)
    return _question_of(wanted, _plain_tables(wanted.elf), _packed_references(wanted.elf, machine))


def _question_of(
    wanted: Wanted, tables: tuple[tuple[int, int, bool], ...], others: tuple[tuple[int, int], ...]
) -> type_of_question:
    """The same for these references."""
    scope = wanted.scope
    return tables, others, _numbers_of(wanted.elf.summary.machine), scope.symbols, scope.copy_skips, wanted.watched


@cache
def _numbers_of(machine: int) -> tuple[int, tuple[int, ...], int]:
    """What the core is told of a machine: RELATIVE, the types for which only a real definition counts, COPY."""
    found = MACHINES.get(machine, UNKNOWN)
    return found.relative, tuple(found.plt), found.copy


def _bound(wanted: Wanted, rows: _core.Bindings) -> BoundReferences:
    return BoundReferences(wanted.referrer, wanted.scope.numbers, rows, wanted.elf.path)
