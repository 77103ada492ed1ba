"""Reading ahead under the sanitizers: several threads ask for files that another one reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from latebind._core import summarize
from support import needs

HERE = Path(__file__).parent
CORE = HERE.parent.parent / "src" / "core"


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_threads_that_ask_while_another_reads(sanitizer: str, tmp_path: Path) -> None:
    program = tmp_path / "ahead_threads"
    parts = ("ahead", "reading", "summary", "layout", "match", "parallel", "shrunk")
    sources = [str(HERE / "ahead_threads.c"), *(str(CORE / f"{part}.c") for part in parts)]
    flags = ["-std=gnu11", "-O1", "-g", f"-I{CORE}", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-pthread"]
    subprocess.run([needs.program("cc", "gcc"), *flags, "-o", str(program), *sources], check=True)
    files = [str(path) for path in sorted(Path("/usr/bin").iterdir())[:400]]
    files += [str(path) for path in sorted(Path("/usr/lib/x86_64-linux-gnu").glob("*.so.*"))[:200]]
    run = subprocess.run([program, *files], capture_output=True, text=True, check=False, timeout=100)
    assert run.stderr == ""
    assert run.returncode == 0
    found = [summarize(path, {}) for path in files]
    needed = sum(len(values[7]) for values in found if isinstance(values, tuple))
    assert run.stdout.split() == [str(needed)] * 12
