"""Arguments of a contract's method from text: JSON, and the plain forms that a person would rather type.

| kind | forms |
| --- | --- |
| text | as it is |
| bytes | as it is; `@FILE` for a file's, `@-` for standard input's; `@@…` for what begins with one `@` |
| an integer | `12`, `0x1f` |
| a float, a bool, an enumeration | `0.5`, `inf`; `true`, `false`; a member's name |
| a list | JSON, or elements with commas between: `1,2,3` |
| a dataclass | JSON, or its fields: `text=late,start=1` |
| an optional value | `null`, or a form of the value |

A list or a dataclass can be read from a file of JSON, too, with `@FILE`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from latebind.contracts.schema import arguments_from_json, from_json
from latebind.contracts.types import Bytes, DataKind, Enumeration, HandleTo, ListOf, OptionalOf, Record, Scalar, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.contracts import Contract, Method

MISMATCH = (TypeError, ValueError, OverflowError, OSError)
"""What these functions raise for text that is no argument, and for files that cannot be read."""


def typed_arguments(
    contract: Contract, method: Method, texts: Sequence[str], named: Sequence[str], document: str | None
) -> list[object]:
    """One argument a parameter: `texts` in their order, `named` as NAME=VALUE, or all as one JSON object.

    Raises one of `MISMATCH`, whose text names the parameter.
    """
    if document is not None:
        if texts or named:
            raise ValueError("the arguments are given twice: as JSON and one by one")
        given = json_from(document, "--args")
        if not isinstance(given, dict):
            raise TypeError("--args: expected a JSON object, one member a parameter")
        return arguments_from_json(method, given)
    positional = [p for p in method.parameters if not p.keyword_only]
    if len(texts) > len(positional):
        takes = ", ".join(p.name for p in method.parameters) or "nothing"
        raise ValueError(f"{contract.id}.{method.name} takes {takes}, not {len(texts)} arguments")
    chosen = {p.name: text for p, text in zip(positional, texts, strict=False)}
    for pair in named:
        name, equals, text = pair.partition("=")
        if not equals or name not in {p.name for p in method.parameters}:
            raise ValueError(f"--arg {pair}: expected NAME=VALUE with the name of a parameter")
        if name in chosen:
            raise ValueError(f"{name} is given twice")
        chosen[name] = text
    missing = [p.name for p in method.parameters if p.required and p.name not in chosen]
    if missing:
        raise ValueError(f"{contract.id}.{method.name} needs {', '.join(missing)}")
    return [_named(p.name, p.kind, chosen[p.name]) if p.name in chosen else p.default for p in method.parameters]


def json_from(text: str, name: str) -> Any:
    """JSON, or that in the file `@FILE`. `name` is what the error calls it."""
    if text.startswith("@"):
        text = _file(text[1:]).decode("utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}: {text!r} is not JSON: {error}") from error


def _named(name: str, kind: DataKind, text: str) -> object:
    try:
        return _value(kind, text)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error


def _value(kind: DataKind, text: str) -> object:  # noqa: PLR0911 - one case a kind
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo), "such a kind is a result only"
        return None if text == "null" else _value(kind.element, text)
    if isinstance(kind, Text):
        return text
    if isinstance(kind, Bytes):
        if text.startswith("@@") or not text.startswith("@"):
            return text.removeprefix("@").encode("utf-8", "surrogateescape")
        return _file(text[1:])
    if isinstance(kind, Enumeration):
        return from_json(kind, text)
    if isinstance(kind, Scalar):
        return from_json(kind, _number(kind, text))
    if text.startswith(("@", "[", "{")):
        return from_json(kind, json_from(text, kind.title if isinstance(kind, Record) else "the list"))
    if isinstance(kind, ListOf):
        return [_value(kind.element, part) for part in text.split(",")] if text else []
    return _record(kind, text)


def _number(kind: Scalar, text: str) -> object:
    if kind.family == "bool":
        if text not in {"true", "false"}:
            raise ValueError(f"expected true or false, not {text!r}")
        return text == "true"
    try:
        return float(text) if kind.family == "float" else int(text, 0)
    except ValueError:
        what = "a number" if kind.family == "float" else "an integer"
        raise ValueError(f"expected {what}, not {text!r}") from None


def _record(kind: Record, text: str) -> object:
    """`text=late,start=1`. A comma that begins no field belongs to the value before it."""
    known = {field.name: field for field in kind.fields}
    parts: dict[str, str] = {}
    last = None
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if equals and name in known and name not in parts:
            parts[name], last = value, name
        elif last is not None:
            parts[last] += f",{part}"
        else:
            raise ValueError(f"expected {kind.title} as JSON or as {','.join(f'{n}=…' for n in known)}, not {text!r}")
    missing = [f.name for f in kind.fields if f.required and f.name not in parts]
    if missing:
        raise ValueError(f"{kind.title} needs {', '.join(missing)}")
    return kind.make([_named(n, f.kind, parts[n]) if n in parts else f.default for n, f in known.items()])


def _file(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()
