"""A contract as a page of Markdown, for people: what it is for, its methods, its types, how it looks in C."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from latebind.contracts.cdecl import harmless, prototype
from latebind.contracts.evolution import spell
from latebind.contracts.types import Enumeration, IteratorOf, Record, ResultKind, handle_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts.model import Contract, Method


def markdown(contract: Contract) -> str:
    """The page."""
    return "\n".join(_contract(contract, handle=False)).rstrip() + "\n"


def python_signature(method: Method) -> str:
    """A method as Python writes it, with its types by their names in a contract."""
    parts: list[str] = []
    for parameter in method.parameters:
        if parameter.keyword_only and "*" not in parts:
            parts.append("*")
        default = "" if parameter.required else f" = {_value(parameter.default)}"
        parts.append(f"{parameter.name}: {_spell(parameter.kind)}{default}")
    return f"{method.name}({', '.join(parts)}) → {_spell(method.result)}"


def _contract(contract: Contract, *, handle: bool) -> Iterator[str]:
    yield f"{'##' if handle else '#'} {contract.name or contract.id}"
    yield ""
    yield f"Contract `{contract.id}`, version {contract.version}." + (" A handle." if handle else "")
    yield ""
    yield from _text(contract.doc)
    deeper = "###" if handle else "##"
    for method in contract.methods:
        yield from _method(contract, method, deeper, handle=handle)
    types = list(contract.types())
    if types:
        yield f"{deeper} Types"
        yield ""
    for kind in types:
        yield from _type(kind, deeper + "#")
    if not handle:
        for other in contract.handles():
            yield from _contract(other, handle=True)


def _method(contract: Contract, method: Method, mark: str, *, handle: bool) -> Iterator[str]:
    yield f"{mark} {method.name}"
    yield ""
    yield from ("```python", python_signature(method), "```", "")
    yield from _text(method.doc)
    if method.body is not None:
        yield from ("Optional: a plugin without it gets the contract's default body.", "")
    if isinstance(method.result, IteratorOf):
        yield from ("The result is pulled one item at a time; leave it early with `close` or `with`.", "")
    held = handle_in(method.result)
    if held is not None:
        or_none = "" if held is method.result else ", or None"
        yield from (f"The result is a handle ({held.contract.name or held.contract.id}{or_none}): close it.", "")
    yield from ("```c", f"{prototype(contract.function(method, handle=handle))};", "```", "")


def _type(kind: Record | Enumeration, mark: str) -> Iterator[str]:
    yield f"{mark} {kind.title}"
    yield ""
    yield from _text(kind.doc)
    if isinstance(kind, Enumeration):
        yield from ("| member | number in C |", "| --- | --- |")
        yield from (f"| `{name}` | {number} |" for name, number in kind.members)
    else:
        yield from ("| field | type | default |", "| --- | --- | --- |")
        for field in kind.fields:
            default = "" if field.required else _cell(_value(field.default))
            yield f"| `{field.name}` | {_cell(_spell(field.kind))} | {default} |"
    yield ""


def _spell(kind: ResultKind) -> str:
    """A type as Python's annotations have it."""
    handle = handle_in(kind)
    if handle is not None:
        return (handle.contract.name or handle.contract.id) + ("" if handle is kind else " | None")
    return re.sub(r"\b(int|float)64\b", r"\1", spell(kind))


def _value(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if hasattr(value, "name") else repr(value)


def _cell(text: str) -> str:
    """Code in a cell of a table, which a vertical line would end."""
    return f"`{harmless(text)}`".replace("|", "\\|")


def _text(doc: str) -> Iterator[str]:
    """Documentation as it was written; a line that would become a heading or open a block is kept from it."""
    if doc:
        yield re.sub(r"^(\s*)(#|```|~~~)", r"\1\\\2", harmless(doc), flags=re.MULTILINE)
        yield ""
