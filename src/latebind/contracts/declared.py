"""What a contract's functions and types look like in a plugin's debug information, and where a plugin differs.

`linkplan/declarations.py` reads DWARF into texts, with every typedef followed; here the same texts are written from
the contract, in the words of the language that the plugin was compiled from. A qualifier (`const`) is no difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.contracts.cdecl import by_pointer, c_name, c_type
from latebind.contracts.clayout import POINTER, field_places, optional_place, size_of
from latebind.contracts.rust import type_name
from latebind.contracts.types import (
    INT32,
    UINT32,
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    Scalar,
    Text,
    handle_in,
)
from latebind.linkplan.declarations import Layout, Member, without_qualifiers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts.model import Contract, Function, Parameter
    from latebind.linkplan.declarations import Declarations

_C: Final = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long", "uint8": "unsigned char",
    "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long", "float32": "float",
    "float64": "double",
}  # fmt: skip
_RUST: Final = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float32": "f32", "float64": "f64",
}  # fmt: skip
_PATH: Final = re.compile(r"\b(?:\w+::)+")
_LIFECYCLE: Final = {
    # name: parameters after the context (latebind.h); a pointer is marked with *
    "lb_init": (Text(),),
    "lb_fini": (),
    "lb_selftest": (),
    "lb_save": (UINT32, "*", Bytes(), "*"),
    "lb_restore": (UINT32, Bytes()),
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One way in which a compiled plugin is not what it should be: what about, and both sides in words."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}\n  expected: {self.expected}\n  found:    {self.found}"


class _CWords:
    """C's and C++'s names for the types of contracts."""

    status = "int"
    """The type of lb_status."""
    length = "unsigned long"
    """The type of a number of elements."""
    opaque: str | None = None
    """What handles and iterators point to, where they have no type of their own."""

    def name(self, kind: DataKind, prefix: str) -> str:
        """The type of a value."""
        if isinstance(kind, Scalar | Enumeration):
            return _C[INT32.name if isinstance(kind, Enumeration) else kind.name]
        return f"struct {c_type(kind, prefix)}"


class _RustWords(_CWords):
    """Rust's names, in the module that `rust.py` writes."""

    status, length, opaque = "i32", "usize", "enum c_void"

    def name(self, kind: DataKind, prefix: str) -> str:
        if isinstance(kind, Scalar):
            return _RUST[kind.name]
        return f"struct {self._plain(kind, prefix)}"

    def _plain(self, kind: DataKind | HandleTo, prefix: str) -> str:
        assert not isinstance(kind, HandleTo)
        if isinstance(kind, ListOf | OptionalOf):
            outer = "lb_list" if isinstance(kind, ListOf) else "lb_optional"
            return f"{outer}<{self._plain(kind.element, prefix)}>"
        if isinstance(kind, Record | Enumeration):
            return type_name(kind)
        return kind.c if isinstance(kind, Text | Bytes) else _RUST[kind.name]


def declared_mismatches(contract: Contract, functions: set[str], found: Declarations) -> Iterator[Mismatch]:
    """Where the compiled `functions` (C names) of a contract, and the types that they use, are not the contract's."""
    words: _CWords = _RustWords() if any(s.startswith("i32 ") for s in found.signatures.values()) else _CWords()
    for function in contract.functions():
        if function.symbol in functions and function.symbol in found.signatures:
            expected, was = _signature(function, words), _plain(found.signatures[function.symbol])
            if without_qualifiers(expected) != without_qualifiers(was):
                yield Mismatch(function.symbol, expected, was)
    layouts = {_plain(name): layout for name, layout in found.layouts.items()}
    for owner in (contract, *contract.handles()):
        for name, expected_layout in _layouts(owner, words).items():
            actual = layouts.get(name)
            if actual is not None:
                actual = Layout(actual.size, tuple(Member(m.name, m.place, _plain(m.type)) for m in actual.members))
                if not _same(expected_layout, actual):
                    yield Mismatch(name, expected_layout.text(actual), actual.text(expected_layout))


