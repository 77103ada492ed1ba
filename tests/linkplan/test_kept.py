"""Kept plans: an entry is what was written or nothing, and the folder is the user's alone."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from latebind._core import first_change, identities, prepared
from latebind.linkplan import PreparedObject, PreparedPlan, Role
from latebind.linkplan.kept import NOTHING, Damaged, Entry, Evidence, Store, decode, encode, record_of, store_for
from latebind.linkplan.kept_record import MAKERS, read_record, write_record

QUESTION = "which library?\nin which surroundings?"


def evidence_of(*watched: str, opened: str | None = None) -> Evidence:
    paths = [*watched, *([opened] if opened else [])]
    records = [record_of(path, identity) for path, identity in zip(paths, identities(tuple(paths)), strict=True)]
    return Evidence(b"".join(records[: len(watched)]), b"".join(records[len(watched) :]))


def entry(folder: Path, question: str = QUESTION) -> Entry:
    file = folder / "libx.so"
    if not file.exists():
        file.write_bytes(b"x" * 10)
    name, here = "libx.so", str(file)
    unique = ((2, "unique_one"), (1, ""))
    top = PreparedObject(name, here, Role.OWN, present=False, identity=None, gives_tls=False, nodelete=True,
                         needs=(1,), holds=(1, 2), unique=unique)  # fmt: skip
    libc = top._replace(name="libc.so.6", path="/lib/libc.so.6", role=Role.RESIDENT, present=True, gives_tls=True,
                        nodelete=False, needs=(), holds=(), unique=())  # fmt: skip
    late = libc._replace(name="libö.so", path="/lib/lib\udcff.so", role=Role.SYSTEM, present=False, needs=(1,))
    evidence = evidence_of(f"{folder}/nothing", str(folder), opened=here)
    plan = PreparedPlan(bytes(range(200)), (top, libc, late), (0, 1, 2), (1, 2, 0), 2)
    return Entry(question, evidence, plan)


def with_root(plan: PreparedPlan, **changes: object) -> PreparedPlan:
    return plan._replace(objects=(plan.objects[0]._replace(**changes), *plan.objects[1:]))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "plans"))


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = entry(tmp_path)
    assert decode(encode(written)) == written


def test_what_was_kept_is_found_by_its_question_alone(store: Store, tmp_path: Path) -> None:
    assert store.find(QUESTION) is None
    assert store.keep(entry(tmp_path))
    assert store.find(QUESTION) == entry(tmp_path).plan
    assert store.find(QUESTION + "?") is None


def test_a_later_entry_takes_the_place_of_an_earlier_one(store: Store, tmp_path: Path) -> None:
    store.keep(entry(tmp_path))
    changed = entry(tmp_path)._replace(evidence=Evidence(b"", b""))
    store.keep(changed)
    assert store.find(QUESTION) == changed.plan
    assert len(store.files()) == 1


def test_evidence_holds_while_everything_is_as_it_was(tmp_path: Path) -> None:
    kept = entry(tmp_path)
    assert kept.stale() is None
    (tmp_path / "another").touch()  # what else is in a folder does not matter
    assert kept.stale() is None


def test_a_changed_file_a_new_one_and_a_missing_one_are_noticed(tmp_path: Path) -> None:
    kept = entry(tmp_path)
    (tmp_path / "nothing").touch()
    assert kept.stale() == str(tmp_path / "nothing")
    (tmp_path / "nothing").unlink()
    (tmp_path / "libx.so").write_bytes(b"y" * 10)
    os.utime(tmp_path / "libx.so", ns=(1, 1))
    assert kept.stale() == str(tmp_path / "libx.so")
    (tmp_path / "libx.so").unlink()
    assert kept.stale() == str(tmp_path / "libx.so")


def test_a_plan_is_found_while_its_evidence_holds_but_for_the_files_that_the_core_looks_at(
    store: Store, tmp_path: Path
) -> None:
    store.keep(entry(tmp_path))
    (tmp_path / "nothing").touch()
    assert store.find(QUESTION) is None
    (tmp_path / "nothing").unlink()
    assert store.find(QUESTION) is not None
    assert store.holds(QUESTION)
    (tmp_path / "libx.so").unlink()
    assert store.find(QUESTION) is not None
    assert not store.holds(QUESTION)


def test_evidence_that_is_no_row_of_records_is_refused() -> None:
    one = record_of("/nothing", NOTHING)
    assert first_change(one * 3) is None
    assert first_change(one + record_of("/", NOTHING) + one) == 1
    assert Evidence(one, record_of("/lib\udcff", NOTHING)).paths() == ("/nothing", "/lib\udcff")
    for size in range(1, len(one)):
        with pytest.raises(ValueError, match="no records"):
            first_change(one + one[:size])
    with pytest.raises(ValueError, match="NUL"):
        record_of("a\0b", NOTHING)


def test_every_damage_of_one_byte_is_noticed(tmp_path: Path) -> None:
    data = encode(entry(tmp_path))
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        with pytest.raises(Damaged):
            decode(bytes(changed))


def test_an_entry_that_is_cut_off_anywhere_is_damaged(tmp_path: Path) -> None:
    data = encode(entry(tmp_path))
    for size in range(len(data)):
        with pytest.raises(Damaged):
            decode(data[:size])


def test_fields_that_contradict_each_other_are_damage_even_under_a_good_checksum(tmp_path: Path) -> None:
    good = entry(tmp_path)
    for broken in (
        good._replace(plan=good.plan._replace(scope=(0, 7))),
        good._replace(plan=good.plan._replace(init_order=(3,))),
        good._replace(plan=with_root(good.plan, needs=(3,))),
        good._replace(plan=with_root(good.plan, holds=(1, 9))),
        good._replace(plan=with_root(good.plan, unique=((5, "x"),))),
        good._replace(plan=good.plan._replace(closure_size=4)),
        good._replace(plan=good.plan._replace(objects=())),
    ):
        with pytest.raises(Damaged, match="contradict"):
            decode(encode(broken))


def test_a_plan_that_says_what_none_can_is_not_written(tmp_path: Path) -> None:
    good = entry(tmp_path)
    for broken in (good.plan._replace(scope=(-1,)), with_root(good.plan, needs=(1 << 32,))):
        with pytest.raises(ValueError, match="no index"):
            encode(good._replace(plan=broken))


def test_a_record_that_is_cut_off_anywhere_is_damaged(tmp_path: Path) -> None:
    plan = entry(tmp_path).plan
    record = write_record(plan)
    assert read_record(record, plan.packed) == plan
    for size in range(len(record)):
        with pytest.raises(ValueError, match=r"cut off|contradict"):
            read_record(record[:size], plan.packed)


def test_a_damaged_record_is_a_plan_or_an_error(tmp_path: Path) -> None:
    plan = entry(tmp_path).plan
    record = write_record(plan)
    dice, errors = random.Random(11), 0
    for _ in range(5000):
        changed = bytearray(record)
        for _ in range(dice.randrange(1, 4)):
            changed[dice.randrange(len(record))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        try:
            read = read_record(bytes(changed), plan.packed)
        except ValueError:
            errors += 1
        else:
            assert all(0 <= i < len(read.objects) for i in (*read.scope, *read.init_order))
    assert 0 < errors < 5000


def test_what_a_record_is_made_into_must_be_tuples(tmp_path: Path) -> None:
    plan = entry(tmp_path).plan
    for makers in ((int, *MAKERS[1:]), (*MAKERS[:3], [*MAKERS[3]]), MAKERS[:2], "four", (*MAKERS[:3], ())):
        with pytest.raises((ValueError, TypeError)):
            prepared(write_record(plan), plan.packed, makers)  # type: ignore[arg-type]


def test_a_damaged_entry_is_a_missing_one(store: Store, tmp_path: Path) -> None:
    store.keep(entry(tmp_path))
    (path,) = store.files()
    data = bytearray(Path(path).read_bytes())
    data[-1] ^= 1
    Path(path).write_bytes(data)
    assert store.find(QUESTION) is None
    ((where, wrong),) = store.entries()
    assert where == path
    assert isinstance(wrong, Damaged)
    assert "checksum" in str(wrong)


def test_random_bytes_are_never_an_entry() -> None:
    dice = random.Random(4)
    for size in (0, 1, 31, 32, 33, 400):
        with pytest.raises(Damaged):
            decode(dice.randbytes(size))


def test_a_folder_that_others_may_write_to_keeps_nothing(store: Store, tmp_path: Path) -> None:
    os.makedirs(store.folder)
    os.chmod(store.folder, 0o777)  # noqa: S103  (that is the point)
    assert not store.keep(entry(tmp_path))
    assert store.files() == ()


def test_an_entry_that_others_may_write_to_is_not_used(store: Store, tmp_path: Path) -> None:
    store.keep(entry(tmp_path))
    (path,) = store.files()
    os.chmod(path, 0o666)  # noqa: S103
    assert store.find(QUESTION) is None


def test_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    store.keep(entry(tmp_path))
    (path,) = store.files()
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    assert store.find(QUESTION) is None


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not Store(str(tmp_path / "file" / "plans")).keep(entry(tmp_path))


def test_a_full_folder_loses_its_oldest_entries(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latebind.linkplan.kept._MOST_ENTRIES", 8)
    for number in range(9):
        before = set(store.files())
        store.keep(entry(tmp_path, f"question {number}"))
        for path in set(store.files()) - before:
            os.utime(path, (number, number))
    assert len(store.files()) == 7
    assert store.find("question 8") is not None
    assert store.find("question 0") is None


def test_many_writers_at_once_leave_one_whole_entry(store: Store, tmp_path: Path) -> None:
    kept = entry(tmp_path)
    store.keep(kept)
    wrong: list[object] = []

    def write_and_read() -> None:
        for _ in range(30):
            found = store.find(QUESTION) if store.keep(kept) else None
            wrong.extend([found] if found != kept.plan else [])

    threads = [threading.Thread(target=write_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.files()) == 1


def test_clearing_removes_every_entry_and_what_a_crash_left(store: Store, tmp_path: Path) -> None:
    store.keep(entry(tmp_path))
    Path(store.folder, "0123.plan.77.ab").touch()
    assert store.clear() == 2
    assert store.clear() == 0


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"LATEBIND_CACHE": "/c", "HOME": "/h"}, "/c/plans"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/latebind/plans"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/latebind/plans"),
        ({"HOME": "/h"}, "/h/.cache/latebind/plans"),
        ({"LATEBIND_CACHE": "off", "HOME": "/h"}, None),
        ({"LATEBIND_CACHE": "relative"}, None),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_the_environment_says_where_plans_are_kept(variables: dict[str, str], folder: str | None) -> None:
    store = store_for(variables)
    assert (store.folder if store is not None else None) == folder


def test_identities_are_what_stat_says(tmp_path: Path) -> None:
    status = os.stat(__file__)
    folder = os.stat(tmp_path)
    found = identities((__file__, str(tmp_path), f"{tmp_path}/nothing", "with\0NUL"))
    assert found[0] == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    assert found[1] == (folder.st_dev, folder.st_ino, 0, 0)
    assert found[2:] == (NOTHING, NOTHING)
    with pytest.raises(TypeError):
        identities((7,))  # type: ignore[arg-type]
