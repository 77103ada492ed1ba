"""The layout digest: whether two sides mean the same C functions, told without either's source.

A contract's digest covers the names and types of its methods, in any order. Since a plugin built against 1.1 must
serve a host at 1.2, a whole digest is not enough: each method has a signature hash of its own, and the plugin's note
carries them all, so a host can compare those methods that both sides have and name the one that differs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.contracts.model import Contract, Method

_ABI = "latebind abi 1"


def signature_hash(method: Method) -> str:
    """Eight hexadecimal digits that stand for a method's name and types."""
    return hashlib.sha256(f"{_ABI}\n{method.signature}".encode()).hexdigest()[:8]


def layout_digest(contract: Contract) -> str:
    """Sixteen hexadecimal digits that stand for all methods' names and types."""
    lines = sorted(method.signature for method in contract.methods)
    return hashlib.sha256("\n".join([_ABI, contract.id, *lines]).encode()).hexdigest()[:16]


def method_table(contract: Contract) -> str:
    """The note's list of methods: `count:0f1e2d3c tokens:4b5a6978`, in the order of definition."""
    return " ".join(f"{method.name}:{signature_hash(method)}" for method in contract.methods)
