"""plugin and contract: lists, checks and what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support import needs
from support.command import PROGRAM, latebind

TOKENIZER = Path(__file__).parent.parent.parent / "examples" / "tokenizer"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """The example, built in a folder of the test's own."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(TOKENIZER, folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    needs.program("cc", "gcc libc6-dev")
    command = [str(Path(PROGRAM).parent / "python"), "build.py"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_list_shows_the_good_and_tells_of_the_bad(tokenizer: Path) -> None:
    broken = tokenizer.parent / "broken"
    broken.mkdir()
    (broken / "plugin.yaml").write_text("id: Broken\nversion: one\nentri: x.so\n")
    run = latebind("plugin", "list", tokenizer.parent)
    assert run.returncode == 1
    assert [line.split()[:2] for line in run.stdout.splitlines()[1:]] == [["acme.tokenizer", "1.4.2"]]
    assert f"latebind: {broken}/plugin.yaml: " in run.stderr
    for place in ("id", "version", "entri"):  # every mistake, each with its place
        assert f"  {place}" in run.stderr


def test_list_as_json(tokenizer: Path) -> None:
    run = latebind("plugin", "list", "--json", tokenizer)
    assert run.returncode == 0
    document = json.loads(run.stdout)
    assert (document["schema"], document["id"], document["version"]) == (1, "acme.tokenizer", "1.4.2")
    assert document["requires"] == [{"contract": "host.logger", "version": "^1.0", "optional": False}]


def test_show_says_what_the_imports_imply(tokenizer: Path) -> None:
    source = tokenizer / "tokenizer.c"
    source.write_text(source.read_text() + '\n#include <stdlib.h>\nchar *spy(void) { return getenv("A"); }\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tokenizer / "libacme_tokenizer.so", source], check=True)
    run = latebind("plugin", "show", tokenizer)
    assert run.returncode == 0
    assert run.stdout.startswith("acme.tokenizer 1.4.2: Splits text")
    assert "implied by its imports: environment (getenv)" in run.stdout
    refused = latebind("plugin", "check", tokenizer)
    assert refused.returncode == 1
    assert "capability 'environment' (implied by its import of getenv)" in refused.stderr


def test_show_says_all_that_the_manifest_does(tmp_path: Path) -> None:
    (tmp_path / "plugin.yaml").write_text(
        "id: acme.all\nversion: 1.0.0\nentry: liball.so\nconcurrency: parallel\npriority: 7\nstate: {schema: 3}\n"
        "limits: {memory: 2 MiB, call_time: 500 ms}\n"
        "config:\n  type: object\n  required: [level]\n"
        "  properties: {level: {type: integer}, name: {type: string, default: x}}\n"
    )
    shown = latebind("plugin", "show", tmp_path).stdout
    for line in (
        "calls: by many threads at once",
        "state: schema 3",
        "priority: 7",
        "limits: memory 2097152 bytes, call_time 0.5 s a call",
        'configuration: level (integer, required), name (string, default "x")',
    ):
        assert f"  {line}\n" in shown
    document = json.loads(latebind("plugin", "show", "--json", tmp_path).stdout)
    assert document["limits"] == {"memory": 2 << 20, "call_time": 0.5, "cpu": None}
    assert (document["parallel"], document["state_schema"], document["priority"]) == (True, 3, 7)
    assert document["config"]["properties"]["name"] == {"type": "string", "default": "x"}


def test_check_executes_nothing(tokenizer: Path) -> None:
    source = tokenizer / "tokenizer.c"
    first = '\n#include <stdio.h>\n__attribute__((constructor)) static void first(void) { puts("executed"); }\n'
    source.write_text(source.read_text() + first)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tokenizer / "libacme_tokenizer.so", source], check=True)
    run = latebind("plugin", "check", tokenizer, f"{tokenizer}/contract.py:Tokenizer")
    assert run.returncode == 0, run.stderr
    assert "host_logger_info will be bound to the service host.logger" in run.stdout
    assert "executed" not in run.stdout


def test_check_against_another_version_of_the_contract(tokenizer: Path) -> None:
    contract = tokenizer / "contract.py"
    contract.write_text(contract.read_text().replace('version="1.2.0"', 'version="2.0.0"'))
    run = latebind("plugin", "check", tokenizer, f"{contract}:Tokenizer")
    assert run.returncode == 1
    assert "version of acme.tokenizer\n  expected: one that serves 2.0.0\n  found:    1.2.0: " in run.stdout


def test_the_schema_of_a_manifest_is_a_json_schema() -> None:
    document = json.loads(latebind("plugin", "schema").stdout)
    assert document["$schema"].startswith("https://json-schema.org/")
    assert {"id", "version", "entry"} <= document["properties"].keys()


def test_a_folder_without_manifest_says_what_was_looked_for(tmp_path: Path) -> None:
    run = latebind("plugin", "show", tmp_path)
    assert run.returncode == 1
    assert "has no plugin.yaml, plugin.json or plugin.toml" in run.stderr


def test_the_header_of_a_contract_goes_to_standard_output_or_to_files(tmp_path: Path) -> None:
    place = f"{TOKENIZER}/contract.py"
    printed = latebind("contract", "header", f"{place}:Tokenizer").stdout
    assert "lb_status acme_tokenizer_count(lb_context *ctx, lb_str text, int64_t *result);" in printed
    run = latebind("contract", "header", "--folder", tmp_path, f"{place}:Tokenizer", f"{place}:Logger")
    assert run.returncode == 0
    assert (tmp_path / "acme_tokenizer.h").read_text() == printed
    assert (tmp_path / "host_logger.h").exists()
