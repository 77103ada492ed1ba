"""`plugin check`: what it finds without running a plugin, and what trials in processes of their own find."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from latebind.plugin.trials import RELOAD, SELFTEST, START
from latebind.testing import compile_plugin
from support import needs
from support.command import latebind

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

CONTRACT = """
from enum import Enum
from typing import Protocol
from latebind import contract

class Mode(Enum):
    CALM = 0
    ANGRY = 1

@contract("host.clock", version="1.0.0")
class Clock(Protocol):
    def now(self) -> float: ...

@contract("acme.tester", version="1.0.0")
class Tester(Protocol):
    def first(self, text: str) -> str: ...
    def second(self, number: int, mode: Mode = Mode.CALM) -> int: ...
"""


def defined(text: str) -> Any:
    """A module of that text, for the headers of its contracts."""
    module = ModuleType("check_contract")
    sys.modules[module.__name__] = module  # annotations are resolved through it
    exec(text, vars(module))  # noqa: S102 - it is the text above
    return module


CLASSES = defined(CONTRACT)
SOURCE = r"""
#include "acme_tester.h"
#include "host_clock.h"
extern void abort(void);
LATEBIND_PLUGIN("acme.tester", "1.0.0")
LATEBIND_PROVIDES(acme_tester)
LATEBIND_REQUIRES(host_clock)
lb_status acme_tester_first(lb_context *ctx, lb_str text, lb_str *result)
{
    (void)ctx;
    FIRST;
    *result = text;
    return LB_OK;
}
lb_status acme_tester_second(lb_context *ctx, int64_t number, acme_tester_Mode mode, int64_t *result)
{
    double now;
    *result = number + mode;
    SECOND;
    return host_clock_now(ctx, &now);
}
lb_status lb_selftest(lb_context *ctx)
{
    (void)ctx;
    SELFTEST;
    return LB_OK;
}
"""
MANIFEST = """
id: acme.tester
version: 1.0.0
entry: plugin.so
provides: [{contract: acme.tester, version: 1.0.0}]
requires: [{contract: host.clock, version: "^1.0"}]
"""


def build(folder: Path, manifest: str = "", **faults: str) -> Path:
    """The plugin, with a fault in C in place of each macro."""
    needs.program("cc", "gcc libc6-dev")
    for name, text in {"contract.py": CONTRACT, "plugin.c": SOURCE, "plugin.yaml": MANIFEST + manifest}.items():
        (folder / name).write_text(text)
    flags = ["-Werror", *(f"-D{name}={faults.get(name, '')}" for name in ("FIRST", "SECOND", "SELFTEST"))]
    compile_plugin(folder / "plugin.c", folder / "plugin.so", [CLASSES.Tester, CLASSES.Clock], flags=flags)
    return folder


def check(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return latebind("plugin", "check", "--run", folder, *options)


def document(folder: Path, *options: str) -> dict[str, Any]:
    run = check(folder, "--json", *options)
    found: dict[str, Any] = json.loads(run.stdout)
    assert run.returncode == (1 if found["findings"] else 0)
    assert found["fine"] is not bool(found["findings"])
    return found


def only(trial: str) -> list[str]:
    others = {START, SELFTEST, RELOAD, "acme.tester.first", "acme.tester.second"} - {trial}
    return [word for name in others for word in ("--skip", name)]


def test_a_plugin_passes_every_trial_with_a_stand_in_for_its_service(tmp_path: Path) -> None:
    run = check(build(tmp_path), "--skip", RELOAD)
    assert run.returncode == 0, run.stdout
    assert run.stdout.endswith(
        "  host_clock_now will be bound to the service host.clock\n"
        "  compiled signatures: as declared\n"
        "  capabilities: none\n"
        "  start and stop: fine\n"
        "  self-test: fine\n"
        "  acme.tester.first: 7 calls\n"
        "  acme.tester.second: 9 calls\n"
    )


def test_a_crash_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    run = check(
        build(tmp_path, FIRST="if (!text.size) abort()"),
        "--skip",
        RELOAD,
        "--skip",
        SELFTEST,
        "--skip",
        "acme.tester.second",
    )
    assert run.returncode == 1
    assert run.stdout == (
        "acme.tester 1.0.0: 1 mismatch\n"
        "acme.tester.first: in first('')\n"
        "  expected: an answer or a failure\n"
        "  found:    the process was ended by SIGABRT (Aborted)\n"
        "  start and stop: fine\n"
    )


def test_every_fault_is_found_with_its_place(tmp_path: Path) -> None:
    folder = build(
        tmp_path,
        "state: {schema: 3}\n",
        FIRST='static const char no_text[] = "\\xff"; text.data = no_text, text.size = 1',
        SELFTEST='return lb_fail(ctx, "out of order")',
    )
    findings = document(folder, "--skip", "acme.tester.second")["findings"]
    assert [(f["check"], f["what"], f["expected"]) for f in findings] == [
        ("self-test", "lb_selftest", "success"),
        ("reload", "lb_save", "a state of schema 3, as the manifest says"),
        ("acme.tester.first", "acme.tester.first", "a result as the contract says, or a failure"),
    ]
    assert findings[0]["found"] == "out of order"
    assert "('late binding'): its result breaks the contract: the text is not UTF-8" in findings[2]["found"]


def test_a_plugin_that_never_answers_is_a_finding(tmp_path: Path) -> None:
    folder = build(tmp_path, SECOND="for (;;) {}")
    (finding,) = document(folder, "--timeout", "2", *only("acme.tester.second"))["findings"]
    assert (finding["check"], finding["expected"], finding["found"]) == (
        "acme.tester.second", "an end within 2 seconds", "none",
    )  # fmt: skip


def test_a_plugin_that_ends_the_process_is_told_from_one_that_answers(tmp_path: Path) -> None:
    folder = build(tmp_path, "capabilities: []\n", SECOND='__asm__("syscall" : : "a"(231), "D"(7))')
    (finding,) = document(folder, *only("acme.tester.second"))["findings"]
    assert finding["found"] == "the process ended with status 7"


def test_a_refusal_is_no_fault(tmp_path: Path) -> None:
    folder = build(tmp_path, FIRST='return lb_fail(ctx, "no")')
    trials = document(folder, *only("acme.tester.first"))["trials"]
    assert trials == [{"name": "acme.tester.first", "fine": True, "notes": ["7 calls, 7 refused"]}]


def test_what_the_host_would_refuse_is_a_finding_of_json_too(tmp_path: Path) -> None:
    folder = build(tmp_path, SECOND='extern char *getenv(const char *); (void)getenv("HOME")')
    found = document(folder)
    assert [f["what"] for f in found["findings"]] == ["CapabilityDenied"]
    assert "getenv" in found["findings"][0]["found"]
    assert found["trials"] == []  # it is not run


def test_without_run_nothing_of_the_plugin_is_executed(tmp_path: Path) -> None:
    folder = build(tmp_path)
    (folder / "contract.py").write_text("raise SystemExit('executed')")
    run = latebind("plugin", "check", folder)
    assert run.returncode == 0
    assert "executed" not in run.stdout + run.stderr


def test_an_unknown_trial_cannot_be_skipped(tmp_path: Path) -> None:
    run = check(build(tmp_path), "--skip", "sleep")
    assert run.returncode == 2
    assert "there are start and stop, self-test, reload, acme.tester.first, acme.tester.second" in run.stderr


PYTHON_CONTRACT = """
from typing import Protocol
from latebind import contract

