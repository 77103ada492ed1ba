"""A plan made ready: what executing it needs and nothing else, so that it can be kept (kept.py) without its files.

`prepare` makes one of a `LinkPlan`. The packed block is the core's; what stands beside it is what the namespace keeps
book of: who needs whom, who is bound to whom, which unique symbols are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.dynamic import DF_1_NODELETE
from latebind.linkplan.format import pack_with_targets
from latebind.linkplan.roles import Role

if TYPE_CHECKING:
    from latebind.elf import Elf
    from latebind.elf.file import FileIdentity
    from latebind.linkplan.binding import Definition
    from latebind.linkplan.plan import LinkPlan, PlannedObject


class PreparedObject(NamedTuple):
    """One object of a prepared plan; all numbers are object indexes.

    `holds` are the objects that it needs or is bound to, and which must therefore not go before it; `unique` the unique
    symbols of others that it is bound to, each with its owner; `gives_tls` says that others refer to its thread-local
    variables. `elf` is None where the plan was kept: the file is then read when somebody asks for it.
    """

    name: str
    path: str
    role: Role
    present: bool
    identity: FileIdentity | None
    gives_tls: bool
    nodelete: bool
    needs: tuple[int, ...]
    holds: tuple[int, ...]
    unique: tuple[tuple[int, str], ...]
    elf: Elf | None = None

    @property
    def is_new(self) -> bool:
        """Whether we map it."""
        return self.role is Role.OWN and not self.present


class PreparedPlan(NamedTuple):
    """What `execute` takes: see the module. `hooks` and `redirects` are as in `LinkPlan`."""

    packed: bytes | memoryview
    objects: tuple[PreparedObject, ...]
    scope: tuple[int, ...]
    init_order: tuple[int, ...]
    closure_size: int
    hooks: tuple[str, ...] = ()
    redirects: tuple[Definition, ...] = ()


def prepare(plan: LinkPlan) -> PreparedPlan:
    """`plan`, ready to be executed. Raises what `pack` raises."""
    gives_tls = plan.gives_tls()
    packed, targets = pack_with_targets(plan)
    objects = tuple([_prepared(plan, o, targets[o.index], gives_tls=o.index in gives_tls) for o in plan.objects])
    return PreparedPlan(packed, objects, plan.scope, plan.init_order, plan.closure_size, plan.hooks, plan.redirects)


def _prepared(plan: LinkPlan, item: PlannedObject, targets: set[int], *, gives_tls: bool) -> PreparedObject:
    """`targets` is what the object is bound to."""
    index, elf = item.index, item.elf
    nodelete = False
    holds: tuple[int, ...] = ()
    unique: tuple[tuple[int, str], ...] = ()
    if item.role is Role.OWN and not item.present:
        nodelete = elf.summary.flags_1 & DF_1_NODELETE != 0
        others = targets.union(item.needs)
        others.discard(index)
        holds, unique = tuple(sorted(others)), plan.unique_uses(index)
    return PreparedObject(
        item.name, item.path, item.role, item.present, elf.identity, gives_tls, nodelete, item.needs, holds, unique, elf
    )
