"""What is written from one contract, whole, so that a change of any generator shows in a review.

The contract is that of examples/languages. `UPDATE_GOLDEN=1 pytest tests/contracts/test_golden.py` writes the files
anew. The preambles (`latebind.h` and its like) are left out: they are files of their own.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from latebind.contracts import contract_of, cxx_header, header, preamble, rust_module
from latebind.contracts.cxx import cxx_preamble
from latebind.contracts.page import markdown
from latebind.contracts.pystubs import python_stubs
from latebind.contracts.rust import rust_preamble
from latebind.contracts.schema import contract_schema
from latebind.contracts.stubs import c_stubs, cxx_stubs, rust_stubs

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = Path(__file__).parents[2] / "examples" / "languages" / "contract.py"


def load(path: Path) -> Any:
    spec = spec_from_file_location("golden_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["golden_contract"] = module
    spec.loader.exec_module(module)
    return module


MODULE = load(EXAMPLE)
TEXT, LOGGER = contract_of(MODULE.Text), contract_of(MODULE.Logger)
WRITTEN = {
    "acme_text.h": header(TEXT).replace(preamble().rstrip(), "/* [latebind.h] */"),
    "acme_text.hpp": cxx_header(TEXT).replace(cxx_preamble().rstrip(), "/* [latebind.hpp] */"),
    "bindings.rs": rust_module([TEXT], [LOGGER]).replace(rust_preamble().rstrip(), "// [latebind.rs]"),
    "acme_text.md": markdown(TEXT),
    "stubs.c": c_stubs([TEXT]) + "\n",
    "stubs.cpp": "\n".join(cxx_stubs([TEXT])) + "\n",
    "stubs.rs": rust_stubs([TEXT]) + "\n",
    "stubs.py.txt": "{0.imports}\n\n{0.classes}{0.methods}\n".format(python_stubs([MODULE.Text], [MODULE.Logger])),
    "acme_text.json": json.dumps(contract_schema(TEXT), indent=2, ensure_ascii=False) + "\n",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_what_it_was(name: str) -> None:
    if os.environ.get("UPDATE_GOLDEN") == "1":
        (GOLDEN / name).write_text(WRITTEN[name], encoding="utf-8")
    assert WRITTEN[name] == (GOLDEN / name).read_text(encoding="utf-8")
    assert "[latebind." in WRITTEN[name] or name.startswith("stubs.") or name.endswith((".md", ".json"))