@contract("acme.words", version="1.0.0")
class Words(Protocol):
    def split(self, text: str, *, limit: int = 3) -> list[str]: ...
    def join(self, words: list[str]) -> str: ...
    def title(self, text: str) -> str:
        return text.title()
"""
PYTHON_MANIFEST = """
id: acme.words
version: 1.0.0
entry: words:Words
provides: [{contract: acme.words, version: 1.0.0}]
"""
GOOD = "    def split(self, text, *, limit=3): return []\n    def join(self, words): return ''\n"


def python_plugin(folder: Path, source: str) -> Path:
    (folder / "contract.py").write_text(PYTHON_CONTRACT)
    (folder / "plugin.yaml").write_text(PYTHON_MANIFEST)
    (folder / "words.py").write_text(source)
    return folder


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"class Words:\n{GOOD}", []),
        ("class Words(Base):\n    def join(self, *words): ...\n", []),
        ("@decorated\nclass Words: ...\n", []),
        ("from elsewhere import Words\n", []),
        ("Words = make()\n", []),
        ("class Words:\n    def split(self, text, **more): ...\n    join = str\n", []),
        ("class Word: ...\n", [("class Words", "defined in words.py", "nothing of that name")]),
        (
            "class Words:\n    def join(self, words): ...\n",
            [("Words.split", "def split(self, text, limit)", "not defined")],
        ),
        (
            f"class Words:\n{GOOD.replace('*, ', '').replace('limit=3', 'limit, more')}",
            [("Words.split", "def split(self, text, limit)", "def split(self, text, limit, more): line 2")],
        ),
        (
            f"class Words:\n{GOOD.replace('def join', 'async def join')}",
            [("Words.join", "def join(self, words)", "async def: line 3")],
        ),
        ("class Words:\n  def", [("module words", "Python source", "invalid syntax (…/words.py, line 2)")]),
    ],
)
def test_the_source_of_a_python_plugin_is_compared_with_the_contract(
    tmp_path: Path, source: str, expected: list[tuple[str, str, str]]
) -> None:
    folder = python_plugin(tmp_path, source)
    run = latebind("plugin", "check", "--json", folder, f"{folder}/contract.py:Words")
    found = [(f["what"], f["expected"], f["found"]) for f in json.loads(run.stdout)["findings"]]
    if expected and "…" in expected[0][2]:
        assert found[0][:2] == expected[0][:2]
        assert "invalid syntax" in found[0][2]
    else:
        assert found == expected
    assert run.returncode == bool(expected)


def test_a_python_plugin_without_its_module(tmp_path: Path) -> None:
    folder = python_plugin(tmp_path, "")
    (folder / "words.py").unlink()
    run = latebind("plugin", "check", folder)
    assert run.returncode == 1
    assert "module words\n  expected: words.py in the plugin's folder\n  found:    no such file\n" in run.stdout


def test_a_python_plugin_is_tried_too(tmp_path: Path) -> None:
    body = "    def __init__(self, context): ...\n" + GOOD.replace("return []", "return [1]")
    folder = python_plugin(tmp_path, f"class Words:\n{body}")
    skipped = [word for name in (START, SELFTEST, RELOAD, "acme.words.join") for word in ("--skip", name)]
    (finding,) = document(folder, *skipped)["findings"]
    assert finding["check"] == "acme.words.split"
    assert "its result breaks the contract" in finding["found"]
