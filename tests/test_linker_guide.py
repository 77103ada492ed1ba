"""docs/linker.md is true: it names the files and reasons that there are; its code is run by test_readme.py."""

from __future__ import annotations

import re
from pathlib import Path

from latebind.linker.lasting import Reason

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "linker.md"


def test_the_files_that_it_names_exist() -> None:
    named = re.findall(r"`((?:[a-z]+/)*[a-z_0-9]+\.(?:c|h|S|py)|[a-z]+/)`", GUIDE.read_text(encoding="utf-8"))
    places = [ROOT, ROOT / "src" / "latebind", ROOT / "src" / "core"]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
    assert len(named) > 15


def test_every_reason_to_stay_is_explained() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"| `{reason}` |" not in text] == []
