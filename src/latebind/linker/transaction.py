"""Loads are whole or leave nothing, whatever stops them: an error, no memory, control-C between any two steps.

What a load acquires is noted where its roll-back finds it, in one step with getting it (`latebind.elf.mapping.keep`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(eq=False, slots=True)
class Arrivals:
    """What a load has brought into the process, until a namespace answers for it."""

    images: list[tuple[_core.Object | None, ...]] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    """Of the system's linker."""
    objects: list[LoadedObject] = field(default_factory=list)
    """The records made of them."""
    root: LoadedObject | None = None
    """What the load has a handle on."""
    settled: bool = False
    """Whether the namespace answers for them and the handle is counted: what nobody holds then goes by itself."""

    def take_back(self) -> None:
        """Unmap and close all of it; no constructor has run."""
        for image in (i for images in self.images for i in images if i is not None):
            image.unmap()
        while self.handles:
            _core.system_close(self.handles[-1])
            del self.handles[-1]
