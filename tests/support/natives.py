"""The functions of a loaded native plugin, called with Python values and without a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.contracts import CallPool, Contract, NativeMethod, Owner

if TYPE_CHECKING:
    from latebind.linker import Library


class Natives:
    """The methods of a contract in a library; each call is made with a context of `pool`."""

    def __init__(self, owner: Owner, library: Library, contract: Contract, pool: CallPool | None = None) -> None:
        self.library, self.contract, self.pool = library, contract, pool or CallPool()
        self.methods = {
            m.name: NativeMethod(owner, contract, m, library.symbol(contract.symbol(m))) for m in contract.methods
        }

    def call(self, name: str, *arguments: object) -> Any:
        """What the method answers to one argument a parameter."""
        call = self.pool.begin()
        try:
            return self.methods[name](call, arguments)
        finally:
            self.pool.end(call)
