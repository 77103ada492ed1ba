"""The linker on aarch64: its own tests, run under qemu-user with Debian's arm64 libraries (tools/aarch64)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from support import needs

TOP = Path(__file__).parents[2]
CALLS = ("callback", "find", "gnu", "leaks", "lock", "records", "values")
CANNOT = (
    # Neither gdb nor perf looks into a process of qemu-user, which has no ptrace and runs other code.
    "debugger.py::test_a_breakpoint_by_name_and_one_by_line",
    "debugger.py::test_a_library_from_bytes_and_one_that_is_closed",
    "debugger.py::test_the_stack_inside_an_exception",
    "debugger.py::test_a_debugger_that_is_attached_later",
    "perfmap.py::test_perf_names_the_function_that_ran",
    # The memory of qemu's process is what it has translated, too.
    "soak.py::test_five_thousand_loads_of_sqlite",
    "soak.py::test_five_thousand_loads_of_a_library_with_thread_local_storage",
    # /proc/self/task/N/syscall tells the stack pointers of qemu's own code (src/core/threads.c).
    "leftovers.py::test_code_stays_for_a_thread_that_a_runtime_started",
    "leftovers.py::test_code_and_what_it_needs_stay_for_a_thread_of_another_library",
)
PARTS = {
    "core": ["tests/core"],
    "linker": ["tests/linker", *(f"--deselect=tests/linker/test_{name}" for name in CANNOT)],
    "machine": ["tests/aarch64", "tests/linkplan/static"],
    "libraries": ["tests/real"],
    "calls": [f"tests/ffi/test_{name}.py" for name in CALLS],
}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_the_tests_pass_there(part: str) -> None:
    for tool, package in (
        ("qemu-aarch64", "qemu-user"), ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"), ("ld.lld", "lld"),
    ):  # fmt: skip
        needs.program(tool, package)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    command = [str(TOP / "tools" / "aarch64"), "-m", "pytest", "-q", *PARTS[part]]
    run = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    (summary,) = re.findall(r"^(?:=* )?(\d+ passed.*)", run.stdout, re.MULTILINE)[-1:]
    assert "skipped" not in summary, run.stdout[-6000:]
