"""What a kept plan is the answer to: the question that a load asks, and the evidence that its answer rests on."""

from __future__ import annotations

import os
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind import _core
from latebind.linkplan.format import with_sound_frames
from latebind.linkplan.kept import NOTHING, STORE_VARIABLES, Entry, Evidence, Store, record_of, store_for

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Snapshot
    from latebind.linkplan import PreparedPlan
    from latebind.search import Files

_HERE: Final = repr((_core.version, _core.cpu_features()))
_VARIABLES: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW")  # what searching and planning look at
_ASKED: Final = (*STORE_VARIABLES, *_VARIABLES)
_NAMES: Final = "".join([f"{name}\0" for name in _ASKED]).encode()


class Settings(NamedTuple):
    """What the environment says, whose `values` are as the core tells them.

    `question` is what it adds to every question; `store` is the store of kept plans, if there is one.
    """

    values: bytes
    question: str
    store: Store | None


def settings_now() -> Settings:
    """The settings; those of the last time while the environment is the same."""
    values = _core.environment(_NAMES)
    last = _last[0]
    if values != last.values:
        last = _last[0] = _settings(values)
    return last


def _settings(values: bytes) -> Settings:
    found = zip(_ASKED, values.split(b"\0"), strict=False)
    variables = {name: os.fsdecode(value[1:]) for name, value in found if value}
    asked = [variables.get(name) for name in _VARIABLES]
    return Settings(values, f"{_HERE}{asked}", store_for(variables))  # as repr: no value can pass for two


_last: Final = [_settings(_core.environment(_NAMES))]


def question_for(
    target: object, snapshot: Snapshot, settings: Settings, library_path: tuple[str, ...], binding: str | None
) -> str | None:
    """Everything that the plan for `target` depends on besides the files that are found; None where none is kept.

    Plans are kept for names and absolute paths: what a relative one means changes with the current folder. Static
    archives and relocatable objects are linked each time.
    """
    name = target if type(target) is str else _path_of(target)
    if name is None or name.endswith((".o", ".a", ")")) or ("/" in name and name[0] != "/"):
        return None
    around = snapshot.fingerprint()
    return None if around is None else f"{settings.question}{(name, library_path, binding or 'now')}\0{around}"


def _path_of(target: object) -> str | None:
    name = os.fspath(target) if isinstance(target, (str, os.PathLike)) else None
    return name if isinstance(name, str) else None


def keep_plan(
    store: Store,
    question: str,
    plan: PreparedPlan,
    files: Files,
    closure: tuple[LoadedObject, ...],
    snapshot: Snapshot,
) -> None:
    """Keep `plan`, which was made in `snapshot` and has just been loaded as `closure`, as the answer to `question`.

    What `files` has looked at is its evidence, but for the files that the question tells from all others.
    """
    evidence = evidence_of(files, plan, snapshot.named())
    if not all(path.startswith("/") for path in (*evidence.paths(), *(o.path for o in plan.objects))):
        return
    images = [(index, o.image) for index, o in enumerate(closure) if plan.objects[index].is_new]
    sound = [index for index, image in images if image is not None and image.frames_are_sound]
    store.keep(Entry(question, evidence, plan._replace(packed=with_sound_frames(plan.packed, sound))))


def evidence_of(files: Files, plan: PreparedPlan, named: AbstractSet[str]) -> Evidence:
    """What `files` has looked at, but for the paths `named`: each with what was there, as the core tells it."""
    opened = {o.path: o.identity for o in plan.objects if o.is_new}
    looked_at = [
        (path, status) for path, status in files.evidence() if "\0" not in path and path not in named
    ]  # with a NUL, nothing can be there
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
