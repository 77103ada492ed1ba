"""Open files and their bytes in memory, held so that nothing is left open whatever happens: `Descriptor`, `keep`.

A KeyboardInterrupt is raised where the interpreter next looks for signals, and that may be just after a function has
returned and before its result is stored. It looks only while it executes Python code (after calls, at the start of
functions, at jumps back: Python/ceval.c), so a call and the storing of its result can be made one step in C.
"""

from __future__ import annotations

import os

from latebind._core import FileMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")


def keep(made: list[T], function: Callable[..., T], *arguments: object) -> T:
    """Append to `made` what `function`, written in C, returns; no KeyboardInterrupt comes between. Returns it."""
    columns = [(each,) for each in arguments]
    made.extend(map(function, *columns))
    return made[-1]


class Descriptor:
    """An open file, for reading unless `flags` say otherwise; a context manager that gives the descriptor.

    It is closed when the object is dropped, too. Raises what os.open(2) raises.
    """

    _open: Sequence[int] = ()

    def __init__(self, path: str, flags: int = 0, mode: int = 0) -> None:
        made: list[int] = []
        self._open = made
        keep(made, os.open, path, os.O_CLOEXEC | flags, mode)

    @property
    def number(self) -> int:
        """The descriptor."""
        return self._open[0]

    def __enter__(self) -> int:
        return self._open[0]

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        closing, self._open = self._open, ()
        if closing:  # nothing here needs memory
            os.close(closing[0])

    __del__ = close


def map_file(path: str) -> memoryview:
    """The bytes of the regular, non-empty file at `path`; raises OSError where it cannot be mapped."""
    with Descriptor(path) as fd:
        return memoryview(FileMapping(fd))
