"""contract header, doc, schema, diff: what a contract looks like from the other sides."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from support.command import latebind

PLACE = f"{Path(__file__).parent.parent.parent / 'examples' / 'languages' / 'contract.py'}"


def test_a_cpp_header_comes_with_its_c_header(tmp_path: Path) -> None:
    printed = latebind("contract", "header", "-l", "c++", f"{PLACE}:Text").stdout
    assert "namespace acme::text {" in printed
    assert '#include "acme_text.h"' in printed
    run = latebind("contract", "header", "-l", "c++", "--folder", tmp_path, f"{PLACE}:Text")
    assert run.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["acme_text.h", "acme_text.hpp"]
    assert (tmp_path / "acme_text.hpp").read_text() == printed


def test_rust_contracts_go_into_one_file(tmp_path: Path) -> None:
    command = ["contract", "header", "-l", "rust", f"{PLACE}:Text", "--requires", f"{PLACE}:Logger"]
    printed = latebind(*command).stdout
    assert "pub mod acme_text {" in printed
    assert "pub fn info(ctx: &mut Context, text: &str) -> Result<()>" in printed
    latebind(*command, "--folder", tmp_path)
    assert (tmp_path / "bindings.rs").read_text() == printed


def test_requires_is_for_rust() -> None:
    run = latebind("contract", "header", f"{PLACE}:Text", "--requires", f"{PLACE}:Logger")
    assert run.returncode == 2
    assert "--requires is for Rust" in run.stderr


def test_a_page_for_people(tmp_path: Path) -> None:
    run = latebind("contract", "doc", "--folder", tmp_path, f"{PLACE}:Text")
    assert run.returncode == 0
    page = (tmp_path / "acme_text.md").read_text()
    assert page.startswith("# Text\n\nContract `acme.text`, version 1.0.0.\n")
    assert "limit: int | None = None) → list[Token]" in page
    assert "| `BY_LENGTH` | 1 |" in page


def test_the_schema_of_each_method() -> None:
    run = latebind("contract", "schema", f"{PLACE}:Text", f"{PLACE}:Logger")
    text, logger = (json.loads(line) for line in run.stdout.splitlines())
    assert (text["schema"], text["id"], logger["id"]) == (1, "acme.text", "host.logger")
    split = text["methods"][0]["parameters"]
    jsonschema.validate({"text": "a b", "order": "BY_LENGTH", "limit": None}, split)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"text": "a b", "order": 1}, split)


def changed(tmp_path: Path, *changes: tuple[str, str]) -> str:
    text = Path(PLACE).read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "contract.py").write_text(text)
    return f"{tmp_path / 'contract.py'}:Text"


def test_a_difference_that_breaks(tmp_path: Path) -> None:
    new = changed(tmp_path, ("start: int = 0)", "start: str)"), ("BY_LENGTH = 1", "BY_LENGTH = 1\n    NEW = 2"))
    run = latebind("contract", "diff", f"{PLACE}:Text", new)
    assert run.returncode == 1
    assert run.stdout.splitlines() == [
        "acme.text 1.0.0 → acme.text 1.0.0",
        "  breaks: 1",
        "    counter(): start: int64 → start: str",
        "  adds: 1",
        "    Order.NEW: nothing → 2",
        "  needs a major bump: 2.0.0 or later",
        "  1.0.0 is too low",
    ]


def test_an_honest_version_is_fine(tmp_path: Path) -> None:
    new = changed(
        tmp_path, ("BY_LENGTH = 1", "BY_LENGTH = 1\n    NEW = 2"), ('text", version="1.0.0', 'text", version="1.1.0')
    )
    run = latebind("contract", "diff", f"{PLACE}:Text", new, "--json")
    assert run.returncode == 0
    document = json.loads(run.stdout)
    assert (document["bump"], document["needed"], document["honest"]) == ("minor", "1.1.0", True)
    assert document["changes"] == [{"place": "Order.NEW", "before": None, "after": "2", "bump": "minor"}]


def test_no_difference() -> None:
    run = latebind("contract", "diff", f"{PLACE}:Text", f"{PLACE}:Text")
    assert run.returncode == 0
    assert run.stdout == "acme.text 1.0.0 → acme.text 1.0.0\n  needs no bump\n"


def test_a_contract_that_was_edited_within_the_same_second_is_read_anew(tmp_path: Path) -> None:
    """Python would take byte code for fresh: the file is as long as before, and was changed in the same second."""
    code = "import typing, latebind\n@latebind.contract('a.b', version='{}')\nclass B(typing.Protocol):\n    pass\n"
    file = tmp_path / "contract.py"
    cached = {"PYTHONDONTWRITEBYTECODE": ""}
    for version in ("1.0.0", "1.1.0"):
        file.write_text(code.format(version))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        run = latebind("contract", "schema", f"{file}:B", environment=cached)
        assert json.loads(run.stdout)["version"] == version
    assert [path.name for path in tmp_path.iterdir()] == ["contract.py"], "no byte code is left beside it"
