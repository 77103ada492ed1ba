"""What a kept plan is the answer to: the question that a load asks, and the evidence that its answer rests on."""

from __future__ import annotations

import os
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind import _core
from latebind.linkplan.format import with_sound_frames
from latebind.linkplan.kept import NOTHING, STORE_VARIABLES, Entry, Evidence, Store, record_of, store_for

if TYPE_CHECKING:
    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Snapshot
    from latebind.linkplan import PreparedPlan
    from latebind.search import Files

_HERE: Final = repr((_core.version, _core.cpu_features()))
_VARIABLES: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW")  # what searching and planning look at
_ASKED: Final = (*STORE_VARIABLES, *_VARIABLES)


class Settings(NamedTuple):
    """What the environment says: variables that matter here, and the store of kept plans, if there is one."""

    variables: dict[str, str]
    store: Store | None


NOTHING_KEPT: Final = Settings({}, None)


def settings_now() -> Settings:
    """The settings; those of the last time while the environment is the same."""
    variables = _core.environment(_ASKED)
    if not _last or _last[0].variables != variables:
        _last[:] = [Settings(variables, store_for(variables))]
    return _last[0]


def question_for(
    target: object, snapshot: Snapshot, variables: dict[str, str], library_path: tuple[str, ...], binding: str | None
) -> str | None:
    """Everything that the plan for `target` depends on besides the files that are found; None where none is kept.

    Plans are kept for names and absolute paths: what a relative one means changes with the current folder. Static
    archives and relocatable objects are linked each time.
    """
    if not isinstance(target, (str, os.PathLike)):
        return None
    name = os.fspath(target)
    if not isinstance(name, str) or name.endswith((".o", ".a", ")")) or ("/" in name and not name.startswith("/")):
        return None
    around = snapshot.fingerprint()
    if around is None:
        return None
    settings = [variables.get(name) for name in _VARIABLES]
    return f"{_HERE}{(name, library_path, binding or 'now', settings)}\0{around}"  # as repr: no value can pass for two


_last: Final[list[Settings]] = []
settings_now()


def keep_plan(store: Store, question: str, plan: PreparedPlan, files: Files, closure: tuple[LoadedObject, ...]) -> None:
    """Keep `plan`, which has just been loaded as `closure`, as the answer to `question`.

    What `files` has looked at is its evidence.
    """
    evidence = evidence_of(files, plan)
    if not all(path.startswith("/") for path in (*evidence.paths(), *(o.path for o in plan.objects))):
        return
    images = [(index, o.image) for index, o in enumerate(closure) if plan.objects[index].is_new]
    sound = [index for index, image in images if image is not None and image.frames_are_sound]
    store.keep(Entry(question, evidence, plan._replace(packed=with_sound_frames(plan.packed, sound))))


def evidence_of(files: Files, plan: PreparedPlan) -> Evidence:
    """What `files` has looked at: each path with what was there, as the core's `identities` tells it."""
    opened = {o.path: o.identity for o in plan.objects if o.is_new}
    looked_at = [
        (path, status) for path, status in files.evidence() if "\0" not in path
    ]  # with one, nothing can be there
    found = {path: _identity_of(status) for path, status in looked_at}
    records: dict[bool, list[bytes]] = {True: [], False: []}
    for path, identity in found.items():
        records[opened.get(path) == identity].append(record_of(path, identity))
    return Evidence(b"".join(records[False]), b"".join(records[True]))


def _identity_of(status: os.stat_result | tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    if status is None:
        return NOTHING
    if not isinstance(status, os.stat_result):
        device, inode, size, mtime = status  # plain: it may be a `FileIdentity`
        return device, inode, size, mtime
    if S_ISDIR(status.st_mode):
        return status.st_dev, status.st_ino, 0, 0
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
