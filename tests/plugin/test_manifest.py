"""Manifests: three formats, one schema, every problem at once with its place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import ManifestError, NotFound
from latebind.contracts import Version
from latebind.plugin import Limits, Manifest, manifest_schema, parse_manifest, read_manifest
from latebind.plugin.manifest import manifest_from

if TYPE_CHECKING:
    from pathlib import Path

FULL = {
    "id": "acme.tokenizer",
    "version": "1.4.2",
    "summary": "Splits text into tokens",
    "author": "Acme",
    "entry": "libacme_tokenizer.so",
    "sha256": "AB" * 32,
    "provides": [{"contract": "acme.tokenizer", "version": "1.2.0"}],
    "requires": [
        {"contract": "host.logger", "version": "^1.0"},
        {"plugin": "acme.dictionary", "version": ">=2, <3", "optional": True},
    ],
    "capabilities": ["filesystem:read:/usr/share/dict", "network:connect:443", "environment:LANG", "threads"],
    "limits": {"memory": "256MiB", "call_time": "2s", "cpu": 1},
    "state": {"schema": 3},
    "concurrency": "parallel",
    "priority": -3,
    "config": {"type": "object", "properties": {"language": {"type": "string", "default": "en"}}},
}
SMALLEST = {"id": "a.b", "version": "1.0.0", "entry": "x.so"}

YAML = """
id: acme.tokenizer            # reverse-dotted, unique
version: 1.4.2                # SemVer
entry: libacme_tokenizer.so
provides: [{contract: acme.tokenizer, version: 1.2.0}]
requires: [{contract: host.logger, version: "^1.0"}, {plugin: acme.dictionary, version: ">=2, <3", optional: true}]
limits: {memory: 256MiB, call_time: 2s, cpu: 1}
state: {schema: 3}
"""
TOML = """
id = "acme.tokenizer"
version = "1.4.2"
entry = "libacme_tokenizer.so"
provides = [{contract = "acme.tokenizer", version = "1.2.0"}]
requires = [
  {contract = "host.logger", version = "^1.0"},
  {plugin = "acme.dictionary", version = ">=2, <3", optional = true},
]
limits = {memory = "256MiB", call_time = "2s", cpu = 1}
state = {schema = 3}
"""


def places(error: ManifestError) -> list[str]:
    return [p.path for p in error.problems]


def problems(**changes: object) -> dict[str, str]:
    """Path → expectation of each problem in the smallest manifest with these changes; None takes a key away."""
    document = {k: v for k, v in {**SMALLEST, **changes}.items() if v is not None}
    with pytest.raises(ManifestError) as caught:
        manifest_from(document, "plugin.yaml")
    return {p.path: p.expected for p in caught.value.problems}


def test_every_field_is_read() -> None:
    found = manifest_from(FULL, "/p/plugin.json")
    assert (found.id, str(found.version), found.entry, found.summary) == (
        "acme.tokenizer", "1.4.2", "libacme_tokenizer.so", "Splits text into tokens",
    )  # fmt: skip
    assert found.sha256 == "ab" * 32
    assert [(p.contract, str(p.version)) for p in found.provides] == [("acme.tokenizer", "1.2.0")]
    assert [str(r) for r in found.requires] == ["contract host.logger ^1.0", "plugin acme.dictionary >=2, <3"]
    assert [r.optional for r in found.requires] == [False, True]
    assert [str(c) for c in found.capabilities] == FULL["capabilities"]
    assert found.limits == Limits(256 << 20, 2.0, 1)
    assert (found.state_schema, found.parallel, found.priority) == (3, True, -3)
    assert found.entry_path == "/p/libacme_tokenizer.so"


def test_yaml_json_and_toml_say_the_same() -> None:
    read = [parse_manifest(YAML.encode(), "p.yaml"), parse_manifest(TOML.encode(), "p.toml")]
    document = {
        k: v for k, v in FULL.items() if k in {"id", "version", "entry", "provides", "requires", "limits", "state"}
    }
    read.append(parse_manifest(json.dumps(document).encode(), "p.json"))
    assert len({(m.id, m.version, m.entry, m.provides, m.requires, m.limits, m.state_schema) for m in read}) == 1


def test_what_is_left_out_has_its_default() -> None:
    found = manifest_from(SMALLEST, "plugin.yaml")
    assert found == Manifest("plugin.yaml", "a.b", Version(1, 0, 0), "x.so")


def test_every_mistake_is_reported_with_its_place() -> None:
    found = problems(
        id="Acme", version="1.0", entry=None, provides=[{"contract": "a.b", "version": "x"}, {"version": "1.0.0"}],
        capabilities=["netwrk"], concurency="serial", limits={"memory": "lots"}, state={"schema": -1},
    )  # fmt: skip
    assert found.keys() == {
        "id", "version", "entry", "provides[0].version", "provides[1].contract", "capabilities[0]", "concurency",
        "limits.memory", "state.schema",
    }  # fmt: skip
    assert found["entry"] == "is missing"
    assert found["concurency"] == "is not a known key; did you mean concurrency?"
    assert "did you mean 'network'" in found["capabilities[0]"]
    assert found["limits.memory"] == "expected a size such as 256MiB, not 'lots'"
    assert found["state.schema"] == "expected at least 0, not -1"


def test_the_message_lists_all_of_them() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(b"id: 3\nversion: 1.0\nnonsense: 1\n", "dir/plugin.yaml")
    assert str(caught.value).splitlines() == [
        "dir/plugin.yaml: 4 problems in the manifest",
        "  entry: is missing",
        "  id: expected a string, not 3",
        "  version: expected a string, not 1.0",
        "  nonsense: is not a known key; known are " + ", ".join(sorted({*FULL, "$schema"})),
    ]


@pytest.mark.parametrize(
    ("changes", "path", "what"),
    [
        ({"entry": "/abs.so"}, "entry", "within the plugin's folder"),
        ({"entry": "../x.so"}, "entry", "within the plugin's folder"),
        ({"entry": "a b:C"}, "entry", "package.module:Class"),
        ({"entry": "mod:Class", "sha256": "0" * 64}, "sha256", "Python entry"),
        ({"sha256": "12"}, "sha256", "matches"),
        ({"requires": [{"version": "*"}]}, "requires[0]", "exactly one of contract and plugin"),
        ({"requires": [{"contract": "a.b", "plugin": "a.b"}]}, "requires[0]", "exactly one"),
        ({"requires": [{"contract": "a.b"}, {"contract": "a.b"}]}, "requires[1].contract", "required already"),
        ({"requires": [{"contract": "a.b", "version": "^^"}]}, "requires[0].version", "is not a comparison"),
        ({"provides": [{"contract": "a.b_c", "version": "1.0.0"}, {"contract": "a_b.c", "version": "1.0.0"}]},
         "provides[1].contract", "clashes with a.b_c"),
        ({"capabilities": ["threads", "threads"]}, "capabilities[1]", "each item once"),
        ({"limits": {"call_time": "2"}}, "limits.call_time", "duration"),
        ({"limits": {"cpu": 0}}, "limits.cpu", "more than 0"),
        ({"limits": {"cpu": float("nan")}}, "limits.cpu", "more than 0"),
        ({"concurrency": "seriel"}, "concurrency", "did you mean serial?"),
        ({"config": {"type": "string"}}, "config.type", "a configuration is a mapping"),
        ({"config": {"type": "object", "properties": {"x": {"type": "text"}}}},
         "config.properties.x.type", "one or more of"),
        ({"config": {"type": "object", "allOf": []}}, "config.allOf", "not supported"),
        ({"config": {"type": "object", "properties": {"x": {"pattern": "("}}}},
         "config.properties.x.pattern", "regular"),
        ({"config": {"type": "object", "properties": {"x": {"type": "string", "default": 3}}}},
         "config.properties.x.default", "expected a string"),
        ({"config": {"type": "object", "properties": {"server": {
            "type": "object", "properties": {"port": {"type": "integer"}}, "default": {"port": "http"}}}}},
         "config.properties.server.default.port", "expected an integer, not 'http'"),
        ({"config": {"type": "object", "properties": {"server": {
            "type": "object", "required": ["host"], "default": {}}}}},
         "config.properties.server.default.host", "is missing"),
        ({"config": {"type": "object", "properties": {"server": {
            "type": "object", "properties": {"port": {}}, "additionalProperties": False, "default": {"prot": 1}}}}},
         "config.properties.server.default.prot", "did you mean port?"),
        ({"config": {"type": "object", "properties": {"ports": {
            "type": "array", "items": {"type": "integer", "maximum": 65535}, "default": [80, 65536]}}}},
         "config.properties.ports.default[1]", "at most 65535"),
        ({"config": {"type": "object", "properties": {"server": {
            "type": "object", "properties": {"port": {"type": "integer", "default": "80"}}}}}},
         "config.properties.server.properties.port.default", "expected an integer"),
        ({"config": {"type": "object", "properties": {"lists": {
            "type": "array", "items": {"type": "array", "items": {"type": "string"}, "default": [1]}}}}},
         "config.properties.lists.items.default[0]", "expected a string"),
        ({"config": {"type": "object", "additionalProperties": {"type": "integer", "default": "one"}}},
         "config.additionalProperties.default", "expected an integer"),
        ({"config": {"type": "object", "properties": {"x": {"type": "integer"}}, "default": {"x": "1"}}},
         "config.default.x", "expected an integer"),
    ],
)  # fmt: skip
def test_each_rule_names_the_place_that_breaks_it(changes: dict[str, object], path: str, what: str) -> None:
    found = problems(**changes)
    assert list(found) == [path]
    assert what in found[path]


def test_a_default_is_not_held_against_a_schema_that_is_unsound_itself() -> None:
    inner = {"type": "object", "properties": {"port": {"type": "number", "minimum": "0"}}, "default": {"port": "http"}}
    other = {"type": "integer", "default": "one"}
    found = problems(config={"type": "object", "properties": {"server": inner, "count": other}})
    assert found == {
        "config.properties.server.properties.port.minimum": "expected a number",
        "config.properties.count.default": "expected an integer, not 'one'",
    }


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_document_that_is_no_mapping_is_one_problem(document: object) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest_from(document, "plugin.yaml")
    assert places(caught.value) == [""]
    assert "expected a mapping" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("p.yaml", b"id: [1\n", "line 2"),
        ("p.yaml", b"id: a\nid: b\n", "the key 'id' is given twice"),
        ("p.yaml", b"x: &a [1]\ny: *a\n", "aliases"),
        ("p.yaml", b"!!python/object:os.system {}", "not YAML"),
        ("p.yaml", b"id: \x01", "not YAML"),
        ("p.yaml", b"\xff\xfe", "UTF-8"),
        ("p.yaml", b"[" * 100000, "nesting"),
        ("p.json", b'{"id": 1, "id": 2}', "'id' is given twice"),
        ("p.json", b'{"id": ', "line 1: not JSON"),
        ("p.json", b"[" * 100000, "nesting"),
        ("p.json", b"[" * 70 + b"]" * 70, "nesting"),
        ("p.toml", b"id = ", "not TOML"),
        ("p.toml", b"id = 1\nid = 2", "not TOML"),
        ("p.yaml", b"x" * ((1 << 20) + 1), "at most 1048576 bytes"),
        ("p.xml", b"<id/>", "ends with one of"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_a_manifest_error(name: str, data: bytes, what: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, name)
    assert what in str(caught.value)


@given(
    st.sampled_from(["p.yaml", "p.json", "p.toml"]),
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
)
def test_any_bytes_are_a_manifest_or_a_manifest_error(name: str, data: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, name)
    assert caught.value.problems


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(FULL)) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(FULL)), json_values))
def test_the_published_schema_refuses_only_what_we_refuse(changes: dict[str, object]) -> None:
    document = {**FULL, **changes}
    valid = jsonschema.Draft202012Validator(manifest_schema()).is_valid(document)
    try:
        manifest_from(document, "p.json")
    except ManifestError:
        return  # our formats (versions, capabilities …) are stricter than what a general validator knows
    assert valid


def test_the_published_schema_is_a_json_schema_that_accepts_a_manifest() -> None:
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    jsonschema.validate(FULL, manifest_schema())


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_manifest(tmp_path / "plugin.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id: [1\n", "not YAML"),
        (b"id: a\nid: b\n", "line 2: not YAML: the key 'id' is given twice"),
        (b"x: &a [1]\ny: *a\n", r"line 2: not YAML: aliases \(\*name\) are not supported"),
        (b"[" * 10000, "nesting"),
    ],
)
@pytest.mark.parametrize("libyaml", [True, False])
def test_yaml_is_read_alike_with_and_without_libyaml(
    monkeypatch: pytest.MonkeyPatch, text: bytes, message: str, *, libyaml: bool
) -> None:
    import yaml

    from latebind.plugin import documents

    if libyaml and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml; apt install libyaml-dev")
    monkeypatch.setattr(yaml, "__with_libyaml__", libyaml)
    monkeypatch.setattr(documents, "_yaml_loader", documents._yaml_loader.__wrapped__)
    assert replace(parse_manifest(YAML.encode(), "p.yaml"), path="p.toml") == parse_manifest(TOML.encode(), "p.toml")
    with pytest.raises(ManifestError, match=message):
        parse_manifest(text, "p.yaml")
