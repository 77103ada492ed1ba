"""Bindings: which definition a reference gets, of what kind, and why."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a binding's value means; the numbers are `enum lb_binding_kind` of src/core/plan.h."""

    WEAK_UNDEFINED = 0
    DATA = 1
    FUNCTION = 2
    IFUNC = 3
    TLS = 4
    ABSOLUTE = 5
    HOOK = 6
    UNRESOLVED = 7
    SERVICE = 8


class How(IntEnum):
    """Why a definition was taken, or none; the numbers are `enum lb_how` of src/core/match.h."""

    NONE = 0
    EXACT = 1
    BASE = 2
    UNVERSIONED = 3
    DEFAULT = 4
    ONLY = 5
    LOCAL = 6
    PROTECTED = 7


class Definition(NamedTuple):
    """What a reference is bound to: `value` (see `Kind`) in the object `target` of the plan."""

    target: int
    value: int
    kind: Kind


class Binding(NamedTuple):
    """One referenced symbol of one object, and its definition.

    `referrer` and `target` are object indexes of the plan (`target` None for an undefined one), `symbol_index` the
    index in the referrer's dynamic symbol table, `value` what `kind` says (a virtual address in the target, an offset
    in its TLS block, an absolute address, a hook's number), `types` the relocation types through which the referrer
    refers to it, `position` the target's place in the scope that was
    searched, and `unique` says that the definition is an STB_GNU_UNIQUE one.
    """

    referrer: int
    symbol_index: int
    symbol: str
    version: str | None
    weak: bool
    types: tuple[int, ...]
    kind: Kind
    target: int | None
    value: int
    size: int
    how: How
    position: int
    target_symbol: int
    unique: bool = False

    @property
    def definition(self) -> Definition | None:
        """The definition in an object; None for an undefined, absolute or hooked reference."""
        if self.target is None or self.kind is Kind.HOOK:
            return None
        return Definition(self.target, self.value, self.kind)

    @property
    def resolved(self) -> bool:
        """Whether there is a definition."""
        return self.target is not None or self.kind in (Kind.HOOK, Kind.ABSOLUTE)


_HOW_TEXT = {
    How.EXACT: "exact version",
    How.BASE: "unversioned reference, base version",
    How.UNVERSIONED: "the definer has no versions",
    How.DEFAULT: "unversioned definition for a versioned reference",
    How.ONLY: "unversioned reference, the only version there is",
}


_KIND_TEXT = {
    Kind.HOOK: "hooked",
    Kind.SERVICE: "latebind's own: the C library's does not know our objects",
}


def why(binding: Binding) -> str:
    """The reason for a binding, as one line."""
    if binding.kind in _KIND_TEXT:
        return _KIND_TEXT[binding.kind]
    if binding.how is How.LOCAL:
        return "local or hidden: binds to itself"
    if binding.how is How.PROTECTED:
        return "protected: cannot be preempted"
    if binding.kind is Kind.WEAK_UNDEFINED:
        return "undefined and weak: bound to 0"
    if binding.kind is Kind.UNRESOLVED:
        return "no object in the scope defines it"
    place = "first in scope" if binding.position == 0 else f"first definition in scope, place {binding.position + 1}"
    version = (
        "no version asked for" if binding.version is None and binding.how is How.UNVERSIONED else _HOW_TEXT[binding.how]
    )
    return f"{place}; {version}"
