"""The references of many objects bound at once: the same as one by one, and what is wrong with one is told."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf, _core, plan, read
from latebind.elf.dynamic import DT_JMPREL
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from pathlib import Path

    from latebind.linkplan import LinkPlan
    from support.compiler import Compiler

COUNT = 12


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


def rows(made: LinkPlan) -> list[object]:
    return [made.bindings_of(o.index) for o in made.loaded]


def test_many_at_once_are_bound_as_one_by_one(chain: list[Path]) -> None:
    together, alone = plan(str(chain[0])), plan(str(chain[0]))
    together.bind_all()
    expected = [alone.bound(o.index).records({}) for o in alone.loaded]
    assert [together.bound(o.index).records({}) for o in together.loaded] == expected
    assert rows(together) == rows(alone)
    assert together.unresolved == ()


def test_what_is_wrong_with_one_of_them_is_told(chain: list[Path]) -> None:
    damaged = chain[5]
    elf = read(damaged)
    slots = elf.addresses.offset(elf.dynamic.values[DT_JMPREL], "DT_JMPREL")
    data = bytearray(damaged.read_bytes())
    struct.pack_into("<I", data, slots + 12, 10_000)  # the symbol of its first record
    damaged.write_bytes(data)
    with pytest.raises(MalformedElf, match=rf"{damaged.name}.*symbol"):
        _ = plan(str(chain[0])).unresolved


def test_the_core_gives_none_for_what_it_cannot_bind(chain: list[Path]) -> None:
    table = symbol_table(read(chain[0]))
    rest = (), (8, (7,), 5), (table,), -1, ()
    good, outside = ((), *rest), (((1 << 40, 24, True),), *rest)
    found = _core.bind_all(((table, good), (table, outside), (table, good)))
    assert [one is None for one in found] == [False, True, False]
    with pytest.raises(ValueError, match="outside the file"):
        table.bind(*outside)
    with pytest.raises(TypeError):
        _core.bind_all(((table, "nothing"),))  # type: ignore[arg-type]
    assert _core.bind_all(()) == []


def test_the_objects_of_packed_records(chain: list[Path]) -> None:
    made = plan(str(chain[0]))
    assert _core.record_objects(made.records_of(0)) == set(made.targets_of(0))
    assert _core.record_objects(b"") == set()
