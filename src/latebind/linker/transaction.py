"""Loads are whole or leave nothing, whatever stops them: an error, no memory, control-C between any two steps.

What a load acquires is noted in a place that its roll-back knows of before it is acquired. A KeyboardInterrupt is the
hard case: the interpreter raises it where it next looks for signals, and that may be just after a function has returned
and before its result is stored. It looks only while it executes Python code (after calls, at the start of functions, at
jumps back: Python/ceval.c), so a call and the storing of its result can be made one step in C: `keep`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from latebind import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.linker.loaded import LoadedObject

T = TypeVar("T")


def keep(made: list[T], function: Callable[..., T], *arguments: object) -> T:
    """Append to `made` what `function`, one of the core's, returns; no KeyboardInterrupt comes between. Returns it."""
    columns = [(each,) for each in arguments]
    made.extend(map(function, *columns))
    return made[-1]


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
