"""What a contract is: an id, a version, and methods with typed parameters. Frozen values, made by `define.py`.

Everything else that latebind knows about a contract (the C header, the note, the layout digest, the calls) is
derived from this model and from nothing else, so a contract read from another source would serve as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts.semver import Version
    from latebind.contracts.types import Kind, ResultKind


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method. Without a default unless `required` is false; `keyword_only` as in Python."""

    name: str
    kind: Kind
    required: bool = True
    default: object = None
    keyword_only: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a contract.

    `quick` methods are called with the interpreter lock held: for those that end within a microsecond or so.
    `body` is the default body from the Protocol class, called with the proxy in place of `self` when a plugin built
    against an older version does not have the method; None where there is none.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: ResultKind
    doc: str = ""
    quick: bool = False
    body: Callable[..., object] | None = field(default=None, compare=False)

    @property
    def signature(self) -> str:
        """What the layout digest covers: `count(str)->int64`. Names and defaults of parameters are not layout."""
        return f"{self.name}({','.join(p.kind.name for p in self.parameters)})->{self.result.name}"

    def spread(self, arguments: Sequence[object]) -> tuple[list[object], dict[str, object]]:
        """One argument a parameter, as the positional and keyword arguments of a Python call."""
        pairs = list(zip(self.parameters, arguments, strict=True))
        named = {p.name: value for p, value in pairs if p.keyword_only}
        return [value for p, value in pairs if not p.keyword_only], named


@dataclass(frozen=True, slots=True)
class Contract:
    """A typed interface between a host and its plugins."""

    id: str
    version: Version
    methods: tuple[Method, ...]
    name: str = ""
    doc: str = ""

    @property
    def prefix(self) -> str:
        """What the C names of the contract begin with: its id with underscores for dots."""
        return symbol_prefix(self.id)

    def symbol(self, method: Method) -> str:
        """The exported C function of a method."""
        return f"{self.prefix}_{method.name}"

    def method(self, name: str) -> Method | None:
        """The method called `name`, or None."""
        return next((m for m in self.methods if m.name == name), None)


def symbol_prefix(contract_id: str) -> str:
    """The contract's id as the beginning of a C name."""
    return contract_id.replace(".", "_")
