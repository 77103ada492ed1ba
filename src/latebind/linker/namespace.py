"""Namespaces: which objects see each other. The process's own, and as many fresh ones as wanted.

A namespace owns what latebind loaded into it. An object stays as long as something holds it: a handle (`Library`),
or an object that needs it or is bound to it; what nobody holds any more is finalised and unmapped, dependents first.
That is one mark-and-sweep over a small graph, so that cycles need no special care.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf.dynamic import DF_1_NOOPEN, DF_1_PIE
from latebind.elf.header import ELFOSABI_GNU, ET_EXEC
from latebind.elf.segment import PF_X, PT_GNU_STACK, PT_LOAD
from latebind.errors import NotFound, UnresolvedSymbol, Unsupported
from latebind.linker.execute import execute
from latebind.linker.lifetime import live, lock, reachable, remaining, sweep_later, sweep_lingering, tell_tools
from latebind.linker.loaded import LoadedObject
from latebind.linker.process import LinkMap, Process, SystemObject
from latebind.linker.transaction import Arrivals
from latebind.linkplan import Binding, Definition, LinkPlan, PreparedObject, PreparedPlan, Role, Surroundings
from latebind.linkplan.near import near_misses
from latebind.linkplan.order import destructor_order
from latebind.linkplan.roles import is_c_library
from latebind.linkplan.table import layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from latebind.elf import Elf
    from latebind.linker.interpose import Interposition


class Snapshot(NamedTuple):
    """What is in a namespace at one moment: the system linker's objects that it sees, and latebind's own."""

    system: LinkMap
    own: tuple[LoadedObject, ...]
    of_process: bool

    def surroundings(self) -> Surroundings:
        """The same for a plan: with every object's file."""
        program, seen = self.system.objects[0], self._seen()
        shared = [r for o in seen if (r := o.resident) is not None]
        own = [o.resident for o in self.own]
        scope = [o.resident for o in self._startup_scope()] if self.of_process else []
        scope += [o.resident for o in self.own if o.global_scope]
        unique = [r for r in shared if _may_have_unique(r.elf) and not is_c_library(r.summary.soname or "")]
        return Surroundings(
            residents=(*own, *shared),
            own=frozenset(id(r.elf) for r in own),
            global_scope=tuple([r for r in scope if r is not None]),
            executable=program.resident,
            unique=(*unique, *(r for r in own if _may_have_unique(r.elf))),
        )

    def named(self) -> frozenset[str]:
        """The files of the C library family and the runtimes that its fingerprint tells from all others.

        They are in the process and are shared, whatever has become of their files on disk.
        """
        return frozenset([o.path for o in self.system.shared if o.build_id and o.resident is not None])

    def _seen(self) -> tuple[SystemObject, ...]:
        """The system linker's objects that are seen here."""
        return self.system.objects if self.of_process else self.system.shared

    def _startup_scope(self) -> list[SystemObject]:
        return _startup_scope([o for o in self._seen() if o.resident is not None])

    def fingerprint(self) -> str | None:
        """What tells this moment from every other; None where something is there that is no file."""
        system = self.system.fingerprint(shared=not self.of_process)
        if not self.own:
            return system
        own = [o.fingerprint() for o in self.own]
        return None if None in own else f"{system}{own}"


