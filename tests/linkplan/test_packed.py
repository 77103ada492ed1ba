"""Packing: the core's records of what an object is bound to, and the plan that it makes of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from latebind import Namespace, _core, plan
from latebind.linkplan.format import record_size
from latebind.linkplan.resolve import patch

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

COUNT = 3


@pytest.fixture
def chain(cc: Compiler) -> list[Path]:
    """Libraries that each need the one before, the last of them first."""
    made: list[Path] = []
    for n in range(COUNT):
        below, call = (f"int f{n - 1}(int);", f"f{n - 1}(x) + ") if n else ("", "")
        text = f'#include <string.h>\n{below} int f{n}(int x) {{ return {call}strlen("x"); }}'
        flags = [*map(str, made[-1:]), "-Wl,-rpath,$ORIGIN", "-fno-builtin"]
        made.append(cc.shared(text, name=f"lib{n}.so", flags=flags))
    return made[::-1]


def test_the_objects_of_packed_records(chain: list[Path]) -> None:
    made = plan(str(chain[0]))
    rows, objects, own = made.bound(0).rows, made.bound(0).objects, 0
    records, targets = rows.packed(objects, own, {})
    assert targets == {row[2] for row in struct.iter_unpack("<IIIIQ", records)} - {0xFFFFFFFF}
    number = next(n for n in range(len(rows)) if rows[n][1] == f"f{COUNT - 2}")
    patched, patched_targets = rows.packed(objects, own, {number: (1, 7, 99)})
    changed = [row for row in struct.iter_unpack("<IIIIQ", patched) if row[2] == 7]
    assert changed == [(rows[number][0], 1, 7, 0, 99)]
    assert 7 in patched_targets
    with pytest.raises(IndexError):
        rows.packed(objects, own, {len(rows): (1, 7, 99)})
    with pytest.raises(ValueError, match="for a scope of"):
        rows.packed((), own, {})


def test_a_plan_is_packed_from_what_the_core_is_told(chain: list[Path]) -> None:
    made = plan(str(chain[0]), into=Namespace())
    job = made.bound(0).job(made.patches_of(0)[0])
    machine, size = (62, 2, 1), record_size("lb_plan_object")
    packed, targets = _core.pack_plan(machine, bytes(2 * size), b"", (None, job), b"abcd", b"x\0")
    records, expected = job[0].packed(*job[1:])
    assert targets == [set(), expected]
    assert packed.endswith(b"abcd\0\0\0\0x\0")
    assert records in packed
    assert packed.index(records) % 8 == 0
    for jobs in ((), (None,), (None, None, None)):
        with pytest.raises(ValueError, match="not one job for each object"):
            _core.pack_plan(machine, bytes(2 * size), b"", jobs, b"", b"")
    with pytest.raises(ValueError, match="not one job for each object"):
        _core.pack_plan(machine, bytes(size - 1), b"", (), b"", b"")
    with pytest.raises(TypeError):
        _core.pack_plan(machine, bytes(size), b"", (("x", *job[1:]),), b"", b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="for a scope of"):
        _core.pack_plan(machine, bytes(size), b"", ((job[0], (), 0, {}),), b"", b"")


@pytest.mark.parametrize("name", ["libstdc++.so.6", "libgcc_s.so.1", "libcurl.so.4", "libglib-2.0.so.0"])
def test_services_are_patched_as_they_are_bound(name: str) -> None:
    made = plan(name, into=Namespace())
    for item in made.loaded:
        patches, originals = made.patches_of(item.index)
        changed = made.changes(item.index)
        assert patches == {number: patch(b) for number, b in changed.items()}
        assert originals == {b.target for b in changed.values()}
        assert made.targets_of(item.index) >= originals


def test_what_the_core_serves_is_watched_and_provided(chain: list[Path]) -> None:
    made = plan(str(chain[0]), into=Namespace())
    made = made.with_hooks(["strlen"])
    bound = made.bound(0)
    number = next(n for n in range(len(bound)) if bound.binding(n).symbol == "strlen")
    owner = bound.binding(number).target
    assert owner is not None
    assert number in bound.rows.watched
    assert bound.served({"strlen": 77}, frozenset({owner})) == {number: (8, owner, 77)}
    assert bound.served({"strlen": 77}, frozenset({owner + 100})) == {}
    assert bound.served({"strcpy": 77}, frozenset({owner})) == {}
    with pytest.raises(IndexError):
        bound.rows.served((), {"strlen": 77}, frozenset({owner}))
