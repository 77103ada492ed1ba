"""The tree of a closure: every branch, cycles and repetitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind.search import Closure, Files, fresh_closure
from latebind.search.environment import environment_for
from latebind.view import deps

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def root(cc: Compiler, tmp_path: Path) -> Path:
    """The file libroot needs liba and libb, which need each other; libb also needs libgone, which is missing."""
    here = ["-nostdlib", f"-L{tmp_path}", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed"]
    for name in ("libgone", "libb", "liba"):
        cc.shared("", name=f"{name}.so", flags=["-nostdlib"])
    cc.shared("", name="libb.so", flags=[*here, "-la", "-lgone"])
    cc.shared("", name="liba.so", flags=[*here, "-lb"])
    (tmp_path / "libgone.so").unlink()
    return cc.shared("", name="libroot.so", flags=[*here, "-la", "-lb", "-Wl,--allow-shlib-undefined"])


def closure(root: Path) -> Closure:
    files = Files()
    file = files.summary(str(root))
    return fresh_closure(file, files, environment_for(file, files, {}))


def test_a_cycle_is_opened_once_and_what_is_missing_stands_where_it_is_needed(root: Path) -> None:
    lines = [line.partition("  [")[0] for line in deps.tree(closure(root)) if "tried" not in line]
    folder = root.parent
    assert lines == [
        str(root),
        f"├─ liba.so → {folder}/liba.so",
        f"│  └─ libb.so → {folder}/libb.so",
        "│     ├─ liba.so (see above)",
        "│     └─ libgone.so is missing",
        "└─ libb.so (see above)",
    ]


def test_the_places_that_were_tried_hang_below_what_is_missing(root: Path) -> None:
    tried = [line for line in deps.tree(closure(root)) if "tried" in line]
    assert tried[0] == f"│        tried {root.parent}/libgone.so: no such file"
    assert any("ld.so.cache: has no entry" in line for line in tried)


def test_the_list_names_who_needs_what_is_missing(root: Path) -> None:
    lines = list(deps.listing(closure(root)))
    assert f"  libgone.so is missing, needed by {root.parent}/libb.so" in lines