class Namespace:
    """A set of objects that see each other.

    `Namespace()` is a fresh one: only the C library family and the toolchain's runtimes are shared with the process,
    everything else is loaded anew, with its own data. `this_process()` is the process's own.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._own: list[LoadedObject] = []  # in constructor order
        self._of_process = False

    def __repr__(self) -> str:
        kind = "the process's own" if self._of_process else self.name or "fresh"
        return f"<Namespace {kind}: {len(self._own)} objects>"

    @property
    def objects(self) -> tuple[str, ...]:
        """The paths of the objects that latebind has loaded here, in the order of their constructors."""
        with lock:
            return tuple(o.path for o in self._own)

    @property
    def members(self) -> tuple[LoadedObject, ...]:
        """The records of what latebind has loaded here; for the linker's own parts."""
        return tuple(self._own)

    def owner_of(self, address: int) -> str | None:
        """The path of the object, here or of the system's linker, that holds the runtime address; None if none does."""
        with lock:
            live = [(o.elf, o.base, o.path) for o in self._own]
            live += [(o.elf, o.base, o.path) for o in _process.objects()]
        for elf, base, path in live:
            if any(s.type == PT_LOAD and 0 <= address - base - s.vaddr < s.memsz for s in elf.segments):
                return path
        return None

    def snapshot(self) -> Snapshot:
        """What is there now. Reads no file."""
        with lock:
            own = tuple([o for o in self._own if o.image is not None]) if self._own else ()
            return Snapshot(_process.link_map(), own, self._of_process)

    def surroundings(self) -> Surroundings:
        """What a plan for this namespace finds there already."""
        with lock:
            return self.snapshot().surroundings()

    def open(
        self,
        plan: PreparedPlan,
        hooks: Interposition | None,
        undo: list[Callable[[], None]],
        *,
        global_scope: bool,
        there: LinkMap | None = None,
    ) -> tuple[LoadedObject, ...]:
        """Execute `plan` here and run the constructors of what is new. Returns the plan's closure, the root first.

        `there` is the system linker's map, where it is known already.

        Whole or not at all: where this raises, or the caller cannot take the result, calling what is in `undo` (the
        last first, under the lock) leaves the process as it was.
        """
        with lock:
            sweep_lingering()
            here = self._present(plan, _process.link_map() if there is None else there)
            arrivals = Arrivals()
            undo.append(partial(self._take_back, arrivals))
            loaded = execute(plan, here, hooks.addresses if hooks is not None else {}, _process, arrivals)
            if hooks is not None:
                hooks.attach(plan, loaded)
            self._register(plan, loaded)
            closure = tuple(map(loaded.__getitem__, range(plan.closure_size)))
            if global_scope:
                promoted = [o for o in closure if not o.global_scope]
                undo.append(partial(_demote, promoted))
                for o in promoted:
                    o.global_scope = True
            arrivals.root = closure[0]
            arrivals.root.opened += 1
            arrivals.settled = True
            tell_tools()
            for index in plan.init_order:
                # Also what a load further out, whose constructor this one is called from, has not come to yet.
                image = loaded[index].image
                if image is not None:
                    image.initialize()
            return closure

    def _take_back(self, arrivals: Arrivals) -> None:
        """A load has failed: give its handle back, or take out what it had brought so far."""
        if arrivals.settled and arrivals.root is not None:
            self.release(arrivals.root)
            return
        for o in arrivals.objects:
            o.gone = True
            live.pop(o.base, None)
            if o.interposition is not None:
                o.interposition.release(o)
        self._own = [o for o in self._own if not o.gone]
        arrivals.take_back()

    def _present(self, plan: PreparedPlan, there: LinkMap) -> dict[int, LoadedObject]:
        """The live object for each object of the plan that is there already."""
        system, own = there.residents, self._own_by_path() if self._own else {}
        found = {}
        for index, item in enumerate(plan.objects):
            if item.present:
                ours = self._same_file(own, item) if own and item.role is not _RESIDENT else None
                at = system.get(item.path) if ours is None else ours
                if at is None:
                    raise Unsupported(
                        item.path, "was in the process when the plan was made and is gone now", "make the plan again"
                    )
                found[index] = at
        return found

    def _own_by_path(self) -> dict[str, LoadedObject]:
        return {o.path: o for o in self._own}

    def _same_file(self, by_path: Mapping[str, LoadedObject], item: PreparedObject) -> LoadedObject | None:
        """The one of ours that `item` stands for: the very file; two that were loaded from memory may share a name."""
        there = by_path.get(item.path)
        if there is not None and item.identity is not None and there.identity == item.identity:
            return there
        return next((o for o in self._own if item.elf is not None and o.file is item.elf), None)

    def scope_of(self, at: LoadedObject) -> list[LoadedObject]:
        """Where a name that the object `at` asks for at run time is looked up: the global scope, then its own."""
        with lock:
            places = [*self.global_scope(), *(o for o in at.scope if not o.gone)]
            return list({id(o.elf): o for o in reversed(places)}.values())[::-1]

    def global_scope(self) -> list[LoadedObject]:
        """What everybody sees: the program and what it needs, and what was loaded here with global scope."""
        with lock:
            system = _startup_scope(_process.objects()) if self._of_process else []
            known = [LoadedObject(o.path, Role.RESIDENT, o.base, system=o) for o in system]
            return known + [o for o in self._own if o.global_scope]

    def _register(self, plan: PreparedPlan, loaded: Mapping[int, LoadedObject]) -> None:
        of = loaded.__getitem__
        scope = tuple(map(of, plan.scope))
        for index, item in enumerate(plan.objects):
            if not item.present and item.role is _OWN:
                at = loaded[index]
                at.needs = [*map(of, item.needs)]
                at.holds = [*map(of, item.holds)]
                at.scope = scope
                at.number = next(_numbers)
                at.pinned = item.nodelete
                if item.unique:
                    at.unique = tuple([(loaded[owner], name) for owner, name in item.unique])
                live[at.base] = at, self
        for index in plan.init_order:
            if not plan.objects[index].present and plan.objects[index].role is not _RESIDENT:
                self._own.append(loaded[index])

    def retain(self, root: LoadedObject) -> None:
        """One more handle on `root`."""
        with lock:
            root.opened += 1

    def release(self, root: LoadedObject) -> None:
        """One handle less: finalise and unmap everything that nobody holds any more."""
        with lock:
            root.opened -= 1
            sweep_later(self)

    def take_unheld(self) -> tuple[list[LoadedObject], bool]:
        """The objects that nobody holds any more, dependents last; and whether others linger. Under the lock.

        The first are no members from now on. Each is asked once whether it lingers: a thread may end at any time, and
        its object must not be forgotten then.
        """
        lingering = [o for o in self._own if o.lingers]
        kept = reachable([*(o for o in self._own if o.opened or o.pinned), *lingering, *remaining])
        gone = [o for o in self._own if id(o) not in kept]
        left = [o for o in self._own if id(o) in kept]
        leaving = gone if len(gone) < 2 else _dependents_last(gone)
        self._own = left  # the last step, with no place for an interrupt behind it
        return leaving, lingering != []

    def pin(self, root: LoadedObject) -> None:
        """Never unload `root` (RTLD_NODELETE)."""
        with lock:
            root.pinned = True


