"""JSON Schema of contracts, judged by jsonschema; values as JSON and back."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind.contracts import Contract, Method, Parameter, Version
from latebind.contracts.annotation import kind_of
from latebind.contracts.schema import (
    arguments_from_json,
    contract_schema,
    from_json,
    kind_schema,
    method_schema,
    to_json,
)
from latebind.contracts.types import (
    FLOAT64,
    INT8,
    INT64,
    Bytes,
    DataKind,
    HandleTo,
    IteratorOf,
    Nothing,
    OptionalOf,
    Text,
)
from support.kinds import ECHO, KINDS, METHODS, Everything, Mode, Place, values

SESSION = Contract("a.session", Version(1, 0, 0), (Method("next", (), Text()),))
SPLIT = Method(
    "split",
    (
        Parameter("text", Text()),
        Parameter("mode", kind_of(Mode), required=False, default=Mode.FAST),
        Parameter("limit", OptionalOf(INT8), required=False, default=None, keyword_only=True),
    ),
    IteratorOf(kind_of(Place)),
    doc="Splits.",
)
CONTRACT = Contract(
    "a.b", Version(1, 2, 0), (SPLIT, Method("open", (), HandleTo(SESSION)), Method("end", (), Nothing()))
)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_value_is_valid_json_of_its_schema_and_comes_back(name: str, data: st.DataObject) -> None:
    kind = METHODS[name].parameters[0].kind
    value = data.draw(values(kind).filter(is_finite))
    text = json.dumps(to_json(kind, value), allow_nan=False)
    jsonschema.Draft202012Validator(kind_schema(kind)).validate(json.loads(text))
    assert from_json(kind, json.loads(text)) == value


def is_finite(value: object) -> bool:
    """JSON has no infinities."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(is_finite, value))
    return all(map(is_finite, vars(value).values())) if isinstance(value, Everything) else True


def test_the_schemas_are_schemas() -> None:
    document: Any = contract_schema(ECHO)
    for method in [*document["methods"], method_schema(SPLIT)]:
        jsonschema.Draft202012Validator.check_schema(method["parameters"])
        jsonschema.Draft202012Validator.check_schema(method["result"])


def test_a_methods_schema_holds_what_a_form_needs() -> None:
    found: Any = method_schema(SPLIT)
    parameters = found["parameters"]
    assert (found["name"], found["description"]) == ("split", "Splits.")
    assert parameters["required"] == ["text"]
    assert parameters["properties"]["mode"]["enum"] == ["FAST", "EXACT", "BOTH"]
    assert parameters["properties"]["mode"]["default"] == "FAST"
    assert parameters["properties"]["limit"]["default"] is None
    assert found["result"]["type"] == "array"
    assert found["result"]["items"]["required"] == ["flag", "number", "at", "tiny"]


def test_handles_come_with_their_own_methods() -> None:
    document: Any = contract_schema(CONTRACT)
    assert (document["schema"], document["id"], document["version"]) == (1, "a.b", "1.2.0")
    assert [m["name"] for m in document["handles"][0]["methods"]] == ["next"]
    assert document["methods"][1]["result"]["description"] == "A handle: a.session 1.0.0"


def test_arguments_come_by_name_with_defaults() -> None:
    assert arguments_from_json(SPLIT, {"text": "x"}) == ["x", Mode.FAST, None]
    assert arguments_from_json(SPLIT, {"limit": 3, "mode": "BOTH", "text": "x"}) == ["x", Mode.BOTH, 3]


@pytest.mark.parametrize(
    ("given_", "what"),
    [
        ({}, "split needs text"),
        ({"text": 3}, "parameter text: expected a string, not int"),
        ({"text": "x", "mod": 1}, "no parameter mod"),
        ({"text": "x", "mode": "fast"}, "parameter mode: expected one of FAST, EXACT, BOTH, not 'fast'"),
        ({"text": "x", "limit": 1000}, "parameter limit: 1000 is outside of int8"),
        ({"text": "x", "limit": True}, "parameter limit: expected an integer"),
        ({"text": "x", "limit": 1.5}, "parameter limit: expected an integer"),
    ],
)
def test_wrong_arguments_are_named(given_: dict[str, object], what: str) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError), match=what):
        arguments_from_json(SPLIT, given_)


@pytest.mark.parametrize(
    ("kind", "value", "what"),
    [
        (Bytes(), "!!", "not base64"),
        (Bytes(), "é", "base64|ASCII"),
        (kind_of(Place), [], "expected an object, not list"),
        (kind_of(Place), {"flag": True}, "Place needs number"),
        (kind_of(Place), {"flag": True, "number": 1, "at": 1, "tiny": 1, "x": 1}, "Place has no field x"),
        (kind_of(Place), {"flag": 1, "number": 1, "at": 1, "tiny": 1}, "Place.flag: expected bool"),
        (KINDS[-1], {}, "expected an array"),
    ],
)
def test_wrong_json_is_refused_with_its_place(kind: DataKind, value: object, what: str) -> None:
    with pytest.raises((TypeError, ValueError), match=what):
        from_json(kind, value)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert from_json(INT64, 2.0) == 2
    assert from_json(FLOAT64, 2) == 2.0
    with pytest.raises(ValueError, match="JSON has no number"):
        to_json(FLOAT64, math.inf)
