"""Plans as documents, and what differs between two of them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from latebind import Unsupported, plan
from latebind.linkplan import Change, PlanDiff, PlanRecord, compare, record

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

USER = "int one(void), two(void); int g(void){ return one() + two(); }"


@pytest.fixture
def user(cc: Compiler, tmp_path: Path) -> Path:
    cc.shared("int one(void){ return 1; } int two(void){ return 2; }", name="libone.so")
    return cc.shared(USER, name="libuser.so", flags=[f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lone"])


def changes(diff: PlanDiff) -> set[tuple[Change, str, bool]]:
    return {(d.change, d.what, d.breaks) for d in diff.all}


def test_a_document_reads_back_as_it_was(user: Path) -> None:
    made = record(plan(user))
    text = made.to_json()
    assert json.loads(text)["schema"] == 1
    assert PlanRecord.from_json(text) == made
    assert compare(made, PlanRecord.from_json(text)).all == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema":99}', '{"schema":1}', '{"schema":1,"objects":[{"x":1}]}',
     '{"schema":1,"root":"a","interpreter":null,"objects":[],"missing":[],"init_order":[3],"bindings":[]}'],
)  # fmt: skip
def test_a_damaged_document_is_refused(text: str) -> None:
    with pytest.raises(Unsupported, match=r"old\.json"):
        PlanRecord.from_json(text, "old.json")


def test_an_update_that_drops_a_function_breaks(user: Path, cc: Compiler) -> None:
    before = record(plan(user))
    cc.shared("int one(void){ return 1; } int three(void){ return 3; }", name="libone.so")
    diff = compare(before, record(plan(user)))
    assert (Change.REBUILT, "libone.so", False) in changes(diff)
    assert (Change.LOST, "two of (the file itself)", True) in changes(diff)
    assert diff.breaks
    assert not any(d.what.startswith("one ") for d in diff.all)


def test_an_interposer_rebinds_without_breaking(user: Path, cc: Compiler, tmp_path: Path) -> None:
    before = record(plan(user))
    cc.shared("int one(void){ return 5; }", name="extra/libextra.so")
    link = ["-Wl,--no-as-needed", f"-L{tmp_path}/extra", f"-Wl,-rpath,{tmp_path}/extra", "-lextra"]
    cc.shared("int two(void){ return 2; } int one(void){ return 1; }", name="libone.so", flags=link)
    diff = compare(before, record(plan(user)))
    assert (Change.ADDED, "libextra.so", False) in changes(diff)
    assert not diff.breaks


def test_another_search_path_moves_an_object(user: Path, tmp_path: Path, cc: Compiler) -> None:
    before = record(plan(user))
    (tmp_path / "libone.so").rename(tmp_path / "gone.so")
    missing = compare(before, record(plan(user)))
    assert (Change.REMOVED, "libone.so", True) in changes(missing)
    (tmp_path / "new").mkdir()
    shutil.move(tmp_path / "gone.so", tmp_path / "new" / "libone.so")
    diff = compare(before, record(plan(user, library_path=(str(tmp_path / "new"),))))
    (moved,) = [d for d in diff.objects if d.change is Change.MOVED]
    assert (moved.what, diff.breaks) == ("libone.so", False)
    assert f"{tmp_path}/new/libone.so" in (moved.after or "")
    assert cc.folder == tmp_path


def test_constructor_order_is_compared(cc: Compiler, tmp_path: Path) -> None:
    link = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-Wl,--no-as-needed"]
    cc.shared("int b;", name="libb.so")
    cc.shared("int a;", name="liba.so")
    user = cc.shared("int u;", name="libuser.so", flags=[*link, "-la", "-lb"])
    before = record(plan(user))
    cc.shared("int b;", name="libb.so", flags=[*link, "-la"])
    after = compare(before, record(plan(user)))
    cc.shared("int b;", name="libb.so")
    cc.shared("int a;", name="liba.so", flags=[*link, "-lb"])
    other = compare(before, record(plan(user)))
    assert [d.change for d in (*after.order, *other.order)] == [Change.REORDERED]