def _dependents_last(leaving: Sequence[LoadedObject]) -> list[LoadedObject]:
    objects = sorted(leaving, key=lambda o: o.number)
    index = {id(o): i for i, o in enumerate(objects)}
    needs = [[index[id(n)] for n in (*o.needs, *o.holds) if id(n) in index] for o in objects]
    return [objects[i] for i in reversed(destructor_order(needs))]


def _demote(promoted: Iterable[LoadedObject]) -> None:
    for o in promoted:
        o.global_scope = False


def check_complete(plan: LinkPlan, hooks: Mapping[str | Definition, int]) -> None:
    """Raise what stands in the way of loading `plan`: a missing object, an unresolved reference, the wrong kind."""
    if not plan.inside:
        raise Unsupported(
            plan.root.path, "the plan is for a fresh process", "make it with into=this_process() or a Namespace"
        )
    for item in plan.loaded:
        _check_loadable(item.elf)
    unknown = [name for name in plan.hooks if name not in hooks]
    if unknown:
        raise Unsupported(plan.root.path, f"the plan binds to hooks without an address: {', '.join(sorted(unknown))}")
    if plan.missing:
        missing = plan.missing[0]
        raise NotFound(missing.name, plan.objects[missing.needed_by[0]].path, missing.tried)
    for binding in plan.unresolved:
        if not plan.may_wait(binding):
            raise unresolved_error(plan, binding)


def _may_have_unique(elf: Elf) -> bool:
    """Whether it may define STB_GNU_UNIQUE symbols: link editors mark such files (and those with IFUNCs)."""
    return bool(elf.summary.os_abi == ELFOSABI_GNU)


def _check_loadable(elf: Elf) -> None:
    """What dlopen(3) refuses too: another machine's file, a program, an object that forbids it, an executable stack."""
    ours, file = running_program().summary, elf.summary
    if file.machine != ours.machine or file.elf_class != ours.elf_class or file.data != ours.data:
        header, own = elf.header, running_program().header
        raise Unsupported(
            elf.path,
            f"is for {header.machine_name} ({header.bits}-bit), this process is {own.machine_name} ({own.bits}-bit)",
            "use the library's build for this machine",
        )
    flags = file.flags_1
    if file.type == ET_EXEC or flags & DF_1_PIE:
        raise Unsupported(elf.path, "is a program, not a shared object", "run it, or build it with -shared")
    if flags & DF_1_NOOPEN:
        raise Unsupported(elf.path, "was linked with -z nodlopen (DF_1_NOOPEN)", "link it without")
    if _stack_flags(elf) & PF_X:
        raise Unsupported(elf.path, "asks for an executable stack (PT_GNU_STACK)", "link it with -z noexecstack")


def _stack_flags(elf: Elf) -> int:
    """The flags of PT_GNU_STACK; 0 without one, which means an ordinary stack on the machines that we load for."""
    plain = layout_of(elf)
    if plain is not None:
        return max(plain.stack_flags, 0)
    stack = elf.segment(PT_GNU_STACK)
    return 0 if stack is None else stack.flags


def unresolved_error(plan: LinkPlan, binding: Binding) -> UnresolvedSymbol:
    """The error for one unresolved reference, with the names in scope that come close."""
    near = near_misses(binding.symbol, binding.version, (plan.objects[i].elf for i in plan.scope))
    names = tuple(n.symbol for n in near)
    return UnresolvedSymbol(binding.symbol, binding.version, plan.objects[binding.referrer].path, names)


def _startup_scope(system: Sequence[SystemObject]) -> list[SystemObject]:
    """The global scope of the process: the program and, breadth-first, what it needs."""
    by_name = {o.elf.summary.soname or o.path: o for o in system}
    scope = [system[0]]
    for at in scope:
        for name in at.elf.summary.needed:
            needed = by_name.get(name)
            if needed is not None and needed not in scope:
                scope.append(needed)
    return scope


_OWN: Final = Role.OWN  # each look into an enumeration is a call
_RESIDENT: Final = Role.RESIDENT
_numbers: Final = count(1)
_process: Final = Process()
_own_namespace: Final = Namespace("process")
_own_namespace._of_process = True  # noqa: SLF001 - the one namespace that is not fresh is made here


def whose(base: int) -> tuple[LoadedObject, Namespace] | None:
    """The object that latebind mapped with load bias `base`, and its namespace."""
    with lock:
        return live.get(base)


def this_process() -> Namespace:
    """The process's own namespace: everything that the system's linker has loaded is visible in it."""
    return _own_namespace


def running_program() -> Elf:
    """The file of the running program, on whose behalf names are looked up."""
    return _process.executable().elf
