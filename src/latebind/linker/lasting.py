"""What keeps a library in the process after it was closed, told before it is closed, or even before it is loaded.

Real libraries stay for four reasons: they say so (DF_1_NODELETE), another object is bound to a symbol of theirs of
which a namespace has one (STB_GNU_UNIQUE), a thread has yet to run destructors of thread_local objects in their code,
or a thread runs in it that their destructors do not end. A fifth is not theirs: what the system's linker loaded, it may
keep. (The toolchain's runtimes are not worth a word: a process has one of each, and is better off when they stay.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from latebind import _core
from latebind.elf.dynamic import DF_1_NODELETE
from latebind.linkplan import LinkPlan, Role
from latebind.linkplan.roles import is_shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from latebind.linker.loaded import LoadedObject


class Reason(StrEnum):
    """Why an object stays."""

    NODELETE = "nodelete"
    UNIQUE = "unique"
    THREAD_LOCAL = "thread-local"
    THREAD = "thread"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Lasting:
    """One object that stays: its path, why, and that in words."""

    path: str
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.path)}: {self.detail}"


def will_last(plan: LinkPlan) -> tuple[Lasting, ...]:
    """What would stay of the objects that `plan` loads, as far as their files say."""
    found = [_marked(o.path) for o in plan.loaded if o.elf.dynamic.flags_1 & DF_1_NODELETE]
    found += [
        _of_the_system(o.path) for o in plan.objects if o.role is Role.SYSTEM and not is_shared(o.elf.summary.soname)
    ]
    return tuple(found)


def lasts(closure: Iterable[LoadedObject], others: Iterable[LoadedObject]) -> tuple[Lasting, ...]:
    """What would stay now if the loaded objects `closure` were closed; `others` are all objects of the namespace."""
    mine = [o for o in closure if o.role is not Role.RESIDENT]
    foreign = [o for o in others if all(o is not m for m in mine)]
    mapped = [(o, o.image) for o in mine if o.image is not None]
    threads = {id(o): n for (o, _), n in zip(mapped, _core.running_in([i for _, i in mapped]), strict=True)}
    return tuple(reason for o in mine for reason in _reasons(o, foreign, threads.get(id(o), 0)))


def _reasons(at: LoadedObject, foreign: Iterable[LoadedObject], threads: int) -> Iterator[Lasting]:
    path = at.path
    if at.role is Role.SYSTEM and not is_shared(at.elf.summary.soname):
        yield _of_the_system(path)
    if at.pinned:
        yield _marked(path)
    waiting = at.image.thread_destructors if at.image is not None else 0
    if waiting:
        plural = "s" if waiting != 1 else ""
        detail = f"{waiting} thread_local object{plural} of running threads await{'' if plural else 's'} destruction"
        yield Lasting(path, Reason.THREAD_LOCAL, detail)
    if threads:
        detail = f"{threads} thread{'s run' if threads != 1 else ' runs'} in its code, unless its destructors end that"
        yield Lasting(path, Reason.THREAD, detail)
    for user in foreign:
        for symbol in [name for target, name in user.unique if target is at][:1]:
            detail = f"{os.path.basename(user.path)} is bound to its unique symbol {symbol} (STB_GNU_UNIQUE)"
            yield Lasting(path, Reason.UNIQUE, detail)


def _marked(path: str) -> Lasting:
    return Lasting(path, Reason.NODELETE, "it is marked as never to be unloaded (DF_1_NODELETE)")


def _of_the_system(path: str) -> Lasting:
    return Lasting(path, Reason.SYSTEM, "it is loaded by the system's linker")
