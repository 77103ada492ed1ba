"""Services: the contracts that a plugin requires, and who answers to them.

A service is an object with a contract's methods: the host gives some (offers.py), and a
plugin that provides a contract serves other plugins through a proxy like the one that the host's own code uses. So a
plugin's call into another is counted, locked and reloaded like any other call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.contracts import Contract


@dataclass(frozen=True, slots=True)
class Service:
    """An object that answers to a contract."""

    contract: Contract
    implementation: object


def check_implements(contract: Contract, implementation: object, who: str) -> None:
    """Raise `ContractError` unless the object has all methods of the contract, by name."""
    missing = [m.name for m in contract.methods if not callable(m.on(implementation))]
    if missing:
        text = f"{who} {type(implementation).__name__} has no method {', '.join(missing)}"
        raise ContractError(contract.id, text, missing[0])


def prefix_owner(symbol: str, prefixes: Iterable[tuple[str, str]]) -> str | None:
    """The id of the contract that a symbol belongs to by its name; `prefixes` are (prefix, id).

    The longest prefix wins: `acme_text_count` belongs to `acme.text` and not to `acme`.
    """
    fitting = [(len(prefix), owner) for prefix, owner in prefixes if symbol.startswith(prefix + "_")]
    return max(fitting)[1] if fitting else None
