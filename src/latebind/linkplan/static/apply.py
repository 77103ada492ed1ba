"""Applying the inputs' relocations at the addresses that the layout gave, and collecting what is left to load time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from latebind.elf.symbol import STV_DEFAULT, STV_PROTECTED
from latebind.errors import UnresolvedSymbol, Unsupported
from latebind.linkplan.static.machine import Compute, Form, Rule, Target
from latebind.linkplan.static.slots import Slot, Slots, needs_entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linkplan.static.layout import Chunk
    from latebind.linkplan.static.relocatable import Reference
    from latebind.linkplan.static.symbols import LinkSymbol


class DynamicRelocation(NamedTuple):
    """What the dynamic linker has to do at `address`; `symbol` is None where it needs none."""

    address: int
    type: int
    symbol: LinkSymbol | None
    addend: int


@dataclass
class Apply:
    """One run over all chunks. `got` and `plt` are the chunks of `slots`; `tls` is the thread-local image's address."""

    target: Target
    slots: Slots
    got: Chunk
    plt: Chunk | None
    tls: int
    left: list[DynamicRelocation] = field(default_factory=list)
    changes_text: bool = False
    static_tls: bool = False

    def run(self, chunks: Iterable[tuple[Chunk, bool]]) -> None:
        """Relocate the chunks, each with whether it is writable, then fill the GOT and the PLT."""
        for chunk, writable in chunks:
            for reference, symbol in chunk.references:
                self._one(chunk, reference, symbol, writable=writable)
        for (kind, wanted), offset in self.slots.got.items():
            self._fill(kind, wanted, offset)
        for wanted, offset in self.slots.plt.items():
            if self.plt is not None:
                slot = self.got.address + self.slots.slot(Compute.SLOT, wanted)
                self.target.fill_entry(self.plt.contents, offset, self.plt.address + offset, slot)

    def _one(self, chunk: Chunk, reference: Reference, symbol: LinkSymbol, *, writable: bool) -> None:
        rule = self.target.rules.get(reference.type)
        if rule is None:
            raise Unsupported(_place(chunk, reference), f"relocation type {reference.type} is not known")
        if rule.compute is Compute.NOTHING:
            return
        if reference.offset + rule.width > len(chunk.contents):
            raise Unsupported(_place(chunk, reference), f"relocation {rule.name} reaches beyond its section")
        if symbol.discarded:
            self._discarded(chunk, reference, rule)
            return
        _check_kind(chunk, reference, symbol, rule)
        if self._leave(chunk, reference, symbol, rule):
            self.changes_text |= not writable
            return
        value = self._value(rule, reference, symbol, chunk)
        write = _store if rule.form is Form.WORD else _store_in_instruction
        write(chunk, reference, rule, symbol, value)

    @staticmethod
    def _discarded(chunk: Chunk, reference: Reference, rule: Rule) -> None:
        """The symbol was in a COMDAT group of which an earlier object had the first copy."""
        if not chunk.name.startswith(".eh_frame"):
            raise Unsupported(_place(chunk, reference), "refers to a section that was discarded as a duplicate")
        # A frame whose function begins at 0 is passed over by unwinders (libgcc, unwind-dw2-fde.c).
        chunk.contents[reference.offset : reference.offset + rule.width] = bytes(rule.width)

    def _leave(self, chunk: Chunk, reference: Reference, symbol: LinkSymbol, rule: Rule) -> bool:
        """Leave the reference to the dynamic linker, where only it can know the value."""
        place, dynamic = chunk.address + reference.offset, self.target.dynamic
        if rule.form is not Form.WORD and rule.compute in {Compute.TLS_STATIC, Compute.ABSOLUTE}:
            raise _not_pic(chunk, reference, rule, symbol)  # the dynamic linker does not change instructions
        if rule.compute is Compute.TLS_STATIC:
            self.static_tls = True
            self._add(place, dynamic.tls_static[rule.width], symbol, reference.addend, local=self._offset(symbol))
            return True
        is_word = rule.form is Form.WORD and rule.compute in {Compute.ABSOLUTE, Compute.RELATIVE}
        if not is_word or needs_entry(self.target, rule, reference, symbol, chunk):
            return False
        if not symbol.dynamic:
            return rule.compute is Compute.ABSOLUTE and self._leave_address(chunk, reference, symbol, rule)
        if _is_nothing(symbol):
            return rule.compute is Compute.ABSOLUTE  # zero: it stands there already
        kinds = {8: dynamic.absolute} if rule.compute is Compute.ABSOLUTE else dynamic.relative_to_place
        if rule.width not in kinds:
            raise _not_pic(chunk, reference, rule, symbol)
        self._add(place, kinds[rule.width], symbol, reference.addend)
        return True

    def _leave_address(self, chunk: Chunk, reference: Reference, symbol: LinkSymbol, rule: Rule) -> bool:
        """An address in the result depends on where it is loaded; an absolute one does not."""
        if symbol.absolute:
            return False
        if rule.width != 8:
            raise _not_pic(chunk, reference, rule, symbol)
        kind = self.target.dynamic.irelative if symbol.is_ifunc else self.target.dynamic.relative
        place = chunk.address + reference.offset
        self.left.append(DynamicRelocation(place, kind, None, symbol.address + reference.addend))
        return True

    def _add(self, place: int, kind: int, symbol: LinkSymbol, addend: int, local: int = 0) -> None:
        if symbol.dynamic:
            _check_bindable(symbol)
            self.left.append(DynamicRelocation(place, kind, symbol, addend))
        else:
            self.left.append(DynamicRelocation(place, kind, None, local + addend))

    def _value(self, rule: Rule, reference: Reference, symbol: LinkSymbol, chunk: Chunk) -> int:
        place, addend, got = chunk.address + reference.offset, reference.addend, self.got.address
        compute = rule.compute
        if compute is Compute.ABSOLUTE:
            return symbol.address + addend
        if compute is Compute.SIZE:
            return symbol.size + addend
        if compute is Compute.GOT:
            return got + addend - place
        if compute is Compute.TLS_OFFSET:
            return self._offset(symbol) + addend
        if compute in {Compute.RELATIVE, Compute.CALL, Compute.FROM_GOT, Compute.CALL_FROM_GOT}:
            leads = self._leads(rule, reference, symbol, chunk) + addend
            return self._way(rule, leads, place) if compute in {Compute.RELATIVE, Compute.CALL} else leads - got
        slot = self.slots.slot(compute, symbol) + addend
        return slot if compute is Compute.SLOT_FROM_GOT else self._way(rule, got + slot, place)

    def _way(self, rule: Rule, target: int, place: int) -> int:
        """What the code at `place` needs to know of `target`: how far it is, in most forms."""
        if rule.form is Form.PAGE:
            return (target >> 12) - (place >> 12)
        if rule.form is Form.LOW:
            return target & 0xFFF
        if rule.form is Form.GOT_LOW:
            return target - (self.got.address & -4096)
        return target - place

    def _leads(self, rule: Rule, reference: Reference, symbol: LinkSymbol, chunk: Chunk) -> int:
        """Where a direct reference leads: the symbol, or its PLT entry."""
        if self.plt is not None and needs_entry(self.target, rule, reference, symbol, chunk):
            return self.plt.address + self.slots.plt[symbol]
        if symbol.absolute or symbol.dynamic:  # how far it is depends on where the result is loaded
            raise _not_pic(chunk, reference, rule, symbol)
        return symbol.address

    def _offset(self, symbol: LinkSymbol) -> int:
        """A thread-local symbol's place in its block."""
        return symbol.address - self.tls if symbol.defined else 0

    def _fill(self, kind: Slot, symbol: LinkSymbol | None, offset: int) -> None:
        """One entry of the GOT."""
        place, types = self.got.address + offset, self.target.dynamic
        if kind is Slot.MODULE or symbol is None:
            self.left.append(DynamicRelocation(place, types.tls_module, None, 0))
        elif kind is Slot.ADDRESS:
            self._fill_address(symbol, place, offset)
        elif kind is Slot.PAIR:
            self._add(place, types.tls_module, symbol, 0)
            self._add(place + 8, types.tls_offset, symbol, 0, local=self._offset(symbol))
        else:
            self.static_tls |= kind is Slot.STATIC
            dynamic = types.tls_static[8] if kind is Slot.STATIC else types.tls_descriptor
            self._add(place, dynamic, symbol, 0, local=self._offset(symbol))

    def _fill_address(self, symbol: LinkSymbol, place: int, offset: int) -> None:
        if _is_nothing(symbol):
            return
        if symbol.dynamic:
            self._add(place, self.target.dynamic.slot, symbol, 0)
        elif symbol.absolute:
            self.got.contents[offset : offset + 8] = (symbol.address % (1 << 64)).to_bytes(8, "little")
        else:
            kind = self.target.dynamic.irelative if symbol.is_ifunc else self.target.dynamic.relative
            self.left.append(DynamicRelocation(place, kind, None, symbol.address))


