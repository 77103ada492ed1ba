"""Loads are whole or leave nothing, whatever stops them: an error, no memory, control-C between any two steps.

What a load acquires is noted where its roll-back finds it, in one step with getting it (`latebind.elf.mapping.keep`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.linker.loaded import LoadedObject


def roll_back(undo: list[Callable[[], None]]) -> None:
    """Call what is in `undo`, the last first: all of it, whatever is raised on the way."""
    try:
        while undo:
            undo.pop()()
    finally:
        if undo:
            roll_back(undo)


class Arrivals:
    """What a load has brought into the process, until a namespace answers for it."""

    __slots__ = ("objects", "results", "root", "settled")

    def __init__(self) -> None:
        self.results: list[tuple[_core.Object | tuple[int, int] | None, ...]] = []
        """What the core returned: our images, and handles of the system's linker."""
        self.objects: list[LoadedObject] = []
        """The records made of them."""
        self.root: LoadedObject | None = None
        """What the load has a handle on."""
        self.settled = False
        """Whether the namespace answers for them and the handle is counted: what nobody holds then goes by itself."""

    def take_back(self) -> None:
        """Unmap and close all of it; no constructor has run."""
        for arrived in (a for result in self.results for a in result):
            if isinstance(arrived, tuple):
                _core.system_close(arrived[0])
            elif arrived is not None:
                arrived.unmap()
