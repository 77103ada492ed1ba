"""The prototype of a function, from whatever says it: a text, a header, debug information, or Python annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.errors import Unsupported
from latebind.ffi.prototype import parse_prototype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from latebind.elf import Elf
    from latebind.ffi.ctype import Prototype
    from latebind.ffi.declaration import Declarations


def find_prototype(given: str | Callable[..., Any], types: Declarations | None, elves: Iterable[Elf]) -> Prototype:
    """The prototype that `given` is, or names.

    A name alone is looked up in `types`, then in the debug information of the first of `elves` that exports it. Raises
    ValueError and Unsupported.
    """
    if not isinstance(given, str):
        from latebind.ffi.annotation import prototype_of

        return prototype_of(given, types)
    name = given.strip()
    if not name.isidentifier():
        return parse_prototype(given, types)
    if types is not None and name in types.prototypes:
        return types.prototypes[name]
    from latebind.ffi.debug import described_prototype

    for elf in elves:
        if any(symbol.name == name and symbol.exported for symbol in elf.symbols):
            found = described_prototype(elf, name)
            if found is not None:
                return found
            break
    raise Unsupported(name, "has no prototype: no debug information tells it", "give its C prototype")
