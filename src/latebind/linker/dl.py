"""The dl API under its POSIX and GNU names: dlopen(3), dlsym(3), dladdr(3), dlinfo(3), dlmopen(3).

For code and people who think in these terms. The functions return None or a non-zero status where C returns NULL or
one, and `dlerror` tells what went wrong, once and per thread. `latebind.load` raises instead. Native code that was
loaded by latebind and calls these functions in C gets the same linker (desk.py).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from latebind import _core
from latebind.elf.bytesource import RuntimeAddress
from latebind.elf.segment import PT_DYNAMIC, Segment
from latebind.errors import ClosedLibrary, LatebindError, UnresolvedSymbol, Unsupported
from latebind.linker.desk import open_desk
from latebind.linker.lifetime import lock
from latebind.linker.lookup import address_of, find_symbol
from latebind.linker.modes import (
    RTLD_DEEPBIND,
    RTLD_GLOBAL,
    RTLD_LAZY,
    RTLD_LOCAL,
    RTLD_NODELETE,
    RTLD_NOLOAD,
    RTLD_NOW,
    open_plan,
    plan_for,
)
from latebind.linker.namespace import Namespace, this_process
from latebind.linker.process import tls_of
from latebind.linker.searching import search_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.linker.library import Library

__all__ = [
    "LM_ID_BASE",
    "LM_ID_NEWLM",
    "RTLD_DEEPBIND",
    "RTLD_DEFAULT",
    "RTLD_DI_LINKMAP",
    "RTLD_DI_LMID",
    "RTLD_DI_ORIGIN",
    "RTLD_DI_PHDR",
    "RTLD_DI_SERINFO",
    "RTLD_DI_SERINFOSIZE",
    "RTLD_DI_TLS_DATA",
    "RTLD_DI_TLS_MODID",
    "RTLD_GLOBAL",
    "RTLD_LAZY",
    "RTLD_LOCAL",
    "RTLD_NEXT",
    "RTLD_NODELETE",
    "RTLD_NOLOAD",
    "RTLD_NOW",
    "DlInfo",
    "LinkMap",
    "SearchInfo",
    "dladdr",
    "dlclose",
    "dlerror",
    "dlinfo",
    "dlmopen",
    "dlopen",
    "dlsym",
    "dlvsym",
]

RTLD_DEFAULT: Final = 0
"""For `dlsym`: the global scope."""
RTLD_NEXT: Final = -1
"""For `dlsym`: the global scope behind its first object, the program, which is the caller."""
LM_ID_BASE: Final = 0
LM_ID_NEWLM: Final = -1
RTLD_DI_LMID, RTLD_DI_LINKMAP, RTLD_DI_SERINFO, RTLD_DI_SERINFOSIZE, RTLD_DI_ORIGIN = 1, 2, 4, 5, 6
RTLD_DI_TLS_MODID, RTLD_DI_TLS_DATA, RTLD_DI_PHDR = 9, 10, 11
_HEAD, _ENTRY = 16, 16  # bytes of a Dl_serinfo before its entries, and of a Dl_serpath (<dlfcn.h>, 64 bits)

_last = threading.local()


@dataclass(frozen=True, slots=True)
class DlInfo:
    """What `dladdr` finds: the object's path and start, and the nearest symbol at or before the address, if any."""

    fname: str
    fbase: RuntimeAddress
    sname: str | None
    saddr: RuntimeAddress | None


@dataclass(frozen=True, slots=True)
class LinkMap:
    """The public part of a link map entry: load bias, path, and address of the dynamic section (0 if unknown)."""

    addr: RuntimeAddress
    name: str
    ld: RuntimeAddress


@dataclass(frozen=True, slots=True)
class SearchInfo:
    """A Dl_serinfo: the bytes that C needs for it, how many folders there are, and their names in order."""

    size: int
    count: int
    path: tuple[str, ...]


def _failed(error: Exception) -> None:
    """Note what `dlerror` will say. What comes close to a name is looked for only when somebody asks."""
    _last.error = error.with_traceback(None) if isinstance(error, UnresolvedSymbol) else str(error)


def dlopen(file: str | None, mode: int) -> Library | None:
    """Load `file` and what it needs; a handle, or None and `dlerror` says why.

    `file` None means the running program. `mode` is RTLD_LAZY or RTLD_NOW, together with any of RTLD_GLOBAL (later
    loads see its symbols), RTLD_LOCAL, RTLD_NOLOAD (only if it is there), RTLD_NODELETE (never unload it) and
    RTLD_DEEPBIND (its own symbols come before the global scope's).
    """
    return dlmopen(LM_ID_BASE, file, mode)


def dlmopen(namespace: Namespace | int, file: str | None, mode: int) -> Library | None:
    """`dlopen` in a namespace: a `Namespace`, LM_ID_BASE (the process's own) or LM_ID_NEWLM (a new one)."""
    try:
        with lock:
            where = _namespace(namespace)
            name = os.readlink("/proc/self/exe") if file is None else file
            return open_plan(plan_for(name, mode, where), mode, where)
    except (LatebindError, OSError, ValueError) as e:
        _failed(e)
        return None


