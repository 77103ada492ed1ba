"""JSON Schema, the part that manifests need: checks a value and names every problem, not only the first.

The manifest's own schema (which is published) and the schema that a manifest gives for its configuration are both
checked here. A keyword that is not understood is a problem too: to skip it would be to accept what it forbids.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from latebind.errors import Problem

Schema: TypeAlias = Mapping[str, Any]

_TYPES: Final[dict[str, Callable[[object], bool]]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}
_ANNOTATIONS: Final = {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated"}
_ASSERTIONS: Final = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
    "format", "oneOf",
}  # fmt: skip
_TEXT_LIMIT: Final = 4096  # characters that a pattern from a manifest is tried on

Formats: TypeAlias = Mapping[str, Callable[[str], object]]
"""Format name → function that raises ValueError, whose text says what was expected."""


def problems(value: object, schema: Schema, formats: Formats | None = None, path: str = "") -> list[Problem]:
    """Every way in which `value` breaks `schema`, each with its path (`provides[0].version`)."""
    return list(_check(value, schema, formats or {}, path))


def with_defaults(value: object, schema: Schema) -> object:
    """The value with the schema's defaults for what it leaves out. The value must have passed `problems`."""
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, inner in schema["properties"].items():
            if name in filled:
                filled[name] = with_defaults(filled[name], inner)
            elif "default" in inner:
                filled[name] = with_defaults(inner["default"], inner)
        return filled
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(item, schema["items"]) for item in value]
    return value


def schema_problems(schema: object, path: str) -> Iterator[Problem]:
    """Every way in which `schema` is none that `problems` understands in full, and each default that breaks its own."""
    yield from _unsound(schema, path)
    yield from _default_problems(schema, path)


def _default_problems(schema: object, path: str) -> Iterator[Problem]:
    """Each default, at any depth, that breaks the schema which it stands in, where that is sound."""
    if not isinstance(schema, dict):
        return
    if "default" in schema and not any(True for _ in _unsound(schema, path)):
        yield from _check(schema["default"], schema, {}, f"{path}.default")
    for place, inner in _inner(schema, path):
        yield from _default_problems(inner, place)


