"""The `LinkPlan`: everything that a dynamic linker decides, as a value, before anything is mapped or executed.

making.py makes one of what a search has found; here is what follows from that: which definition each reference gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from latebind.elf import Elf
from latebind.elf import dynamic as dyn
from latebind.elf.symbol import STB_GNU_UNIQUE
from latebind.linkplan.binding import Binding, Definition, How, Kind, why
from latebind.linkplan.machines import MACHINES, UNKNOWN
from latebind.linkplan.resolve import (
    BoundReferences,
    Scope,
    Wanted,
    bind_all_references,
    bind_references,
    patch,
    references,
    scope_of,
)
from latebind.linkplan.roles import Role, is_shared
from latebind.linkplan.services import SERVICES
from latebind.linkplan.table import layout_of, symbol_table
from latebind.search import Environment, Missing, Via

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.linkplan.resolve import type_of_patch

_OWN = (How.LOCAL, How.PROTECTED)  # bound to the referrer itself, whatever others define


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of a plan: which file, who loads it, and how it was found.

    `present` says that it is in the process already; `needs` and `needed_by` are object indexes.
    """

    index: int
    name: str
    path: str
    role: Role
    via: Via
    why: str
    elf: Elf
    present: bool
    needs: tuple[int, ...]
    needed_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Import:
    """One symbol that the root takes from elsewhere. `provider` is the path of the definer, None where undefined."""

    symbol: str
    version: str | None
    provider: str | None
    weak: bool
    kind: Kind


