"""Handing a plan to the core: open the files, let the system load what is its own, execute, translate failures.

What is opened here, and what comes into the process, is in the hands of the caller's `Arrivals`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from latebind import _core
from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.mapping import Descriptor, keep
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried, UnresolvedSymbol, Unsupported
from latebind.linker.loaded import LoadedObject
from latebind.linker.process import tls_of
from latebind.linkplan import Definition, Kind, LinkPlan, PlannedObject, Role, pack
from latebind.search import Resident

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.elf import Elf
    from latebind.linker.process import Process
    from latebind.linker.transaction import Arrivals


def execute(
    plan: LinkPlan,
    here: Mapping[int, LoadedObject],
    hooks: Mapping[str | Definition, int],
    process: Process,
    arrivals: Arrivals,
) -> dict[int, LoadedObject]:
    """Map, relocate and protect the objects of `plan` that are not `here`; constructors do not run.

    Returns the live object of every index of the plan; those that are new are `arrivals`, which the caller takes back
    where something goes wrong, here too. Raises `NotFound`, `MalformedElf`, `Unsupported`, `UnresolvedSymbol` or
    `SystemFailure`.
    """
    packed = pack(plan)
    loaded = dict(here)
    for item in plan.objects:
        if item.role is Role.SYSTEM and not item.present:
            loaded[item.index] = _open_with_system(item, process, arrivals)
    with ExitStack() as files:
        tls = {b.target for b in plan.bindings if b.kind is Kind.TLS}
        sources = [_source(item, loaded.get(item.index), files, uses_tls=item.index in tls) for item in plan.objects]
        addresses = [*(hooks[name] for name in plan.hooks), *(hooks[found] for found in plan.redirects)]
        try:
            images = keep(arrivals.images, _core.execute, packed, sources, addresses)
        except _core.ExecuteError as e:
            _translate(e, plan)
    for item in plan.loaded:
        image = images[item.index]
        if image is None:
            raise AssertionError(f"the core returned no image for {item.path}")
        loaded[item.index] = arrived = LoadedObject(
            Resident(item.path, item.elf, frozenset({item.name})), Role.OWN, RuntimeAddress(image.base), image
        )
        arrivals.objects.append(arrived)
    return loaded


def _open_with_system(item: PlannedObject, process: Process, arrivals: Arrivals) -> LoadedObject:
    path = os.path.abspath(item.path)
    try:
        handle = keep(arrivals.handles, _core.system_open, path)
    except _core.ExecuteError as e:
        raise Unsupported(item.path, f"the system's linker refuses it: {e.detail}") from e
    for there in process.objects():
        if (
            there.elf.identity is not None
            and item.elf.identity is not None
            and there.elf.identity[:2] == item.elf.identity[:2]
        ):
            arrived = LoadedObject(there.resident, Role.SYSTEM, there.base, system_handle=handle)
            arrivals.objects.append(arrived)
            return arrived
    raise Unsupported(item.path, "the system's linker loaded it from another file", "check LD_LIBRARY_PATH")


def _source(item: PlannedObject, there: LoadedObject | None, files: ExitStack, *, uses_tls: bool) -> type_of_source:
    """Where the core takes object `item` from: an open file, bytes, or its place in the process."""
    if there is not None:
        return (int(there.base), *_tls_place(there, used=uses_tls))
    if item.elf.identity is None:
        return memoryview(item.elf.data)
    try:
        fd = files.enter_context(Descriptor(item.path))
    except FileNotFoundError as e:
        raise NotFound(item.path, None, (Tried(item.path, "it was there when the plan was made"),)) from e
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, item.path) from e
    _check_unchanged(item.elf, fd)
    return fd


type_of_source = int | memoryview | tuple[int, int, int | None]


def _check_unchanged(elf: Elf, fd: int) -> None:
    try:
        status = os.fstat(fd)
    except OSError as e:
        raise SystemFailure("fstat", e.errno or 0, elf.path) from e
    now = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if elf.identity is not None and tuple(elf.identity) != now:
        raise Unsupported(elf.path, "has changed since the plan was made", "make the plan again")


def _tls_place(there: LoadedObject, *, used: bool) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of an object in the process; (0, None) where unused."""
    if there.image is not None:
        return there.image.tls_module, there.image.tls_offset
    return tls_of(there.base, there.resident.path) if used else (0, None)


def _translate(error: _core.ExecuteError, plan: LinkPlan) -> NoReturn:
    """The core's failure as one of our errors: this is the boundary."""
    item = plan.objects[error.object] if 0 <= error.object < len(plan.objects) else plan.root
    if error.code == "unresolved":
        names = [b for b in plan.bindings_of(item.index) if b.symbol_index == error.symbol]
        symbol = names[0].symbol if names else f"symbol {error.symbol}"
        raise UnresolvedSymbol(symbol, names[0].version if names else None, item.path) from error
    if error.code == "system":
        raise SystemFailure(error.detail, error.errno, item.path) from error
    if error.code == "malformed":
        raise MalformedElf(item.path, error.offset, error.detail) from error
    raise Unsupported(item.path, error.detail) from error