def _is_nothing(symbol: LinkSymbol) -> bool:
    """Whether the symbol is weak, undefined, and may not be defined elsewhere: then it is 0 for good."""
    return not symbol.defined and not symbol.wanted and symbol.visibility not in (STV_DEFAULT, STV_PROTECTED)


def _check_bindable(symbol: LinkSymbol) -> None:
    if not symbol.defined and symbol.visibility not in (STV_DEFAULT, STV_PROTECTED):
        # Hidden: no other object may define it, so looking for it at load time would be wrong.
        raise UnresolvedSymbol(symbol.name, None, symbol.owner)


_TLS = {
    Compute.TLS_PAIR, Compute.TLS_SLOT, Compute.TLS_STATIC, Compute.TLS_DESCRIPTOR, Compute.TLS_OFFSET,
}  # fmt: skip


def _check_kind(chunk: Chunk, reference: Reference, symbol: LinkSymbol, rule: Rule) -> None:
    """A thread-local symbol is reached by TLS relocations, any other one by none of them."""
    if rule.compute in {Compute.TLS_MODULE, Compute.SIZE, Compute.GOT} or not symbol.defined:
        return
    if (rule.compute in _TLS) != symbol.is_thread_local:
        what = "thread-local" if symbol.is_thread_local else "not thread-local"
        raise Unsupported(_place(chunk, reference), f"relocation {rule.name} against {symbol.name}, which is {what}")