def _namespace(namespace: Namespace | int) -> Namespace:
    if isinstance(namespace, Namespace):
        return namespace
    if namespace not in (LM_ID_BASE, LM_ID_NEWLM):
        raise ValueError(f"{namespace} is no namespace: give a Namespace, LM_ID_BASE or LM_ID_NEWLM")
    return this_process() if namespace == LM_ID_BASE else Namespace()


def dlsym(handle: Library | int, name: str) -> RuntimeAddress | None:
    """The address of `name` in the library or in what it needs; None, and `dlerror` says why.

    Instead of a handle, RTLD_DEFAULT or RTLD_NEXT. A symbol may truly be at address 0: as in C, ask `dlerror` to tell
    that from a failure.
    """
    return dlvsym(handle, name, None)


def dlvsym(handle: Library | int, name: str, version: str | None) -> RuntimeAddress | None:
    """`dlsym` for one version of `name`; None means the default one."""
    try:
        if not isinstance(handle, int):
            return handle.symbol(name, version)
        return _find_in_process(handle, name, version)
    except (LatebindError, ValueError) as e:
        _failed(e)
    return None


def _find_in_process(handle: int, name: str, version: str | None) -> RuntimeAddress:
    if handle not in (RTLD_DEFAULT, RTLD_NEXT):
        raise ValueError(f"{handle} is no handle: give a library, RTLD_DEFAULT or RTLD_NEXT")
    with lock:
        place = find_symbol(this_process().global_scope()[1 if handle == RTLD_NEXT else 0 :], name, version)
        if place is None:
            raise UnresolvedSymbol(name, version)
        return address_of(place)


def dlclose(handle: Library) -> int:
    """Give the handle back: 0, or 1 where it was given back before, and `dlerror` says so."""
    if handle.closed:
        _failed(ValueError(f"{handle.path}: the handle was closed before"))
        return 1
    handle.close()
    return 0


def dlerror() -> str | None:
    """What went wrong in this thread since the last call of `dlerror`, or None."""
    error: UnresolvedSymbol | str | None = getattr(_last, "error", None)
    _last.error = None
    return None if error is None else str(error)


def dladdr(address: int) -> DlInfo | None:
    """Which object and which symbol a runtime address belongs to; None where it is in no object."""
    found = _core.address_info(address)
    if found is None:
        return None
    path, start, symbol, at = found
    return DlInfo(path, RuntimeAddress(start), symbol, RuntimeAddress(at) if symbol is not None else None)


type_of_information = Namespace | LinkMap | SearchInfo | tuple[Segment, ...] | str | int


def dlinfo(handle: Library, request: int) -> type_of_information | None:
    """What `request` asks about a library; None, and `dlerror` says why.

    RTLD_DI_LMID: its `Namespace`. RTLD_DI_LINKMAP: a `LinkMap`. RTLD_DI_ORIGIN: its folder. RTLD_DI_TLS_MODID: its TLS
    module id, 0 without TLS. RTLD_DI_TLS_DATA: the address of its TLS block in this thread, 0 without. RTLD_DI_SERINFO:
    a `SearchInfo`, where what it needs and opens is looked for; RTLD_DI_SERINFOSIZE: the same without the names.
    RTLD_DI_PHDR: its program headers.
    """
    try:
        return _information(handle, request)
    except LatebindError as e:
        _failed(e)
        return None


def _information(handle: Library, request: int) -> type_of_information:
    if handle.closed:
        raise ClosedLibrary(handle.path)
    if request not in _ANSWERS:
        raise Unsupported(f"dlinfo request {request}", "is not answered here")
    return _ANSWERS[request](handle)


def _link_map(handle: Library) -> LinkMap:
    root = handle.closure[0]
    dynamic = root.elf.segment(PT_DYNAMIC)
    return LinkMap(root.base, handle.path, RuntimeAddress(root.base + dynamic.vaddr if dynamic is not None else 0))


def _search_info(handle: Library) -> SearchInfo:
    with lock:
        path = tuple(search_path(handle.closure[0], handle.namespace))
    size = _HEAD + sum(_ENTRY + len(os.fsencode(folder)) + 1 for folder in path)
    return SearchInfo(size, len(path), path)


def _tls_module(handle: Library) -> int:
    root = handle.closure[0]
    return root.image.tls_module if root.image is not None else tls_of(root.base, handle.path)[0]


def _tls_data(handle: Library) -> int:
    module = _tls_module(handle)
    return _core.tls_address(module, 0) if module else 0


_ANSWERS: Final[dict[int, Callable[[Library], type_of_information]]] = {
    RTLD_DI_LMID: lambda handle: handle.namespace,
    RTLD_DI_LINKMAP: _link_map,
    RTLD_DI_SERINFO: _search_info,
    RTLD_DI_SERINFOSIZE: lambda handle: replace(_search_info(handle), path=()),
    RTLD_DI_ORIGIN: lambda handle: os.path.dirname(handle.path),
    RTLD_DI_TLS_MODID: _tls_module,
    RTLD_DI_TLS_DATA: _tls_data,
    RTLD_DI_PHDR: lambda handle: handle.closure[0].elf.segments,
}


open_desk()
