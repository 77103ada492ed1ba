"""A contract as JSON Schema (draft 2020-12), for agents and forms; and its values as JSON.

A method's parameters are one object, so that an agent or a form gives them by name. An integer has its range, an
enumeration its names, bytes are base64, a handle is the text by which whoever opened it knows it, and an iterator is
the list of its items. `to_json` and `from_json` carry values over, and refuse what the schema refuses.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts.types import (
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
    handle_in,
)
from latebind.contracts.values import checked_buffer, checked_scalar, each, type_of

if TYPE_CHECKING:
    from latebind.contracts.model import Contract, Method, Parameter

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def contract_schema(contract: Contract) -> dict[str, object]:
    """The contract as one document: its methods, and those of its handles, each with parameters and result."""
    document: dict[str, object] = {
        "schema": 1,
        "id": contract.id,
        "version": str(contract.version),
        "description": contract.doc,
        "methods": [method_schema(method) for method in contract.methods],
    }
    if contract.handles():
        document["handles"] = [contract_schema(handle) for handle in contract.handles()]
    return document


def method_schema(method: Method) -> dict[str, object]:
    """A method: its name, its documentation, and the schemas of its parameters and its result."""
    properties = {p.name: _with_default(kind_schema(p.kind), p.kind, p) for p in method.parameters}
    parameters = {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": [p.name for p in method.parameters if p.required],
        "additionalProperties": False,
    }
    return {
        "name": method.name,
        "description": method.doc,
        "parameters": parameters,
        "result": {"$schema": DIALECT, **kind_schema(method.result)},
    }


def kind_schema(kind: ResultKind) -> dict[str, Any]:  # noqa: PLR0911 - one case a kind
    """The JSON Schema of a value."""
    if isinstance(kind, Scalar):
        if kind.family == "int":
            low, high = kind.range
            return {"type": "integer", "minimum": low, "maximum": high}
        return {"type": "boolean" if kind.family == "bool" else "number"}
    if isinstance(kind, Text):
        return {"type": "string"}
    if isinstance(kind, Bytes):
        return {"type": "string", "contentEncoding": "base64"}
    if isinstance(kind, Enumeration):
        return {"title": kind.title, **_described(kind.doc), "enum": [name for name, _ in kind.members]}
    if isinstance(kind, ListOf):
        return {"type": "array", "items": kind_schema(kind.element)}
    if isinstance(kind, IteratorOf):
        return {"type": "array", "items": kind_schema(kind.item)}
    if isinstance(kind, OptionalOf):
        return {"anyOf": [kind_schema(kind.element), {"type": "null"}]}
    if isinstance(kind, HandleTo):
        return {"type": "string", "description": f"A handle: {kind.contract.id} {kind.contract.version}"}
    return {"type": "null"} if isinstance(kind, Nothing) else _record_schema(kind)


def to_json(kind: ResultKind, value: Any) -> object:
    """A checked value as JSON. ValueError for a number that JSON does not have (NaN, the infinities)."""
    if isinstance(kind, Bytes):
        return base64.b64encode(checked_buffer(value)).decode()
    if isinstance(kind, Enumeration):
        return value.name
    if isinstance(kind, ListOf):
        return [to_json(kind.element, item) for item in value]
    if isinstance(kind, OptionalOf):
        return None if value is None else to_json(kind.element, value)
    if isinstance(kind, Record):
        return {f.name: to_json(f.kind, getattr(value, f.name)) for f in kind.fields}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no number {value}")
    if isinstance(kind, IteratorOf) or handle_in(kind) is not None:
        raise TypeError(f"a {kind.name} is no value")
    return value


def from_json(kind: DataKind, value: object) -> object:  # noqa: PLR0911 - one case a kind
    """The value that JSON stands for. TypeError, ValueError or OverflowError says where it is none of the kind."""
    if isinstance(kind, Scalar):
        if kind.family == "int" and (isinstance(value, bool) or (isinstance(value, float) and not value.is_integer())):
            raise TypeError(f"expected an integer, not {value!r}")
        return checked_scalar(kind, int(value) if kind.family == "int" and isinstance(value, float) else value)
    if isinstance(kind, Text):
        return _expect(value, str, "a string")
    if isinstance(kind, Bytes):
        try:
            return base64.b64decode(_expect(value, str, "a string of base64"), validate=True)
        except binascii.Error as e:
            raise ValueError(f"is not base64: {e}") from e
    if isinstance(kind, Enumeration):
        names = [name for name, _ in kind.members]
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}, not {value!r}")
        return kind.cls[str(value)]
    if isinstance(kind, ListOf):
        element = kind.element
        return each(_expect(value, list, "an array"), lambda item: from_json(element, item))
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return None if value is None else from_json(kind.element, value)
    return _record_from_json(kind, _expect(value, dict, "an object"))


def arguments_from_json(method: Method, given: dict[str, object]) -> list[object]:
    """One argument a parameter from an object of JSON. TypeError names what is missing, unknown or wrong."""
    unknown = sorted(given.keys() - {p.name for p in method.parameters})
    if unknown:
        raise TypeError(f"{method.name} has no parameter {', '.join(unknown)}")
    missing = [p.name for p in method.parameters if p.required and p.name not in given]
    if missing:
        raise TypeError(f"{method.name} needs {', '.join(missing)}")
    values = []
    for p in method.parameters:
        try:
            values.append(from_json(p.kind, given[p.name]) if p.name in given else p.default)
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"parameter {p.name}: {e}") from None
    return values


def _record_schema(kind: Record) -> dict[str, Any]:
    properties = {}
    for field in kind.fields:
        properties[field.name] = kind_schema(field.kind)
        if not field.required:
            properties[field.name]["default"] = to_json(field.kind, field.default)
    return {
        "title": kind.title,
        **_described(kind.doc),
        "type": "object",
        "properties": properties,
        "required": [f.name for f in kind.fields if f.required],
        "additionalProperties": False,
    }


def _record_from_json(kind: Record, value: dict[str, object]) -> object:
    names = {f.name for f in kind.fields}
    unknown = sorted(value.keys() - names)
    if unknown:
        raise TypeError(f"{kind.title} has no field {', '.join(unknown)}")
    values = []
    for field in kind.fields:
        if field.name not in value:
            if field.required:
                raise TypeError(f"{kind.title} needs {field.name}")
            values.append(field.default)
            continue
        try:
            values.append(from_json(field.kind, value[field.name]))
        except (TypeError, ValueError, OverflowError) as e:
            raise type(e)(f"{kind.title}.{field.name}: {e}") from None
    return kind.make(values)


def _with_default(schema: dict[str, Any], kind: DataKind, parameter: Parameter) -> dict[str, Any]:
    return schema if parameter.required else {**schema, "default": to_json(kind, parameter.default)}


def _described(doc: str) -> dict[str, str]:
    return {"description": doc} if doc else {}


def _expect(value: object, kind: type[Any], what: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {what}, not {type_of(value)}")
    return value
