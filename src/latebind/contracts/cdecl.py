"""Kinds and functions written in C: the names of types, their definitions, and the declarations of functions.

Types that a contract's author wrote get the contract's prefix: `acme_tokenizer_Token`, and what is made of them
`acme_tokenizer_list_Token`, `acme_tokenizer_optional_Token`. Everything else is in `latebind.h`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from latebind.contracts.types import (
    INT32,
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts.model import Contract, Function

# Words that a C or C++ compiler does not take as a parameter's name, and the names that we give ourselves.
_TAKEN: Final = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict
    return short signed sizeof static static_assert static_cast struct switch template this thread_local throw true
    try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq concept
    linux unix errno NULL EOF ctx raw self result item Class""".split()
)


def c_type(kind: DataKind | HandleTo, prefix: str) -> str:
    """The C type of a value in a contract with this prefix; of a handle the pointer, without its space."""
    if isinstance(kind, HandleTo):
        return f"{kind.contract.prefix} *"
    if isinstance(kind, OptionalOf):
        return c_type(kind.element, prefix) if isinstance(kind.element, HandleTo) else _optional(kind, prefix)
    if isinstance(kind, ListOf) and isinstance(kind.element, Record):
        return f"{prefix}_list_{kind.element.title}"
    if isinstance(kind, Record | Enumeration):
        return f"{prefix}_{kind.title}"
    return kind.c


def _optional(kind: OptionalOf, prefix: str) -> str:
    element = kind.element
    if isinstance(element, Record):
        return f"{prefix}_optional_{element.title}"
    if isinstance(element, ListOf):
        if isinstance(element.element, Record):
            return f"{prefix}_optional_list_{element.element.title}"
        return f"lb_optional_list_{element.suffix}"
    assert isinstance(element, Scalar | Text | Bytes | Enumeration)
    return f"lb_optional_{INT32.suffix if isinstance(element, Enumeration) else element.suffix}"


def by_pointer(kind: DataKind) -> bool:
    """Whether an argument of the kind is passed as a pointer to const."""
    return isinstance(kind, Record | OptionalOf)


def result_c_type(function: Function) -> str | None:
    """The C type of what a function writes its result to; None for a function without result."""
    kind = function.result
    if isinstance(kind, Nothing):
        return None
    if isinstance(kind, IteratorOf):
        return f"{function.symbol}_iterator *"
    return c_type(kind, function.contract.prefix)


def c_parameters(function: Function) -> list[tuple[str, str]]:
    """(C type, C name) of each parameter, with context, handle and result."""
    prefix = function.contract.prefix
    found = [("lb_context *", "ctx")]
    if function.owner is not None:
        found.append((f"{function.owner} *", "self"))
    names: set[str] = set()
    for parameter in function.parameters:
        name = c_name(parameter.name)
        while name in names:
            name += "_"
        names.add(name)
        written = c_type(parameter.kind, prefix)
        found.append((f"const {written} *" if by_pointer(parameter.kind) else written, name))
    result = result_c_type(function)
    if result is not None:
        found.append((f"{result}*" if result.endswith("*") else f"{result} *", "item" if function.end else "result"))
    return found


def prototype(function: Function) -> str:
    """The C declaration of a function, without its semicolon."""
    parameters = (f"{type_}{'' if type_.endswith('*') else ' '}{name}" for type_, name in c_parameters(function))
    return f"lb_status {function.symbol}({', '.join(parameters)})"


def definitions(contract: Contract) -> Iterator[str]:
    """The C definitions of the contract's own types, each before it is used; then those of its iterators."""
    used = set(_wrappers(contract))
    for kind in contract.types():
        if isinstance(kind, Enumeration):
            yield _enumeration(kind, contract.prefix)
            continue
        yield _record(kind, contract.prefix)
        as_list = ListOf(kind)
        for wrapper in (as_list, OptionalOf(kind), OptionalOf(as_list)):
            if wrapper in used or (wrapper == as_list and OptionalOf(as_list) in used):
                yield _wrapper(wrapper, contract.prefix)


