"""The GOT and the PLT: which references need a slot or an entry, and what the dynamic linker has to put into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from latebind.linkplan.static.machine import Compute, Form, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linkplan.static.layout import Chunk
    from latebind.linkplan.static.relocatable import Reference
    from latebind.linkplan.static.symbols import LinkSymbol


class Slot(Enum):
    """What GOT slots hold; the value is how many words."""

    ADDRESS = ("address", 1)
    PAIR = ("module and offset", 2)
    MODULE = ("own module", 2)
    STATIC = ("offset from the thread pointer", 1)
    DESCRIPTOR = ("TLS descriptor", 2)

    @property
    def words(self) -> int:
        """Eight bytes each."""
        return int(self.value[1])


_SLOTS: Final = {
    Compute.SLOT: Slot.ADDRESS,
    Compute.SLOT_FROM_GOT: Slot.ADDRESS,
    Compute.TLS_PAIR: Slot.PAIR,
    Compute.TLS_MODULE: Slot.MODULE,
    Compute.TLS_SLOT: Slot.STATIC,
    Compute.TLS_DESCRIPTOR: Slot.DESCRIPTOR,
}


@dataclass
class Slots:
    """Offsets in the GOT by kind and symbol (None: of no symbol), and in the PLT by symbol."""

    target: Target
    got: dict[tuple[Slot, LinkSymbol | None], int] = field(default_factory=dict)
    got_size: int = 0
    plt: dict[LinkSymbol, int] = field(default_factory=dict)

    def scan(self, chunks: Iterable[Chunk]) -> None:
        """Make room for everything that the chunks' references need. Unknown types are left to `apply`."""
        for chunk in chunks:
            for reference, symbol in chunk.references:
                rule = self.target.rules.get(reference.type)
                if rule is None:
                    continue
                if rule.compute in _SLOTS:
                    self.slot(rule.compute, symbol)
                elif needs_entry(self.target, rule, reference, symbol, chunk):
                    self._entry(symbol)

    def slot(self, compute: Compute, symbol: LinkSymbol | None) -> int:
        """The offset of the slot that such a relocation goes through."""
        kind = _SLOTS[compute]
        key = (kind, None if kind is Slot.MODULE else symbol)
        if key not in self.got:
            self.got[key] = self.got_size
            self.got_size += 8 * kind.words
        return self.got[key]

    def _entry(self, symbol: LinkSymbol) -> None:
        self.slot(Compute.SLOT, symbol)
        self.plt.setdefault(symbol, len(self.plt) * len(self.target.entry))


def needs_entry(target: Target, rule: Rule, reference: Reference, symbol: LinkSymbol, chunk: Chunk) -> bool:
    """Whether the reference goes to the symbol's PLT entry instead of the symbol."""
    if symbol.is_ifunc:
        return rule.compute in {Compute.CALL, Compute.CALL_FROM_GOT, Compute.RELATIVE, Compute.FROM_GOT}
    if not symbol.dynamic:
        return False
    if rule.compute in {Compute.CALL, Compute.CALL_FROM_GOT}:
        return True
    is_distance = rule.compute is Compute.RELATIVE and rule.form is Form.WORD and rule.width == 4
    return is_distance and target.is_call(chunk.contents, reference.offset)
