"""plugin and contract: from `plugin new` to a call; lists, checks and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import needs
from support.command import PROGRAM, latebind

TOKENIZER = Path(__file__).parent.parent.parent / "examples" / "tokenizer"


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    needs.program("cc", "gcc libc6-dev")
    environment = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    command = [needs.program("make", "make"), "--no-print-directory", "-C", str(folder), *targets]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """The example, built in a folder of the test's own."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(TOKENIZER, folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    needs.program("cc", "gcc libc6-dev")
    command = [str(Path(PROGRAM).parent / "python"), "build.py"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_a_new_plugin_builds_passes_its_check_and_answers(tmp_path: Path) -> None:
    folder = tmp_path / "greeter"
    made = latebind("plugin", "new", folder, "--id", "acme.greeter")
    assert made.returncode == 0
    assert f"next: make -C {folder} check run" in made.stdout
    run = make(folder, "check", "run")
    assert run.returncode == 0, run.stderr
    assert "acme.greeter 0.1.0 is fine:\n  provides acme.greeter 0.1.0: greet\n" in run.stdout
    assert run.stdout.endswith("Hello, world\n")
    assert "  compiled signatures: as declared\n" in run.stdout
    tested = make(folder, "test", f"PYTHON={Path(PROGRAM).parent / 'python'}")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout


def test_a_new_plugin_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    run = latebind("plugin", "new", tmp_path)
    assert run.returncode == 1
    assert "there is something in it already" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_plugin_needs_a_reverse_dotted_id(tmp_path: Path) -> None:
    run = latebind("plugin", "new", tmp_path / "x", "--id", "Greeter")
    assert run.returncode == 1
    assert "lower-case words with dots" in run.stderr
    assert not (tmp_path / "x").exists()


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


def test_run_calls_one_method_with_a_stand_in_for_the_service(tokenizer: Path) -> None:
    contract = f"{tokenizer}/contract.py"
    service = ["--service", f"{contract}:Logger"]
    run = latebind("plugin", "run", tokenizer, f"{contract}:Tokenizer", "count", "late binding is simple", *service)
    assert (run.returncode, run.stdout) == (0, "4\n")
    assert run.stderr == "[host.logger] info('the tokenizer is ready')\n"
    longest = latebind("plugin", "run", tokenizer, f"{contract}:Tokenizer", "longest", "late binding", *service)
    assert longest.stdout == "binding\n"


@pytest.mark.parametrize(("arguments", "message"), [
    (["contract.py:Tokenizer", "split", "x"], "acme.tokenizer has no method split; it has count, longest, seen"),
    (["contract.py:Tokenizer", "count", "a", "b"], "acme.tokenizer.count takes text, not 2 arguments"),
    (["contract.py:Tokenizer", "count"], "count"),
    (["contract.py:Absent", "count"], "contract.py has no class Absent"),
    (["contract.py:Protocol", "count"], "is not a contract"),
    (["absent.py:Tokenizer", "count"], "absent.py cannot be imported: there is no such file"),
    (["contract.py", "count"], "write FILE:CLASS"),
])  # fmt: skip
def test_run_explains_a_wrong_command_line(tokenizer: Path, arguments: list[str], message: str) -> None:
    run = latebind("plugin", "run", ".", *arguments, "--service", "contract.py:Logger", folder=tokenizer)
    assert run.returncode == 2
    assert message in run.stderr


def test_run_without_a_required_service_is_refused(tokenizer: Path) -> None:
    run = latebind("plugin", "run", ".", "contract.py:Tokenizer", "count", "x", folder=tokenizer)
    assert run.returncode == 1
    assert "host.logger" in run.stderr


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