def identifiers(contract: Contract) -> Iterator[str]:
    """Every C name that the contract's header defines at file scope, as often as it does."""
    for function in contract.functions():
        yield function.symbol
        if isinstance(function.result, IteratorOf):
            yield f"{function.symbol}_iterator"
    for owner in (contract, *contract.handles()):
        if owner is not contract:
            yield owner.prefix
        used = set(_wrappers(owner))
        for kind in owner.types():
            yield c_type(kind, owner.prefix)
            if isinstance(kind, Enumeration):
                yield from (_enumerator(owner.prefix, kind, name) for name, _ in kind.members)
            else:
                wrappers = (ListOf(kind), OptionalOf(kind), OptionalOf(ListOf(kind)))
                yield from (c_type(w, owner.prefix) for w in wrappers if w in used)


def _wrappers(contract: Contract) -> Iterator[DataKind]:
    """All lists and optional values that occur in the contract, at any depth."""
    pending: list[ResultKind] = []
    for method in contract.methods:
        pending += [*(p.kind for p in method.parameters), method.result]
    while pending:
        kind = pending.pop()
        if isinstance(kind, ListOf) or (isinstance(kind, OptionalOf) and not isinstance(kind.element, HandleTo)):
            yield kind
            pending.append(kind.element)
        elif isinstance(kind, IteratorOf):
            pending.append(kind.item)
        elif isinstance(kind, Record):
            pending += [f.kind for f in kind.fields]


def _enumeration(kind: Enumeration, prefix: str) -> str:
    members = [f"    {_enumerator(prefix, kind, name)} = {number}" for name, number in kind.members]
    lines = [*_documented(kind.doc), f"typedef int32_t {c_type(kind, prefix)};", "enum {", ",\n".join(members), "};"]
    return "\n".join(lines)


def _enumerator(prefix: str, kind: Enumeration, name: str) -> str:
    return f"{prefix}_{kind.title}_{name}".upper()


def _record(kind: Record, prefix: str) -> str:
    name = c_type(kind, prefix)
    fields = (f"    {c_type(f.kind, prefix)} {c_name(f.name)};" for f in kind.fields)
    return "\n".join([*_documented(kind.doc), f"typedef struct {name} {{", *fields, f"}} {name};"])


def _wrapper(kind: ListOf | OptionalOf, prefix: str) -> str:
    name, element = c_type(kind, prefix), c_type(kind.element, prefix)
    body = f"const {element} *data; size_t size;" if isinstance(kind, ListOf) else f"bool has; {element} value;"
    return f"typedef struct {name} {{ {body} }} {name};"


def _documented(doc: str) -> list[str]:
    return [comment(doc)] if doc else []


def c_name(name: str) -> str:
    """A parameter's or field's name in C. A reserved name gets an underscore behind; names are not ABI."""
    if not name.isascii():
        name = "".join(c if c.isascii() else f"u{ord(c):x}" for c in name)
    if name.startswith("_") or "__" in name:
        name = "p" + re.sub("__+", "_", name)
    return name + "_" if name in _TAKEN else name


def comment(text: str) -> str:
    """A block comment that nothing in `text` can end, continue or disguise.

    Compilers warn of `/*` within a comment, of trigraphs that splice lines, and of bidirectional controls; control
    characters end the line for some editors.
    """
    lines = harmless(text).replace("*/", "* /").replace("/*", "/ *").split("\n")
    body = "\n".join(line.rstrip() for line in "\n * ".join(line.rstrip() for line in lines).split("\n"))
    return f"/* {body} */" if len(lines) == 1 else f"/* {body}\n */"


def harmless(text: str) -> str:
    """Documentation without what ends lines, joins them, or shows them in another order than they stand in."""
    clean = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", " ", text)
    clean = clean.encode("utf-8", "replace").decode("utf-8").rstrip()
    clean = re.sub(r"\?(?=\?)", "? ", clean)
    return re.sub(r"\\$", "\\\\.", clean, flags=re.MULTILINE)
