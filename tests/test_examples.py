"""The examples run, and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support import needs

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_demo_shows_every_step() -> None:
    needs.program("cc", "gcc libc6-dev")
    run = subprocess.run([sys.executable, EXAMPLES / "demo.py"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"^── (\d)\. ", run.stdout, re.MULTILINE) == list("1234567")
    counts = re.search(r"calls made: (\d+), answered: (\d+), failed: 0; the plugin counted: (\d+)", run.stdout)
    assert counts
    assert len(set(counts.groups())) == 1
    assert "capability 'network:connect' (implied by its import of connect)" in run.stdout
    assert "the spy's code runs" not in run.stdout
