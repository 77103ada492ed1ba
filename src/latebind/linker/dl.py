"""The dl API under its POSIX names: `dlopen`, `dlsym`, `dlvsym`, `dlclose`, `dlerror` (dlopen(3), dlsym(3)).

For code and people who think in these terms. The functions return None or a non-zero status where C returns NULL or
one, and `dlerror` tells what went wrong, once and per thread. `latebind.load` raises instead.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from latebind.errors import LatebindError
from latebind.linker.loading import load
from latebind.linker.namespace import this_process

if TYPE_CHECKING:
    from latebind.elf.bytesource import RuntimeAddress
    from latebind.linker.library import Library

RTLD_LAZY: Final = os.RTLD_LAZY
RTLD_NOW: Final = os.RTLD_NOW
RTLD_GLOBAL: Final = os.RTLD_GLOBAL
RTLD_LOCAL: Final = os.RTLD_LOCAL

_last = threading.local()


def _failed(error: Exception) -> None:
    _last.error = str(error)


def dlopen(file: str | None, mode: int) -> Library | None:
    """Load `file` and what it needs; a handle, or None and `dlerror` says why.

    `file` None means the running program. `mode` holds RTLD_LAZY or RTLD_NOW (POSIX lets RTLD_LAZY bind at once, and
    so it does here), and RTLD_GLOBAL where later loads shall see the symbols.
    """
    if not mode & (RTLD_LAZY | RTLD_NOW):
        _failed(ValueError(f"invalid mode {mode:#x} for dlopen(): neither RTLD_LAZY nor RTLD_NOW"))
        return None
    try:
        name = os.readlink("/proc/self/exe") if file is None else file
        return load(name, namespace=this_process(), scope="global" if mode & RTLD_GLOBAL else "local")
    except (LatebindError, OSError) as e:
        _failed(e)
        return None


def dlsym(handle: Library, name: str) -> RuntimeAddress | None:
    """The address of `name` in the library or in what it needs; None, and `dlerror` says why.

    A symbol may truly be at address 0: as in C, ask `dlerror` to tell that from a failure.
    """
    return dlvsym(handle, name, None)


def dlvsym(handle: Library, name: str, version: str | None) -> RuntimeAddress | None:
    """`dlsym` for one version of `name`; None means the default one."""
    try:
        return handle.symbol(name, version)
    except LatebindError as e:
        _failed(e)
    return None


def dlclose(handle: Library) -> int:
    """Give the handle back: 0, or 1 where it was given back before, and `dlerror` says so."""
    if handle.closed:
        _failed(ValueError(f"{handle.path}: the handle was closed before"))
        return 1
    handle.close()
    return 0


def dlerror() -> str | None:
    """What went wrong in this thread since the last call of `dlerror`, or None."""
    text: str | None = getattr(_last, "error", None)
    _last.error = None
    return text
