"""Handing a plan to the core: let the system load what is its own, execute, translate failures.

What is opened here, and what comes into the process, is in the hands of the caller's `Arrivals`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NoReturn

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
    from latebind.linker.process import Process, SystemObject
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
        sources = [_source(item, loaded.get(index)) for index, item in enumerate(plan.objects)]
        addresses = [*map(hooks.__getitem__, plan.hooks), *map(hooks.__getitem__, plan.redirects)] if hooks else ()
        arrived = keep(arrivals.results, _core.execute, plan.packed, sources, addresses)
    except _core.ExecuteError as e:
        _translate(e, plan)
    for index, (item, result) in enumerate(zip(plan.objects, arrived, strict=True)):
        if result is None:
            continue
        if isinstance(result, tuple):
            loaded[index] = _of_system(item, result[0], process.arrived(result[1]))
        else:
            loaded[index] = _of_ours(item, result)
        arrivals.objects.append(loaded[index])
    return loaded


def _of_ours(item: PreparedObject, image: _core.Object) -> LoadedObject:
    base, names = RuntimeAddress(image.base), frozenset({item.name})
    return LoadedObject(item.path, item.role, base, item.identity, item.elf, None, image, names=names)


def _of_system(item: PreparedObject, handle: int, there: SystemObject | None) -> LoadedObject:
    """What the system's linker has loaded: the link map may have it under another path, if it was there before."""
    if there is None or (there.path != item.path and not os.path.samefile(there.path, item.path)):
        raise Unsupported(item.path, "the system's linker loaded it from another file", "check LD_LIBRARY_PATH")
    return LoadedObject(there.path, item.role, there.base, system=there, system_handle=handle)


def _source(item: PreparedObject, there: LoadedObject | None) -> type_of_source:
    """Where the core takes `item` from: its place here, the system's linker (a path), the file (None), or bytes."""
    if there is not None:
        return (there.base, *_tls_place(there)) if item.gives_tls else (there.base, 0, None)
    if item.role is _SYSTEM:
        return os.path.abspath(item.path)
    if item.identity is not None:
        return None
    if item.elf is None:
        raise AssertionError(f"{item.path} has neither a file nor bytes")
    return memoryview(item.elf.data)


_SYSTEM: Final = Role.SYSTEM  # each look into an enumeration is a call
type_of_source = memoryview | tuple[int, int, int | None] | str | None


def _tls_place(there: LoadedObject) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of an object in the process."""
    if there.image is not None:
        return there.image.tls_module, there.image.tls_offset
    return tls_of(there.base, there.path)


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
