"""What a contract is: an id, a version, and methods with typed parameters. Frozen values, made by `define.py`.

Everything else that latebind knows about a contract (the C header, the note, the layout digest, the calls) is
derived from this model and from nothing else, so a contract read from another source would serve as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from latebind.contracts.types import (
    DataKind,
    Enumeration,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    handle_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latebind.contracts.semver import Version

ATTRIBUTE: Final = "__latebind_contract__"
"""Where a class that `@contract` decorated keeps its contract."""
OWNER: Final = "__latebind_owner__"
"""Where a function of such a class keeps the class: that `Tokenizer.count` alone says which contract it is of."""
CLOSE: Final = "close"
"""The method of every handle that ends it, declared or not."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method. Without a default unless `required` is false; `keyword_only` as in Python."""

    name: str
    kind: DataKind
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

    def on(self, target: object) -> Callable[..., object] | None:
        """The method of a Python object, or the default body with the object as `self`; None without either."""
        found = getattr(target, self.name, None)
        if found is not None:
            return found  # type: ignore[no-any-return]
        return partial(self.body, target) if self.body is not None else None

    def spread(self, arguments: Sequence[object]) -> tuple[list[object], dict[str, object]]:
        """One argument a parameter, as the positional and keyword arguments of a Python call."""
        pairs = list(zip(self.parameters, arguments, strict=True))
        named = {p.name: value for p, value in pairs if p.keyword_only}
        return [value for p, value in pairs if not p.keyword_only], named


@dataclass(frozen=True, slots=True)
class Function:
    """One C function of a contract: a method's, or one that drives an iterator or a handle.

    `name` follows the prefix of `contract`; `entry` is what the plugin's note calls it. Functions with `owner` take
    the handle or iterator, whose C type that is, after the context. `end` are those that may answer LB_END. A plugin
    may leave out `optional` ones.
    """

    contract: Contract
    name: str
    entry: str
    parameters: tuple[Parameter, ...] = ()
    result: ResultKind = field(default_factory=Nothing)
    owner: str | None = None
    end: bool = False
    quick: bool = False
    optional: bool = False
    doc: str = ""

    @property
    def symbol(self) -> str:
        """The C name."""
        return f"{self.contract.prefix}_{self.name}"

    @property
    def signature(self) -> str:
        """What the layout digest covers: `count(str)->int64`. Names and defaults of parameters are not layout."""
        return f"{self.entry}({','.join(p.kind.name for p in self.parameters)})->{self.result.name}"


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

    def function(self, method: Method, *, handle: bool = False) -> Function:
        """The C function of a method: of the plugin, or (`handle`) of a handle with this contract."""
        entry = f"{self.id}/{method.name}" if handle else method.name
        owner = self.prefix if handle else None
        return Function(
            self, method.name, entry, method.parameters, method.result, owner, quick=method.quick,
            optional=method.body is not None, doc=method.doc,
        )  # fmt: skip

    def own_functions(self, *, handle: bool = False) -> Iterator[Function]:
        """The C functions under the contract's own prefix; with those of a handle comes the one that closes it."""
        for method in self.methods:
            if handle and method.name == CLOSE:
                continue
            function = self.function(method, handle=handle)
            yield function
            if isinstance(method.result, IteratorOf):
                yield from iterator_functions(function)
        if handle:
            declared = self.method(CLOSE)
            doc = (declared.doc if declared is not None else "") or "Ends the handle: called once for each."
            yield Function(self, CLOSE, f"{self.id}/{CLOSE}", owner=self.prefix, doc=doc)

    def handles(self) -> tuple[Contract, ...]:
        """The contracts of all handles that a plugin may answer, also through other handles; each once."""
        found: dict[str, Contract] = {}
        pending = [self]
        while pending:
            for method in pending.pop().methods:
                handle = handle_in(method.result)
                if handle is not None and handle.contract.id not in found:
                    found[handle.contract.id] = handle.contract
                    pending.append(handle.contract)
        return tuple(found.values())

    def functions(self) -> Iterator[Function]:
        """Every C function that a plugin which provides the contract exports."""
        yield from self.own_functions()
        for handle in self.handles():
            yield from handle.own_functions(handle=True)

    def types(self) -> Iterator[Record | Enumeration]:
        """The records and enumerations of the contract's own methods, each once, the parts of a record before it."""
        seen: set[Record | Enumeration] = set()
        for method in self.methods:
            for kind in (*(p.kind for p in method.parameters), method.result):
                for found in named_types(kind):
                    if found not in seen:
                        seen.add(found)
                        yield found


def iterator_functions(function: Function) -> tuple[Function, Function]:
    """The two C functions that pull from and close what `function` answers."""
    kind = function.result
    assert isinstance(kind, IteratorOf)
    owner = f"{function.symbol}_iterator"
    following = Function(
        function.contract,
        f"{function.name}_next",
        f"{function.entry}_next",
        result=kind.item,
        owner=owner,
        end=True,
        quick=function.quick,
        optional=function.optional,
        doc="The next item, which lives until the next call for the same iterator; LB_END after the last one.",
    )
    closing = Function(
        function.contract,
        f"{function.name}_{CLOSE}",
        f"{function.entry}_{CLOSE}",
        owner=owner,
        optional=function.optional,
        doc="Called once for each iterator, whether it came to its end or not.",
    )
    return following, closing


def named_types(kind: ResultKind) -> Iterator[Record | Enumeration]:
    """The records and enumerations within a kind, innermost first."""
    if isinstance(kind, Record):
        for field_ in kind.fields:
            yield from named_types(field_.kind)
        yield kind
    elif isinstance(kind, Enumeration):
        yield kind
    elif isinstance(kind, ListOf | OptionalOf):
        yield from named_types(kind.element)
    elif isinstance(kind, IteratorOf):
        yield from named_types(kind.item)


def contract_in(cls: object) -> Contract | None:
    """The contract of a class that `@contract` decorated; None for any other object."""
    found = vars(cls).get(ATTRIBUTE) if isinstance(cls, type) else None
    return found if isinstance(found, Contract) else None


def symbol_prefix(contract_id: str) -> str:
    """The contract's id as the beginning of a C name."""
    return contract_id.replace(".", "_")


def entry_symbol(contract_id: str, entry: str) -> str | None:
    """The C function that an entry of the note stands for; None for a member of an enumeration."""
    handle, _, name = entry.rpartition("/")
    return None if "." in name else f"{symbol_prefix(handle or contract_id)}_{name}"
