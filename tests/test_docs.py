"""docs/calls.md is true: its library compiles, and its Python blocks, which are one program, run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support import needs

PAGE = Path(__file__).parent.parent / "docs" / "calls.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_program_of_the_calls_page_runs(tmp_path: Path) -> None:
    (source,) = blocks("c")
    (tmp_path / "shapes.c").write_text(source, encoding="utf-8")
    compiler = needs.program("cc", "gcc libc6-dev")
    command = [compiler, "-g", "-Wall", "-Werror", "-shared", "-fPIC", "-o", "libshapes.so", "shapes.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    program = "\n".join(blocks("python"))
    assert program.count("assert ") + program.count("pytest.raises") > 12
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
