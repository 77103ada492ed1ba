"""audit: capabilities of the whole closure with what implies them, system calls, and what --allow makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.command import latebind

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def root(cc: Compiler, tmp_path: Path) -> Path:
    """Libroot reads the environment and has its own `kill`; libinner, which it needs, connects and makes a raw call."""
    inner = """
        #include <sys/socket.h>
        int dial(int fd) { return connect(fd, 0, 0); }
        long raw(void) { long r; __asm__ volatile("mov $39, %%eax; syscall" : "=a"(r) : : "rcx", "r11"); return r; }
    """
    cc.shared(inner, name="libinner.so")
    outer = """
        #include <stdlib.h>
        int dial(int); long raw(void);
        int kill(int a, int b) { return a - b; }
        int run(void) { return getenv("HOME") != 0 && dial(kill(3, 4)) + raw(); }
    """
    return cc.shared(outer, name="libroot.so", flags=[f"-L{tmp_path}", "-linner", "-Wl,-rpath,$ORIGIN"])


def document(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(latebind("audit", "--json", *arguments).stdout)
    return found


def test_capabilities_name_their_symbols_and_who_imports_them(root: Path) -> None:
    found = document(root)
    assert found["schema"] == 1
    assert {c["capability"]: c["symbols"] for c in found["capabilities"]} == {
        "network:connect": [{"symbol": "connect", "imported_by": [f"{root.parent}/libinner.so"]}],
        "environment": [{"symbol": "getenv", "imported_by": [str(root)]}],
    }


def test_a_library_that_defines_the_name_itself_implies_nothing(root: Path) -> None:
    assert "process:signal" not in latebind("audit", root).stdout


def test_system_calls_are_found_where_they_are(root: Path) -> None:
    (calls,) = document(root)["system_calls"]
    assert calls["object"] == f"{root.parent}/libinner.so"
    (call,) = calls["instructions"]
    assert (call["instruction"], call["function"], call["number"]) == ("syscall", "raw", 39)
    assert document("--imports-only", root)["system_calls"] is None


def test_the_c_library_is_passed_over_unless_it_is_asked_for(root: Path) -> None:
    found = document(root)
    assert any("libc.so.6" in path for path in found["passed_over"])
    whole = document("--c-library", root)
    assert whole["passed_over"] == []
    assert sum(len(o["instructions"]) for o in whole["system_calls"]) > 100


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ([], 0),
        (["none"], 1),
        (["network", "environment"], 1),
        (["network", "environment", "system:call"], 0),
        (["network:connect:443", "environment:HOME", "system"], 0),
        (["environment", "system:call"], 1),
    ],
)
def test_what_exceeds_the_allowance_is_a_finding(root: Path, allowed: list[str], status: int) -> None:
    options = [part for capability in allowed for part in ("--allow", capability)]
    run = latebind("audit", *options, root)
    assert run.returncode == status
    assert ("not allowed" in run.stdout) == bool(status)
    assert document(*options, root)["exceeds"] is bool(status)


def test_a_capability_that_does_not_exist_is_a_usage_error(root: Path) -> None:
    run = latebind("audit", "--allow", "netwrok", root)
    assert run.returncode == 2
    assert "did you mean 'network'?" in run.stderr


def test_what_is_missing_cannot_be_vouched_for(root: Path) -> None:
    (root.parent / "libinner.so").unlink()
    allowed = [part for c in ("network", "environment", "system") for part in ("--allow", c)]
    run = latebind("audit", *allowed, root)
    assert run.returncode == 1
    assert "libinner.so is missing: what it would do is not known" in run.stdout


def test_a_static_program_is_judged_by_its_instructions(cc: Compiler) -> None:
    source = 'void _start(void) { __asm__ volatile("mov $60, %eax; syscall"); }'
    program = cc.program(source, flags=["-static", "-nostdlib", "-fno-pic"])
    found = document(program)
    assert found["capabilities"] == []
    assert found["notes"] == ["statically linked: it imports nothing, so only its instructions say what it does"]
    assert found["system_calls"][0]["instructions"][0]["number"] == 60


def run_without(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command where `module` is not installed."""
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {list(map(str, arguments))!r}\n"
    code += "from latebind.cli import main\nsys.exit(main())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_capstone_it_says_what_was_not_looked_for(root: Path) -> None:
    run = run_without("capstone", "audit", root)
    assert run.returncode == 0
    assert "network:connect" in run.stdout
    assert "finding system-call instructions takes capstone, which is missing" in run.stdout
    assert "pip install 'latebind[audit]'" in run.stdout
    allowed = ["--allow", "network", "--allow", "environment"]
    assert run_without("capstone", "audit", *allowed, root).returncode == 1
    assert run_without("capstone", "audit", "--imports-only", *allowed, root).returncode == 0


def test_abi_compares_symbols_where_pyelftools_is_missing(cc: Compiler) -> None:
    old = cc.shared("int f(int a) { return a; }", name="old.so", flags=["-g"])
    new = cc.shared("long f(int a) { return a; }", name="new.so", flags=["-g"])
    run = run_without("elftools", "abi", old, new)
    assert run.returncode == 0
    assert "pip install 'latebind[abi]'" in run.stderr
    named = run_without("elftools", "abi", "--debug-old", str(old), old, new)
    assert named.returncode == 1
    assert latebind("abi", old, new).returncode == 1
