"""The desk: what loaded native code asks the linker at run time, answered.

The core calls these methods from the thread that asks (src/core/py_callback.c); each returns a number and, where
something went wrong, a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind import _core
from latebind.linker.namespace import whose
from latebind.linkplan import Kind
from latebind.linkplan.near import near_names
from latebind.linkplan.resolve import bind_call

if TYPE_CHECKING:
    from latebind.linker.loaded import LoadedObject
    from latebind.linkplan import Binding


class Desk:
    """Answers questions of native code. One for the process."""

    def find_late(self, base: int, symbol: int) -> tuple[int, str | None]:
        """The function for the symbol number `symbol` of the object at `base`, which had no definition when loaded."""
        found = whose(base)
        if found is None:
            return 0, None
        at, namespace = found
        places = namespace.scope_of(at)
        binding = bind_call(at.elf, 0, symbol, [(i, o.elf) for i, o in enumerate(places)])
        if binding.target is None:
            return 0, _hint(at, binding.symbol)
        target = places[binding.target]
        at.holds.append(target)
        return _function_address(target, binding), None


def _hint(at: LoadedObject, symbol: str) -> str | None:
    """What the core says before it ends the process: names that come close."""
    near = near_names(symbol, [s.name for o in (at, *at.scope) for s in o.elf.symbols if s.exported])
    return f"; did you mean {', '.join(near)}?" if near else None


def _function_address(target: LoadedObject, binding: Binding) -> int:
    if binding.kind is Kind.ABSOLUTE:
        return binding.value
    address = target.base + binding.value
    return _core.call_resolver(address) if binding.kind is Kind.IFUNC else address


def open_desk() -> None:
    """From now on native code gets answers."""
    _core.set_desk(Desk())