def _inner(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, object]]:
    """The schemas within a schema, each with its path."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        yield from ((f"{path}.properties.{name}", inner) for name, inner in properties.items())
    if "items" in schema:
        yield f"{path}.items", schema["items"]
    if not isinstance(schema.get("additionalProperties", True), bool):
        yield f"{path}.additionalProperties", schema["additionalProperties"]


def _unsound(schema: object, path: str) -> Iterator[Problem]:
    """Every way in which `schema` is none that `problems` understands, whatever its defaults are."""
    if not isinstance(schema, dict):
        yield Problem(path, "expected a JSON Schema (a mapping)")
        return
    for keyword, value in schema.items():
        here = f"{path}.{keyword}"
        if keyword in _ANNOTATIONS:
            continue
        if keyword not in _ASSERTIONS or keyword in {"format", "oneOf"}:
            yield Problem(
                here, f"the keyword {keyword!r} is not supported; supported are {', '.join(sorted(_ASSERTIONS))}"
            )
        elif keyword == "properties":
            if not isinstance(value, dict):
                yield Problem(here, "expected a mapping from names to schemas")
        elif keyword not in {"items", "additionalProperties"}:
            yield from _keyword_problems(keyword, value, here)
    for place, inner in _inner(schema, path):
        yield from _unsound(inner, place)


def _keyword_problems(keyword: str, value: object, path: str) -> Iterator[Problem]:
    numeric = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    if keyword == "type":
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(n, str) and n in _TYPES for n in names):
            yield Problem(path, f"expected one or more of {', '.join(_TYPES)}")
    elif keyword == "required" and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        yield Problem(path, "expected a list of names")
    elif keyword == "enum" and not (isinstance(value, list) and value):
        yield Problem(path, "expected a list of values")
    elif keyword in numeric and not _TYPES["number"](value):
        yield Problem(path, "expected a number")
    elif keyword in {"minLength", "maxLength", "minItems", "maxItems"}:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield Problem(path, "expected a whole number, 0 or more")
    elif keyword == "uniqueItems" and not isinstance(value, bool):
        yield Problem(path, "expected true or false")
    elif keyword == "pattern":
        yield from _pattern_problems(value, path)


def _pattern_problems(value: object, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(path, "expected a regular expression")
        return
    try:
        re.compile(value)
    except re.error as e:
        yield Problem(path, f"expected a regular expression: {e}")


def _check(value: object, schema: Schema, formats: Formats, path: str) -> Iterator[Problem]:
    names = schema.get("type", [])
    allowed = names if isinstance(names, list) else [names]
    if allowed and not any(_TYPES[name](value) for name in allowed):
        yield Problem(path, f"expected {_article(allowed)}, not {_describe(value)}")
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield Problem(path, f"expected {schema['const']!r}, not {_describe(value)}")
    if "enum" in schema and not any(_same(value, v) for v in schema["enum"]):
        near = _near(value, [v for v in schema["enum"] if isinstance(v, str)])
        yield Problem(path, f"expected one of {', '.join(map(str, schema['enum']))}, not {_describe(value)}{near}")
        return
    if isinstance(value, str):
        yield from _check_text(value, schema, formats, path)
    elif isinstance(value, dict):
        yield from _check_object(value, schema, formats, path)
    elif isinstance(value, list):
        yield from _check_array(value, schema, formats, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(value, schema, path)


def _check_text(text: str, schema: Schema, formats: Formats, path: str) -> Iterator[Problem]:
    if len(text) < schema.get("minLength", 0):
        yield Problem(path, f"expected at least {schema['minLength']} characters")
    if len(text) > schema.get("maxLength", len(text)):
        yield Problem(path, f"expected at most {schema['maxLength']} characters")
    if "pattern" in schema and (len(text) > _TEXT_LIMIT or not re.search(schema["pattern"], text)):
        yield Problem(path, f"expected a text that matches {schema['pattern']}, not {_describe(text)}")
    check = formats.get(schema.get("format", ""))
    if check is not None:
        try:
            check(text)
        except ValueError as e:
            yield Problem(path, str(e))


def _check_number(number: float, schema: Schema, path: str) -> Iterator[Problem]:
    if "minimum" in schema and not number >= schema["minimum"]:
        yield Problem(path, f"expected at least {schema['minimum']}, not {number}")
    if "maximum" in schema and not number <= schema["maximum"]:
        yield Problem(path, f"expected at most {schema['maximum']}, not {number}")
    if "exclusiveMinimum" in schema and not number > schema["exclusiveMinimum"]:
        yield Problem(path, f"expected more than {schema['exclusiveMinimum']}, not {number}")
    if "exclusiveMaximum" in schema and not number < schema["exclusiveMaximum"]:
        yield Problem(path, f"expected less than {schema['exclusiveMaximum']}, not {number}")


def _check_object(value: dict[Any, Any], schema: Schema, formats: Formats, path: str) -> Iterator[Problem]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(_join(path, name), "is missing")
    if "oneOf" in schema:  # only in our own schema, and there each alternative is {"required": [names]}
        alternatives = [a["required"][0] for a in schema["oneOf"]]
        if sum(name in value for name in alternatives) != 1:
            yield Problem(path, f"expected exactly one of {' and '.join(alternatives)}")
    others = schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in properties:
            yield from _check(item, properties[key], formats, _join(path, key))
        elif others is False:
            known = _near(key, list(properties)) or f"; known are {', '.join(sorted(properties))}"
            yield Problem(_join(path, key), f"is not a known key{known}")
        elif isinstance(others, dict):
            yield from _check(item, others, formats, _join(path, key))


def _check_array(value: list[Any], schema: Schema, formats: Formats, path: str) -> Iterator[Problem]:
    if len(value) < schema.get("minItems", 0):
        yield Problem(path, f"expected at least {schema['minItems']} items, not {len(value)}")
    if len(value) > schema.get("maxItems", len(value)):
        yield Problem(path, f"expected at most {schema['maxItems']} items, not {len(value)}")
    if "items" in schema:
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], formats, f"{path}[{index}]")
    if schema.get("uniqueItems"):
        for index, item in enumerate(value):
            if any(_same(item, other) for other in value[:index]):
                yield Problem(f"{path}[{index}]", f"expected each item once: {_describe(item)} is there already")


def _same(a: object, b: object) -> bool:
    # To JSON, true and 1 differ; to Python they are equal.
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _near(word: object, words: list[str]) -> str:
    close = difflib.get_close_matches(str(word), words, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _article(names: list[str]) -> str:
    return " or ".join(
        {"object": "a mapping", "array": "a list"}.get(n, f"a {n}" if n != "integer" else "an integer") for n in names
    )


def _describe(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