@dataclass(frozen=True)
class LinkPlan:
    """Which objects, from where and why; which definition each reference binds to and why; the constructors' order.

    Immutable. `scope` are the object indexes in search order; `missing` the needed names that no file was found for;
    `hooks` are symbol names, and `redirects` definitions, whose references are bound to hooks of that number,
    redirects counted after the names; the addresses are given when the plan is loaded.
    """

    objects: tuple[PlannedObject, ...]
    missing: tuple[Missing, ...]
    scope: tuple[int, ...]
    init_order: tuple[int, ...]
    environment: Environment = field(repr=False)
    executable: int | None = None
    closure_size: int = 0
    hooks: tuple[str, ...] = ()
    redirects: tuple[Definition, ...] = ()
    lazy: bool = False
    """Whether calls through PLTs are bound when they are first made, in the objects that allow it (`is_lazy`)."""
    unique_owners: tuple[int, ...] = ()
    """Objects that may define unique symbols (STB_GNU_UNIQUE) and are there already, in load order."""
    inside: bool = False
    """Whether the plan was made for a running process; only such a plan can be loaded into one."""

    @property
    def root(self) -> PlannedObject:
        """The object that was asked for."""
        return self.objects[0]

    @property
    def closure(self) -> tuple[PlannedObject, ...]:
        """The root and everything it needs, without the objects that are only in the global scope."""
        return self.objects[: self.closure_size]

    @cached_property
    def _bound(self) -> dict[int, BoundReferences]:
        return {}

    @cached_property
    def _changes(self) -> dict[int, dict[int, Binding]]:
        return {}

    @cached_property
    def _bindings(self) -> dict[int, tuple[Binding, ...]]:
        return {}

    def bindings_of(self, index: int) -> tuple[Binding, ...]:
        """What each symbol that object `index` refers to binds to. Computed once, by reading files alone."""
        known = self._bindings.get(index)
        if known is None:
            bound, changed = self.bound(index), self.changes(index)
            rows = range(len(bound))
            known = self._bindings[index] = tuple([changed.get(n) or bound.binding(n) for n in rows])
        return known

    def bound(self, index: int) -> BoundReferences:
        """The references of object `index` as the scope alone binds them; `changes` has what else the plan decides."""
        known = self._bound.get(index)
        if known is None:
            known = self._bound[index] = bind_references(self._wanted(index))
        return known

    def bind_all(self) -> None:
        """Bind the references of all objects that this plan loads at once, which is quicker than one by one.

        What is wrong with one of them is told when it is asked for.
        """
        missing = [o.index for o in self.loaded if o.index not in self._bound]
        for index, bound in zip(missing, bind_all_references([self._wanted(i) for i in missing]), strict=True):
            if bound is not None:
                self._bound[index] = bound

    def _wanted(self, index: int) -> Wanted:
        item = self.objects[index]
        own, scope = symbol_table(item.elf), self._scope
        if item.elf.summary.flags & dyn.DF_SYMBOLIC and index != 0:
            scope = scope_of((index, *scope.numbers), (own, *scope.symbols), self._first)
        if index not in self.scope:
            scope = scope_of((*scope.numbers, index), (*scope.symbols, own), self._first)
        return Wanted(item.elf, index, own, scope, self._watched)

    @cached_property
    def _scope(self) -> Scope:
        """The scope with each object's symbols."""
        return scope_of(self.scope, tuple([symbol_table(self.objects[i].elf) for i in self.scope]), self._first)

    @property
    def _first(self) -> int:
        """The object that copy relocations pass over."""
        return self.executable if self.executable is not None else 0

    def changes(self, index: int) -> dict[int, Binding]:
        """The rows of `bound(index)` that are bound otherwise: unique symbols, services, copies, hooks."""
        known = self._changes.get(index)
        if known is None:
            bound = self.bound(index)
            known = {}
            for number in range(len(bound)) if self.redirects else bound.rows.watched:
                before = bound.binding(number)
                after = self._decided(before)
                if after is not before:
                    known[number] = after
            self._changes[index] = known
        return known

    def records_of(self, index: int) -> bytes:
        """The packed plan's records of object `index` (src/core/plan.h)."""
        return self.bound(index).packed(self.patches_of(index)[0])[0]

    def targets_of(self, index: int) -> frozenset[int]:
        """The objects that the references of object `index` are bound to."""
        patches, originals = self.patches_of(index)
        return frozenset(self.bound(index).packed(patches)[1] | originals)

    def patches_of(self, index: int) -> tuple[dict[int, type_of_patch], set[int]]:
        """What `changes` comes to in the packed plan, and who defines what those references would be bound to."""
        bound = self.bound(index)
        if self.inside and not (self.hooks or self.redirects or self._copies or bound.rows.unique):
            patches = bound.served(SERVICES, self._shared)  # there is nothing else: the same, but quicker
            return patches, {target for _, target, _ in patches.values()}
        changed = self.changes(index)
        originals = {b.target for b in changed.values() if b.target is not None}  # hooks keep theirs
        return {number: patch(b) for number, b in changed.items()}, originals

    @cached_property
    def _watched(self) -> tuple[str, ...]:
        """The names whose references may be bound otherwise than the scope says."""
        return (*(SERVICES if self.inside else ()), *self.hooks, *self._copies)

    def _decided(self, binding: Binding) -> Binding:
        if binding.unique:
            binding = self._unified(binding)
        if self.inside and binding.symbol in SERVICES:
            binding = self._served(binding)
        if self._copies:
            binding = self._through_copies(binding)
        return self._hooked(binding) if self.hooks or self.redirects else binding

    def _unified(self, binding: Binding) -> Binding:
        """One definition for each STB_GNU_UNIQUE name, whatever its version (`do_lookup_unique` of glibc).

        In a fresh process the definition that the first object to be relocated got serves everybody, and objects are
        relocated in the order of their constructors. In a running one the definition that is there already serves.
        """
        if binding.referrer not in self.init_order:
            return binding
        if self.inside:
            return binding if binding.how in _OWN else self._as_already_there(binding)
        return self._first_of_unique(binding, self.init_order[: self.init_order.index(binding.referrer)])

    def _as_already_there(self, binding: Binding) -> Binding:
        for index in self.unique_owners:
            found = symbol_table(self.objects[index].elf).find(binding.symbol, binding.version)
            if found is not None and found[5] >> 4 == STB_GNU_UNIQUE:
                return binding._replace(target=index, value=found[3], size=found[4], target_symbol=found[2])
        return binding

    def _first_of_unique(self, binding: Binding, before: tuple[int, ...]) -> Binding:
        definers = [i for i in before if symbol_table(self.objects[i].elf).find(binding.symbol) is not None]
        if all(i == binding.target for i in definers):
            return binding
        for definer in definers:
            for other in self._watched_bindings(definer):
                if other.unique and other.symbol == binding.symbol:
                    return binding._replace(
                        kind=other.kind, target=other.target, value=other.value, size=other.size, how=other.how,
                        position=other.position, target_symbol=other.target_symbol,
                    )  # fmt: skip
        return binding

    def unique_uses(self, index: int) -> tuple[tuple[int, str], ...]:
        """The unique symbols of other objects that object `index` is bound to: (owner, name)."""
        bound = self.bound(index)
        if not (rows := bound.rows.unique):
            return ()
        changed = self.changes(index)
        found = [changed.get(n) or bound.binding(n) for n in rows]
        return tuple([(b.target, b.symbol) for b in found if b.target is not None and b.target != index])

    def _watched_bindings(self, index: int) -> list[Binding]:
        bound, changed = self.bound(index), self.changes(index)
        return [changed.get(n) or bound.binding(n) for n in bound.rows.watched]

    def needs_static_tls(self) -> frozenset[int]:
        """Objects whose TLS block is reached at a fixed offset from the thread pointer, by themselves or by others."""
        return self._tls_uses[0]

    def gives_tls(self) -> frozenset[int]:
        """Objects whose thread-local variables other objects refer to."""
        return self._tls_uses[1]

    @cached_property
    def _tls_uses(self) -> tuple[frozenset[int], frozenset[int]]:
        static: set[int] = set()
        gives: set[int] = set()
        for item in self.loaded:
            elf, bound = item.elf, self.bound(item.index)
            machine = MACHINES.get(elf.summary.machine, UNKNOWN)
            types = bound.rows.types
            is_static = not machine.static_tls.isdisjoint(types)
            own = elf.summary.flags & dyn.DF_STATIC_TLS
            if (own or (is_static and not machine.static_tls.isdisjoint(bound.rows.own_types))) and _has_tls(elf):
                static.add(item.index)
            if is_static:
                static |= bound.targets(machine.static_tls)
            if not machine.tls.isdisjoint(types):
                gives |= bound.targets(machine.tls)
        return frozenset(static), frozenset(gives)

    def _served(self, binding: Binding) -> Binding:
        """The core's own version of a function that the C library answers for the system linker's objects only."""
        if binding.target not in self._shared:
            return binding
        return binding._replace(kind=Kind.SERVICE, value=SERVICES[binding.symbol])

    @cached_property
    def _shared(self) -> frozenset[int]:
        """The objects of the system's linker that every namespace shares."""
        found = [o.index for o in self.objects if o.role is not Role.OWN and is_shared(o.elf.summary.soname)]
        return frozenset(found)

    def _hooked(self, binding: Binding) -> Binding:
        if binding.symbol in self.hooks and binding.how not in _OWN:
            return binding._replace(kind=Kind.HOOK, target=None, value=self.hooks.index(binding.symbol))
        number = self._redirected.get(binding.definition) if self.redirects else None
        if number is not None:  # the target stays: the original must not be unloaded under the hook
            return binding._replace(kind=Kind.HOOK, value=number)
        return binding

    @cached_property
    def _redirected(self) -> dict[Definition | None, int]:
        return {definition: number for number, definition in enumerate(self.redirects, len(self.hooks))}

    @cached_property
    def _copies(self) -> dict[str, tuple[int, int]]:
        """Data that the running program holds a copy of: name → (address in it, size). The copy is the one in use."""
        if self.executable is None:
            return {}
        return _copies_of(self.objects[self.executable].elf)

    def _through_copies(self, binding: Binding) -> Binding:
        if binding.kind is not Kind.DATA or binding.target is None or binding.symbol not in self._copies:
            return binding
        if self.objects[binding.target].role is not Role.RESIDENT:
            return binding
        value, size = self._copies[binding.symbol]
        return binding._replace(target=self.executable, value=value, size=size)

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """The bindings of every object that this plan loads."""
        return tuple(b for o in self.loaded for b in self.bindings_of(o.index))

    @cached_property
    def loaded(self) -> tuple[PlannedObject, ...]:
        """The objects that we would load: role own and not there yet."""
        return tuple([o for o in self.objects if o.role is Role.OWN and not o.present])

    @cached_property
    def unresolved(self) -> tuple[Binding, ...]:
        """References without a definition that are not weak: loading the plan would fail on them."""
        found = []
        self.bind_all()
        for item in self.loaded:
            bound = self.bound(item.index)
            if unresolved := bound.rows.unresolved:
                changed = self.changes(item.index)
                found += [bound.binding(n) for n in unresolved if n not in changed]
        return tuple(found)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """What the root takes from other objects, each symbol once."""
        found: dict[tuple[str, str | None], Import] = {}
        for b in self.bindings_of(0):
            if b.target != 0:
                provider = self.objects[b.target].path if b.target is not None else None
                found.setdefault((b.symbol, b.version), Import(b.symbol, b.version, provider, b.weak, b.kind))
        return tuple(found.values())

    def why(self, binding: Binding) -> str:
        """The reason for `binding`, as one line; an interposer (LD_PRELOAD) and a copied variable are named as such."""
        reason = why(binding)
        if binding.target is None:
            return reason
        target = self.objects[binding.target]
        if target.via is Via.PRELOAD:
            return f"interposed by {target.path}, which is preloaded; {reason}"
        if binding.target == self.executable != binding.referrer and binding.symbol in self._copies:
            return f"the program's own copy (COPY relocation); {reason}"
        return reason

    def is_lazy(self, item: PlannedObject) -> bool:
        """Whether `item`'s calls are bound when they are first made: as asked, unless it was linked with ``-z now``."""
        if not self.lazy:
            return False
        d = item.elf.dynamic
        return not (d.flags & dyn.DF_BIND_NOW or d.flags_1 & dyn.DF_1_NOW) and dyn.DT_PLTGOT in d.values

    def may_wait(self, binding: Binding) -> bool:
        """Whether an unresolved reference is no obstacle to loading: only calls that are bound later refer to it."""
        item = self.objects[binding.referrer]
        machine = MACHINES.get(item.elf.summary.machine)
        return machine is not None and set(binding.types) == {machine.jump_slot} and self.is_lazy(item)

    def with_binding(self, binding: str) -> LinkPlan:
        """The same plan with calls bound at once (``"now"``) or when they are first made (``"lazy"``)."""
        if binding not in ("now", "lazy"):
            raise ValueError(f"binding is {binding!r}, must be 'now' or 'lazy'")
        return replace(self, lazy=binding == "lazy")

    def with_deep_binding(self) -> LinkPlan:
        """The same plan with the closure searched before the global scope (RTLD_DEEPBIND)."""
        return replace(self, scope=tuple(dict.fromkeys((*range(self.closure_size), *self.scope))))

    def with_hooks(self, names: Sequence[str]) -> LinkPlan:
        """The same plan with every reference to `names` from its objects bound to a hook of that number."""
        return replace(self, hooks=tuple(names))

    def with_redirects(self, definitions: Sequence[Definition]) -> LinkPlan:
        """The same plan with every reference that binds to one of `definitions` bound to a hook instead."""
        return replace(self, redirects=tuple(definitions))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        out = [f"plan for {self.root.path}"]
        for o in self.closure:
            who = ", ".join(self.objects[i].path for i in o.needed_by)
            out.append(f"  {o.index:3} {o.role:8} {o.path}  ({o.via}: {o.why}{'; needed by ' + who if who else ''})")
        out += [f"      missing  {m.name}  (needed by {self.objects[m.needed_by[0]].path})" for m in self.missing]
        order = [self.objects[i].path for i in self.init_order if not self.objects[i].present]
        out.append(f"constructors: {' → '.join(order) or 'none'}")
        for o in self.loaded:
            bindings = self.bindings_of(o.index)
            out.append(f"bindings of {o.path}: {len(bindings)}")
            for b in bindings:
                target = self.objects[b.target].path if b.target is not None else b.kind.name.lower().replace("_", " ")
                name = f"{b.symbol}@{b.version}" if b.version else b.symbol
                out.append(f"  {name} → {target}  ({self.why(b)})")
        return out


def _has_tls(elf: Elf) -> bool:
    plain = layout_of(elf)
    return plain.has_tls if plain is not None else elf.tls is not None


@lru_cache(maxsize=4)
def _copies_of(program: Elf) -> dict[str, tuple[int, int]]:
    """Name → (address, size) of the variables that `program` copied out of its libraries, by all of their names.

    One name has the COPY relocation; the others (`environ` besides `__environ`) are defined at the same place.
    """
    machine = MACHINES.get(program.header.machine)
    if machine is None:
        return {}
    indexes = {symbol for symbol, type_ in references(program) if type_ == machine.copy}
    if indexes and max(indexes) >= len(program.symbols):
        count = len(program.symbols)
        raise program.source.malformed(f"a copy relocation refers to symbol {max(indexes)} of {count}")
    copied = {program.symbols[i].value for i in indexes}
    return {s.name: (s.value, s.size) for s in program.symbols if s.defined and s.value in copied} if copied else {}
