"""GNU program properties (Linux ABI extensions, ".note.gnu.property"): the array in a NT_GNU_PROPERTY_TYPE_0 note."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Property(NamedTuple):
    """One property. `size` is what it states, `data` what is there of it: less in a broken note."""

    type: int
    size: int
    data: bytes

    @property
    def complete(self) -> bool:
        """Whether all of the data is there."""
        return len(self.data) == self.size


def read_properties(desc: bytes, *, is64: bool, little: bool) -> Iterator[Property]:
    """The properties in a note's description; each is padded to 8 bytes in 64-bit files, to 4 in others.

    What follows an incomplete property cannot be read; fewer than eight bytes at the end are no property.
    """
    step, order = 8 if is64 else 4, "little" if little else "big"
    at = 0
    while at + 8 <= len(desc):
        kind = int.from_bytes(desc[at : at + 4], order)  # type: ignore[arg-type]  # mypy does not keep the literals
        size = int.from_bytes(desc[at + 4 : at + 8], order)  # type: ignore[arg-type]
        found = Property(kind, size, desc[at + 8 : at + 8 + size])
        yield found
        if not found.complete:
            return
        at += 8 + (size + step - 1) // step * step
