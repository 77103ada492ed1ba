"""Handing a plan to the core: let the system load what is its own, execute, translate failures.

What is opened here, and what comes into the process, is in the hands of the caller's `Arrivals`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from latebind import _core
from latebind.elf import read
from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.mapping import keep
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried, UnresolvedSymbol, Unsupported
from latebind.linker.loaded import LoadedObject
from latebind.linker.process import tls_of
from latebind.linkplan import Definition, PreparedObject, PreparedPlan, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.elf.symbol import Symbol
    from latebind.linker.process import Process
    from latebind.linker.transaction import Arrivals


def execute(
    plan: PreparedPlan,
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
    loaded = dict(here)
    try:
        for index, item in enumerate(plan.objects):
            if item.role is Role.SYSTEM and not item.present:
                loaded[index] = _open_with_system(item, process, arrivals)
        sources = [_source(item, loaded.get(index)) for index, item in enumerate(plan.objects)]
        addresses = [*(hooks[name] for name in plan.hooks), *(hooks[found] for found in plan.redirects)]
        images = keep(arrivals.images, _core.execute, plan.packed, sources, addresses)
    except _core.ExecuteError as e:
        _translate(e, plan)
    for index, item in enumerate(plan.objects):
        if item.is_new:
            loaded[index] = arrived = _loaded(item, images[index])
            arrivals.objects.append(arrived)
    return loaded


def _loaded(item: PreparedObject, image: _core.Object | None) -> LoadedObject:
    if image is None:
        raise AssertionError(f"the core returned no image for {item.path}")
    base, names = RuntimeAddress(image.base), frozenset({item.name})
    return LoadedObject(item.path, Role.OWN, base, item.identity, item.elf, None, image, names=names)


def _open_with_system(item: PreparedObject, process: Process, arrivals: Arrivals) -> LoadedObject:
    path = os.path.abspath(item.path)
    try:
        handle = keep(arrivals.handles, _core.system_open, path)
    except _core.ExecuteError as e:
        raise Unsupported(item.path, f"the system's linker refuses it: {e.detail}") from e
    objects = process.link_map()
    # The link map has it under the path that was asked for, or, where it was there before, under another.
    there = next((o for o in objects if o.path == path), None)
    there = there or next((o for o in objects if os.path.samefile(o.path, path)), None)
    if there is not None:
        arrived = LoadedObject(there.path, Role.SYSTEM, there.base, system=there, system_handle=handle)
        arrivals.objects.append(arrived)
        return arrived
    raise Unsupported(item.path, "the system's linker loaded it from another file", "check LD_LIBRARY_PATH")


def _source(item: PreparedObject, there: LoadedObject | None) -> type_of_source:
    """Where the core takes object `item` from: the file that the plan names (None), bytes, or its place here."""
    if there is not None:
        return (int(there.base), *_tls_place(there, used=item.gives_tls))
    if item.identity is not None:
        return None
    if item.elf is None:
        raise AssertionError(f"{item.path} has neither a file nor bytes")
    return memoryview(item.elf.data)


type_of_source = memoryview | tuple[int, int, int | None] | None


def _tls_place(there: LoadedObject, *, used: bool) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of an object in the process; (0, None) where unused."""
    if there.image is not None:
        return there.image.tls_module, there.image.tls_offset
    return tls_of(there.base, there.path) if used else (0, None)


def _translate(error: _core.ExecuteError, plan: PreparedPlan) -> NoReturn:
    """The core's failure as one of our errors: this is the boundary."""
    item = plan.objects[error.object if 0 <= error.object < len(plan.objects) else 0]
    if error.code == "unresolved":
        symbol = _symbol(item, error.symbol)
        name = symbol.name if symbol is not None else f"symbol {error.symbol}"
        raise UnresolvedSymbol(name, symbol.version if symbol is not None else None, item.path) from error
    if error.code == "system":
        raise SystemFailure(error.detail, error.errno, item.path) from error
    if error.code == "absent":
        raise NotFound(item.path, None, (Tried(item.path, "it was there when the plan was made"),)) from error
    if error.code == "changed":
        raise Unsupported(item.path, "has changed since the plan was made", "make the plan again") from error
    if error.code == "malformed":
        raise MalformedElf(item.path, error.offset, error.detail) from error
    raise Unsupported(item.path, error.detail) from error


def _symbol(item: PreparedObject, index: int) -> Symbol | None:
    elf = item.elf if item.elf is not None else read(item.path)
    return elf.symbols[index] if 0 <= index < len(elf.symbols) else None
