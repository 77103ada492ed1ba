"""The layout digest: whether two sides mean the same C functions, told without either's source.

A contract's digest covers the names and types of its functions and the numbers of its enumerations, in any order.
Since a plugin built against 1.1 must serve a host at 1.2, a whole digest is not enough: each of them is an entry with
a hash of its own, and the plugin's note carries them all, so a host can compare those entries that both sides have
and name the one that differs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from latebind.contracts.types import Enumeration

if TYPE_CHECKING:
    from latebind.contracts.model import Contract, Method

_ABI = "latebind abi 1"


def layout_entries(contract: Contract) -> dict[str, str]:
    """What the digest covers, by entry: `count` → `count(str)->int64`, `Mode.FAST` → `Mode.FAST=0`.

    Entries are the contract's functions, those of its handles (`acme.session/next`), and the members of its
    enumerations, to which a minor version may add.
    """
    entries = {function.entry: function.signature for function in contract.functions()}
    for place, owner in (("", contract), *((f"{h.id}/", h) for h in contract.handles())):
        for kind in owner.types():
            if isinstance(kind, Enumeration):
                members = ((f"{place}{kind.title}.{name}", number) for name, number in kind.members)
                entries |= {entry: f"{entry}={number}" for entry, number in members}
    return entries


def signatures(contract: Contract) -> dict[str, str]:
    """Eight hexadecimal digits an entry, which stand for its name and types."""
    return {entry: _short(text) for entry, text in layout_entries(contract).items()}


def signature_hash(method: Method) -> str:
    """Eight hexadecimal digits that stand for a method's name and types."""
    return _short(method.signature)


def layout_digest(contract: Contract) -> str:
    """Sixteen hexadecimal digits that stand for all entries."""
    lines = sorted(layout_entries(contract).values())
    return hashlib.sha256("\n".join([_ABI, contract.id, *lines]).encode()).hexdigest()[:16]


def method_table(contract: Contract) -> str:
    """The note's list of entries: `count:0f1e2d3c first?:4b5a6978`, in the order of definition.

    A question mark stands behind what a plugin may leave out, so that this too is known without the contract.
    """
    optional = {function.entry for function in contract.functions() if function.optional}
    marked = ((f"{entry}?" if entry in optional else entry, digits) for entry, digits in signatures(contract).items())
    return " ".join(f"{entry}:{digits}" for entry, digits in marked)


def _short(text: str) -> str:
    return hashlib.sha256(f"{_ABI}\n{text}".encode()).hexdigest()[:8]
