"""Debuggers see our objects: functions, lines and frames, while they are loaded.

Nothing is done until a debugger listens (it has set its breakpoint in the core, src/core/debugger.c), or until the
environment variable LATEBIND_GDB or `enable` asks for it: then every object gets a symbol file (symbolfile.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from latebind import _core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linker.loaded import LoadedObject

_entries: Final[dict[int, tuple[int, int | None]]] = {}
"""Load bias → the core's entry and the descriptor of a file without a name; under the linker's lock."""
asked: Final[list[None]] = [None] if os.environ.get("LATEBIND_GDB", "0") not in ("", "0") else []
"""Not empty where a debugger is wanted, whether one listens (the core's `debugger_listens`) or not."""


def enable() -> None:
    """From now on, all objects are made known, those too that are loaded: for a debugger that is attached later."""
    from latebind.linker.lifetime import live, lock

    with lock:
        asked[:] = [None]
        show(at for at, _ in live.values())


def script() -> str:
    """The path of a gdb script with the command `latebind-symbols`, for a debugger that came after the loading."""
    return os.path.join(os.path.dirname(__file__), "latebind.gdb")


def show(objects: Iterable[LoadedObject]) -> None:
    """Make known those of `objects` that are not. Under the lock."""
    from latebind.linker.symbolfile import symbol_file  # late: hardly anybody debugs

    for at in objects:
        if at.base not in _entries:
            fd = _anonymous(at) if at.elf.identity is None else None
            path = os.path.abspath(at.path) if fd is None else f"/proc/{os.getpid()}/fd/{fd}"
            _entries[at.base] = _core.debugger_enter(symbol_file(at.elf, at.base, path)), fd


def hide(at: LoadedObject) -> None:
    """Let the debugger forget an object that goes. Under the lock."""
    entry, fd = _entries.pop(at.base, (0, None))
    if entry:
        _core.debugger_remove(entry)
    if fd is not None:
        os.close(fd)


def _anonymous(at: LoadedObject) -> int:
    fd = os.memfd_create("latebind-symbols", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(at.elf.data)
    return fd
