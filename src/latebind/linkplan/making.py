"""Making a `LinkPlan`: the search's objects with their roles, the scope, the order of constructors.

`make_plan` reads files and nothing else. Without surroundings it says what ld.so would do in a fresh process; with
them (a running process, a namespace) some objects are there already and the others have a role each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.linkplan.order import constructor_order
from latebind.linkplan.plan import LinkPlan, PlannedObject
from latebind.linkplan.roles import Role, stays_with_the_system
from latebind.search import Closure, Environment, Files, Found, Resident, Via, find_closure, fresh_closure
from latebind.search.closure import Residents
from latebind.search.environment import environment_for
from latebind.search.fresh import check_loadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from latebind.elf import Elf
    from latebind.elf.summary import Summary

_WORTH_A_THREAD: Final = 2  # files; a thread takes some 50 microseconds to come and go


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is there before a plan is executed.

    `residents` answer to needed names; `own` are those of them that latebind loaded itself; `global_scope` is
    searched before the plan's own objects; `executable` owns copies of other objects' data (COPY relocations).
    """

    residents: tuple[Resident, ...] = ()
    own: frozenset[int] = frozenset()
    """id() of the `Elf` of each resident that is ours."""
    global_scope: tuple[Resident, ...] = ()
    executable: Resident | None = None
    unique: tuple[Resident, ...] = ()
    """Those that may define STB_GNU_UNIQUE symbols, in load order: of each name, the first definition counts."""


def make_plan(
    root: Elf,
    files: Files | None = None,
    environment: Environment | None = None,
    surroundings: Surroundings | None = None,
    variables: Mapping[str, str] | None = None,
    library_path: tuple[str, ...] = (),
) -> LinkPlan:
    """Plan the loading of `root`: pure, reading only.

    Needed objects that are not found are in `LinkPlan.missing`; loading such a plan raises `NotFound`. Raises
    `Unsupported` for a file that no dynamic linker can load (relocatable, static, a core dump).
    """
    check_loadable(root.summary)
    files = files or Files()
    files.add(root)
    env = (environment or environment_for(root, files, variables)).with_library_path(library_path)
    if surroundings is None:
        return _fresh(root, files, env)
    return _inside(root, files, env, surroundings)


def _fresh(root: Elf, files: Files, env: Environment) -> LinkPlan:
    """What ld.so does in a new process: it is there itself, and everything else is loaded."""
    return plan_of_closure(fresh_closure(root, files, env), env)


def plan_of_closure(closure: Closure, env: Environment) -> LinkPlan:
    """The plan for a fresh process whose objects are those of `closure`."""
    objects = tuple(_planned(f, Role.OWN, present=False) for f in closure.objects)
    scope = _scope(closure.objects)
    order = constructor_order([o.needs for o in objects])
    return LinkPlan(objects, closure.missing, scope, order, env, executable=0, closure_size=len(objects))


def _inside(root: Elf, files: Files, env: Environment, around: Surroundings) -> LinkPlan:
    """The same inside a running process: some objects are there, the others get a role."""
    there = Residents(around.residents)
    _read_ahead(root.summary, files, env, there)
    closure = find_closure(root, files, env, there)
    found = closure.objects
    roles = _roles(found, around)
    objects = [_planned(f, roles[f.index], present=f.resident is not None) for f in found]
    scope = list(_scope(found))
    executable = _index_of(around.executable, objects, around) if around.executable is not None else None
    bystanders = [_index_of(resident, objects, around) for resident in around.global_scope]
    order = constructor_order([o.needs for o in objects[: len(found)]])
    unique = tuple([_index_of(resident, objects, around) for resident in around.unique])
    merged = tuple(dict.fromkeys([*bystanders, *scope]))
    return LinkPlan(
        tuple(objects), closure.missing, merged, order, env, executable, len(found), unique_owners=unique, inside=True
    )


def _read_ahead(root: Summary, files: Files, env: Environment, there: Residents) -> None:
    """Have a thread begin to read what the search is going to find, as far as the cache tells."""
    names = [name for name in root.needed if name not in there.by_name and "/" not in name]
    found = [env.cache.lookup(name, env.cache_flags, env.hwcaps) for name in names]
    paths = [path for path in found if path is not None]
    if len(paths) < _WORTH_A_THREAD:
        return
    files.read_ahead(paths)
    for path in paths:
        files.expect_in(path.rpartition("/")[0] or "/")


def _index_of(resident: Resident, objects: list[PlannedObject], around: Surroundings) -> int:
    """The index of `resident` among `objects`; one that nothing in the closure needs is added behind it."""
    for item in objects:
        if item.elf is resident.elf:
            return item.index
    objects.append(
        PlannedObject(
            index=len(objects),
            name=resident.elf.summary.soname or resident.path,
            path=resident.path,
            role=Role.OWN if id(resident.elf) in around.own else Role.RESIDENT,
            via=Via.RESIDENT,
            why="in the namespace",
            elf=resident.elf,
            present=True,
            needs=(),
            needed_by=(),
        )
    )
    return len(objects) - 1


def _scope(found: Sequence[Found]) -> tuple[int, ...]:
    """Load order, with preloaded objects behind the root as in ld.so: they already stand there."""
    return tuple(f.index for f in found)


def _roles(found: Sequence[Found], around: Surroundings) -> dict[int, Role]:
    """Each object's role; what a system object needs is the system's too, since its `dlopen` loads it."""
    roles: dict[int, Role] = {}
    for f in found:
        if f.resident is not None:
            roles[f.index] = Role.OWN if id(f.elf) in around.own else Role.RESIDENT
        elif f.elf.identity is not None and stays_with_the_system(f.elf, f.name):  # it could not load what is no file
            roles[f.index] = Role.SYSTEM
        else:
            roles[f.index] = Role.OWN
    pending = [f for f in found if roles[f.index] is Role.SYSTEM]
    while pending:
        for needed in pending.pop().needs:
            if roles[needed] is Role.OWN and found[needed].resident is None:
                roles[needed] = Role.SYSTEM
                pending.append(found[needed])
    return roles


def _planned(found: Found, role: Role, *, present: bool) -> PlannedObject:
    return PlannedObject(
        found.index, found.name, found.path, role, found.via, found.why, found.elf, present,
        tuple(found.needs), tuple(found.needed_by),
    )  # fmt: skip