def _store(chunk: Chunk, reference: Reference, rule: Rule, symbol: LinkSymbol, value: int) -> None:
    bits = 8 * rule.width
    low, high = (-(1 << bits - 1), 1 << bits - 1) if rule.signed else (0, 1 << bits)
    if rule.signed is not None and not low <= value < high:
        raise Unsupported(
            _place(chunk, reference),
            f"relocation {rule.name} against {symbol.name}: {value:#x} does not fit in {bits} bits",
        )
    where = slice(reference.offset, reference.offset + rule.width)
    chunk.contents[where] = (value % (1 << bits)).to_bytes(rule.width, "little")


# Bits of each field: where it starts and how many (A64, "Encoding").
_FIELDS = {
    Form.LOW: (10, 12), Form.GOT_LOW: (10, 12), Form.JUMP_26: (0, 26), Form.JUMP_19: (5, 19), Form.JUMP_14: (5, 14)
}  # fmt: skip


def _store_in_instruction(chunk: Chunk, reference: Reference, rule: Rule, symbol: LinkSymbol, value: int) -> None:
    """Put `value` into a field of the instruction at the reference; the field's old contents do not count."""
    where = slice(reference.offset, reference.offset + 4)
    word = int.from_bytes(chunk.contents[where], "little")
    if rule.form in {Form.PAGE, Form.NEAR}:
        bits, shift, sign = 21, 0, True
    else:
        shift = 2 if rule.form in {Form.JUMP_26, Form.JUMP_19, Form.JUMP_14} else rule.scale
        bits, sign = _FIELDS[rule.form][1], rule.form not in {Form.LOW, Form.GOT_LOW}
    number = value >> shift
    low, high = (-(1 << bits - 1), 1 << bits - 1) if sign else (0, 1 << bits)
    is_unchecked = rule.form is Form.PAGE and rule.signed is None  # its name ends in _NC
    if value & ((1 << shift) - 1) or not (is_unchecked or low <= number < high):
        raise Unsupported(
            _place(chunk, reference),
            f"relocation {rule.name} against {symbol.name}: {value:#x} is no multiple of {1 << shift} "
            f"or does not fit in {bits} bits",
        )
    if rule.form in {Form.PAGE, Form.NEAR}:  # two bits and nineteen
        word = word & ~0x60FFFFE0 | (number & 3) << 29 | (number >> 2 & 0x7FFFF) << 5
    else:
        start, count = _FIELDS[rule.form]
        mask = (1 << count) - 1
        word = word & ~(mask << start) | (number & mask) << start
    chunk.contents[where] = word.to_bytes(4, "little")


def _place(chunk: Chunk, reference: Reference) -> str:
    owner = chunk.file.name if chunk.file is not None else "the linker"
    return f"{owner}: {chunk.name}+{reference.offset:#x}"


def _not_pic(chunk: Chunk, reference: Reference, rule: Rule, symbol: LinkSymbol) -> Unsupported:
    return Unsupported(
        _place(chunk, reference),
        f"relocation {rule.name} against {symbol.name or 'an address'} wants a fixed or near address, "
        "which what is loaded into a process does not have",
        "compile it with -fPIC",
    )
