"""The map file of perf: names for code that no file explains (Linux, tools/perf/Documentation/jit-interface.txt).

Perf sees when a file is mapped, also by our linker, and names functions from the file's own symbols. It cannot for an
object that came from bytes, or whose symbols it shall not need the file for. `LATEBIND_PERF_MAP=1` or `enable` writes
the functions of every object to /tmp/perf-PID.map, one a line: start and size in hexadecimal, and the name. The file is
shared with CPython's own trampolines (``-X perf``) and other compilers: lines are appended, whole, never changed. So
the names of an unloaded library stay; where something else was mapped there later, the later line is the better guess.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from latebind.elf.symbol import STT_FUNC, STT_GNU_IFUNC
from latebind.errors import SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.elf import Elf
    from latebind.elf.symbol import Symbol
    from latebind.linker.loaded import LoadedObject

_written: Final[dict[int, int]] = {}
"""Load bias → id() of the record of each object that was written; under the linker's lock."""
asked: Final[list[None]] = [None] if os.environ.get("LATEBIND_PERF_MAP", "0") not in ("", "0") else []
"""Not empty where the file is wanted."""


def enable() -> None:
    """From now on, the functions of all objects are written, those too that are loaded. Raises `SystemFailure`."""
    from latebind.linker.lifetime import live, lock

    with lock:
        asked[:] = [None]
        show(at for at, _ in live.values())


def map_path() -> str:
    """The file for this process."""
    return f"/tmp/perf-{os.getpid()}.map"  # noqa: S108 - perf looks there and nowhere else


def show(objects: Iterable[LoadedObject]) -> None:
    """Write the functions of those of `objects` that were not written. Under the lock. Raises `SystemFailure`."""
    lines: list[str] = []
    for at in objects:
        if _written.get(at.base) != id(at):
            _written[at.base] = id(at)
            lines += map_lines(at.elf, at.base)
    if not lines:
        return
    try:
        _append("".join(lines).encode("utf-8", "surrogateescape"))
    except OSError as e:
        raise SystemFailure("open", e.errno or 0, map_path()) from e


def forget(at: LoadedObject) -> None:
    """The object goes: what comes to its place is written again. Under the lock."""
    _written.pop(at.base, None)


def _append(data: bytes) -> None:
    """Nobody else's file, and no link: the folder is everybody's."""
    fd = os.open(map_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(1, "belongs to another user")
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def map_lines(elf: Elf, base: int) -> list[str]:
    """A line for each function that `elf`, at load bias `base`, defines, by address; the first name of several."""
    known: dict[int, Symbol] = {}
    for symbol in _functions(elf):
        known.setdefault(symbol.value, symbol)
    return [f"{base + at:x} {s.size:x} {s.name}\n" for at, s in sorted(known.items())]


def _functions(elf: Elf) -> Iterable[Symbol]:
    for table in (elf.static_symbols, elf.symbols):
        for s in table:
            if s.type in (STT_FUNC, STT_GNU_IFUNC) and s.defined and s.size and s.name:
                yield s
