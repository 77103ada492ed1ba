"""The quick reader of plain YAML agrees with PyYAML's loader wherever it answers, and leaves the rest to it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from latebind import ManifestError
from latebind.plugin.documents import DEEPEST, _yaml_loader, parse_document
from latebind.plugin.plain_yaml import Unusual, read_plain

pytestmark = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.dates() | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PIECES = (
    "a: ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", ": ", "b", "1", "1.5", "0x1F", "017", "1:30", "yes", "~", "null",
    "2001-12-14", "'x'", '"\\n"', "&a ", "*a", "!!int ", "<<: ", "=", "? ", "|\n  text\n", ">\n  text\n", "# note\n",
    "---\n", "...\n", "%YAML 1.1\n", "\t", "é", "\x07", ".inf", "-.5", "1_000", "2001-13-45",
)  # fmt: skip


def slow(text: str) -> object:
    return yaml.load(text, Loader=_yaml_loader())  # noqa: S506 - the one under test


def typed(value: object) -> object:
    """The value with its types: 1, 1.0 and True are equal to Python."""
    if isinstance(value, dict):
        return [(typed(k), typed(v)) for k, v in value.items()]
    return [typed(v) for v in value] if isinstance(value, list) else (type(value), repr(value))


@given(values, st.booleans())
def test_what_is_dumped_is_read_as_the_loader_reads_it(value: object, flow: bool) -> None:  # noqa: FBT001
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    try:
        found = read_plain(text, DEEPEST)
    except Unusual:
        return
    assert typed(found) == typed(slow(text))


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_whatever_it_reads_the_loader_reads_too(text: str) -> None:
    try:
        found = read_plain(text, DEEPEST)
    except Unusual:
        return
    assert typed(found) == typed(slow(text))


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1", "a: *x", "a: !!int '3'", "a: 1\na: 2", "1: a\n'1': b", "? [1]\n: 2", "<<: {a: 1}", "a: 1\n---\nb: 2",
        "a: [", "", "a: 2001-13-45", "[" * 100 + "]" * 100,
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_loader(text: str) -> None:
    with pytest.raises(Unusual):
        read_plain(text, DEEPEST)


def test_a_manifest_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Any:
        raise AssertionError("PyYAML's loader was asked")

    monkeypatch.setattr("latebind.plugin.documents._yaml_loader", never)
    assert parse_document(b"id: a.b\nversion: 1.0.0\nlist: [1, {x: 'y'}]\n", "plugin.yaml") == {
        "id": "a.b", "version": "1.0.0", "list": [1, {"x": "y"}],
    }  # fmt: skip


def test_the_loader_still_says_what_is_wrong() -> None:
    with pytest.raises(ManifestError, match="line 2: not YAML: the key 'a' is given twice"):
        parse_document(b"a: 1\na: 2\n", "plugin.yaml")