def lifecycle_mismatches(found: Declarations) -> Iterator[Mismatch]:
    """The same for the functions of the life cycle."""
    for name, kinds in _LIFECYCLE.items():
        signature = found.signatures.get(name)
        if signature is None:
            continue
        words: _CWords = _RustWords() if signature.startswith("i32 ") else _CWords()
        parts = ["struct lb_context *"]
        for kind in kinds:
            if isinstance(kind, str):
                parts[-1] += " *"
            else:
                parts.append(words.name(kind, ""))
        expected, was = f"{words.status} ({', '.join(parts)})", _plain(signature)
        if without_qualifiers(expected) != without_qualifiers(was):
            yield Mismatch(name, expected, was)


def _signature(function: Function, words: _CWords) -> str:
    prefix = function.contract.prefix
    parts = ["struct lb_context *"]
    if function.owner is not None:
        parts.append(f"{words.opaque or f'struct {function.owner}'} *")
    parts += [_parameter(p, prefix, words) for p in function.parameters]
    result, handle = function.result, handle_in(function.result)
    if isinstance(result, IteratorOf):
        parts.append(f"{words.opaque or f'struct {function.symbol}_iterator'} * *")
    elif handle is not None:
        parts.append(f"{words.opaque or f'struct {handle.contract.prefix}'} * *")
    elif not isinstance(result, Nothing | HandleTo):
        parts.append(f"{words.name(result, prefix)} *")
    return f"{words.status} ({', '.join(parts)})"


def _parameter(parameter: Parameter, prefix: str, words: _CWords) -> str:
    name = words.name(parameter.kind, prefix)
    return f"{name} const *" if by_pointer(parameter.kind) else name


def _layouts(contract: Contract, words: _CWords) -> dict[str, Layout]:
    """The layout of every structure that the contract's own methods use, by name."""
    found: dict[str, Layout] = {}
    pending: list[DataKind | HandleTo | IteratorOf | Nothing] = []
    for method in contract.methods:
        pending += [*(p.kind for p in method.parameters), method.result]
    while pending:
        kind = pending.pop()
        if isinstance(kind, IteratorOf):
            pending.append(kind.item)
        if isinstance(kind, Nothing | HandleTo | IteratorOf | Scalar | Enumeration) or handle_in(kind) is not None:
            continue
        name = words.name(kind, contract.prefix)
        if name not in found:
            found[name] = Layout(size_of(kind), tuple(_members(kind, contract.prefix, words)))
            pending += _parts(kind)
    return found


def _parts(kind: DataKind) -> list[DataKind | HandleTo]:
    if isinstance(kind, Record):
        return [f.kind for f in kind.fields]
    return [kind.element] if isinstance(kind, ListOf | OptionalOf) else []


def _members(kind: DataKind, prefix: str, words: _CWords) -> Iterator[Member]:
    if isinstance(kind, Record):
        for field, place in zip(kind.fields, field_places(kind), strict=True):
            yield Member(c_name(field.name), place * 8, words.name(field.kind, prefix))
    elif isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        yield Member("has", 0, "bool")
        yield Member("value", optional_place(kind) * 8, words.name(kind.element, prefix))
    else:
        byte = "u8" if words.opaque else "char" if isinstance(kind, Text) else "unsigned char"
        element = words.name(kind.element, prefix) if isinstance(kind, ListOf) else byte
        yield Member("data", 0, f"{element} const *")
        yield Member("size", POINTER * 8, words.length)


def _same(expected: Layout, found: Layout) -> bool:
    sides = [[(m.name.rstrip("_"), m.place, without_qualifiers(m.type)) for m in s.members] for s in (expected, found)]
    return expected.size == found.size and sides[0] == sides[1]


def _plain(text: str) -> str:
    """Without what differs between languages and means the same: `_Bool`, and where in a crate a type stands."""
    return _PATH.sub("", text).replace("_Bool", "bool")
