"""Handing a plan to the core: open the files, let the system load what is its own, execute, translate failures.

Everything that is opened here is closed again where a later step fails.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from latebind import _core
from latebind.elf import read
from latebind.elf.bytesource import RuntimeAddress
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried, UnresolvedSymbol, Unsupported
from latebind.linker.loaded import LoadedObject
from latebind.linkplan import Definition, PreparedObject, PreparedPlan, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latebind.elf import Elf
    from latebind.elf.symbol import Symbol
    from latebind.linker.process import Process


def execute(
    plan: PreparedPlan, here: Mapping[int, LoadedObject], hooks: Mapping[str | Definition, int], process: Process
) -> dict[int, LoadedObject]:
    """Map, relocate and protect the objects of `plan` that are not `here`; constructors do not run.

    Returns the live object of every index of the plan. Raises `NotFound`, `MalformedElf`, `Unsupported`,
    `UnresolvedSymbol` or `SystemFailure`; then nothing has changed.
    """
    loaded = dict(here)
    opened: list[int] = []
    handles: list[int] = []
    try:
        for index, item in enumerate(plan.objects):
            if item.role is Role.SYSTEM and not item.present:
                loaded[index] = _open_with_system(item, process, handles)
        sources = [_source(item, loaded.get(index), opened) for index, item in enumerate(plan.objects)]
        files = [_file(item, source) for item, source in zip(plan.objects, sources, strict=True)]
        addresses = [*(hooks[name] for name in plan.hooks), *(hooks[found] for found in plan.redirects)]
        images = _core.execute(plan.packed, sources, addresses)
    except BaseException as e:
        for handle in handles:
            _core.system_close(handle)
        if isinstance(e, _core.ExecuteError):
            _translate(e, plan)
        raise
    finally:
        for fd in opened:
            os.close(fd)
    for index, item in enumerate(plan.objects):
        if item.is_new:
            loaded[index] = _loaded(item, images[index], files[index])
    return loaded


def _file(item: PreparedObject, source: type_of_source) -> Elf | _core.FileMapping | None:
    """The file of an object that is mapped: what was read of it, or what keeps it until somebody reads it."""
    return _core.FileMapping(source) if item.elf is None and isinstance(source, int) else item.elf


def _loaded(item: PreparedObject, image: _core.Object | None, file: Elf | _core.FileMapping | None) -> LoadedObject:
    if image is None:
        raise AssertionError(f"the core returned no image for {item.path}")
    base, names = RuntimeAddress(image.base), frozenset({item.name})
    return LoadedObject(item.path, Role.OWN, base, item.identity, file, None, image, names=names)


def _open_with_system(item: PreparedObject, process: Process, handles: list[int]) -> LoadedObject:
    path = os.path.abspath(item.path)
    try:
        handle = _core.system_open(path)
    except _core.ExecuteError as e:
        raise Unsupported(item.path, f"the system's linker refuses it: {e.detail}") from e
    handles.append(handle)
    objects = process.link_map()
    # The link map has it under the path that was asked for, or, where it was there before, under another.
    there = next((o for o in objects if o.path == path), None)
    there = there or next((o for o in objects if os.path.samefile(o.path, path)), None)
    if there is not None:
        return LoadedObject(there.path, Role.SYSTEM, there.base, system=there, system_handle=handle)
    raise Unsupported(item.path, "the system's linker loaded it from another file", "check LD_LIBRARY_PATH")


def _source(item: PreparedObject, there: LoadedObject | None, opened: list[int]) -> type_of_source:
    """Where the core takes object `item` from: a file, which is then among the `opened`, bytes, or its place here."""
    if there is not None:
        return (int(there.base), *_tls_place(there, used=item.gives_tls))
    if item.identity is None:
        if item.elf is None:
            raise AssertionError(f"{item.path} has neither a file nor bytes")
        return memoryview(item.elf.data)
    try:
        fd = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as e:
        raise NotFound(item.path, None, (Tried(item.path, "it was there when the plan was made"),)) from e
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, item.path) from e
    opened.append(fd)
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) != item.identity:
        raise Unsupported(item.path, "has changed since the plan was made", "make the plan again")
    return fd


type_of_source = int | memoryview | tuple[int, int, int | None]


def _tls_place(there: LoadedObject, *, used: bool) -> tuple[int, int | None]:
    """(TLS module id, offset from the thread pointer or None) of an object in the process; (0, None) where unused."""
    if there.image is not None:
        return there.image.tls_module, there.image.tls_offset
    return _core.tls_of(int(there.base)) if used else (0, None)


def _translate(error: _core.ExecuteError, plan: PreparedPlan) -> NoReturn:
    """The core's failure as one of our errors: this is the boundary."""
    item = plan.objects[error.object if 0 <= error.object < len(plan.objects) else 0]
    if error.code == "unresolved":
        symbol = _symbol(item, error.symbol)
        name = symbol.name if symbol is not None else f"symbol {error.symbol}"
        raise UnresolvedSymbol(name, symbol.version if symbol is not None else None, item.path) from error
    if error.code == "system":
        raise SystemFailure(error.detail, error.errno, item.path) from error
    if error.code == "malformed":
        raise MalformedElf(item.path, error.offset, error.detail) from error
    raise Unsupported(item.path, error.detail) from error


def _symbol(item: PreparedObject, index: int) -> Symbol | None:
    elf = item.elf if item.elf is not None else read(item.path)
    return elf.symbols[index] if 0 <= index < len(elf.symbols) else None
