"""Objects that the system's linker loads as part of a plan; plans with so many objects that two threads share them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from latebind import _core
from support.plans import FUNCTION, SYSTEM, Binding, PlanObject, function, own, pack, present

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.compiler import Compiler

MANY = 20


def of_system(path: str, offsets: dict[str, int] | None = None) -> PlanObject:
    """An object for the system's linker, with functions at these offsets."""
    there = {name: Binding(FUNCTION, value=value) for name, value in (offsets or {}).items()}
    made = present((0, 0, None), there.get, SYSTEM)
    made.source = path
    return made


def mapped() -> set[str]:
    """The files that are mapped."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return {line.split(None, 5)[5].strip() for line in lines if line.count("/")}


@pytest.fixture
def many(cc: Compiler) -> list[PlanObject]:
    """Libraries in a row, each of which calls the next one."""
    paths = [
        cc.shared(
            f"int f{n + 1}(int) __attribute__((weak)); int f{n}(int x) {{ return f{n + 1} ? f{n + 1}(x + 1) : x; }}",
            name=f"lib{n}.so",
            flags=["-nostdlib"],
        )
        for n in range(MANY)
    ]
    return [own(path) for path in paths]


def test_the_systems_linker_loads_what_a_plan_gives_it(cc: Compiler) -> None:
    base = cc.shared("int answer(void) { return 42; }", name="libsystem.so")
    offset = own(base).symbol("answer").value
    ours = own(cc.shared("int answer(void); int ask(void) { return answer() + 1; }", flags=["-nostdlib"]))
    objects = [ours, of_system(str(base), {"answer": offset})]
    image, system = _core.execute(pack(objects), [o.source for o in objects], [])
    assert isinstance(image, _core.Object)
    assert isinstance(system, tuple)
    handle, at = system
    assert at == next(entry[1] for entry in _core.link_map() if entry[0] == str(base))
    assert function(image, ours, "ask", ctypes.c_int)() == 43
    image.unmap()
    _core.system_close(handle)
    assert str(base) not in mapped()


def test_what_the_systems_linker_refuses_is_told_and_nothing_stays(cc: Compiler, many: Sequence[PlanObject]) -> None:
    there = cc.shared("int answer(void) { return 42; }", name="libsystem.so")
    objects = [*many, of_system(str(there)), of_system("/nowhere/libnowhere.so")]
    before = mapped()
    with pytest.raises(_core.ExecuteError, match=r"the system's linker refuses it: /nowhere/libnowhere.so") as caught:
        _core.execute(pack(objects), [o.source for o in objects], [])
    assert (caught.value.code, caught.value.object) == ("unsupported", MANY + 1)
    assert mapped() == before


def test_what_it_has_loaded_goes_again_when_an_object_of_ours_fails(cc: Compiler, many: Sequence[PlanObject]) -> None:
    there = cc.shared("int answer(void) { return 42; }", name="libsystem.so")
    objects = [of_system(str(there)), *many]
    objects[7].source = b"cut off"
    before = mapped()
    with pytest.raises(_core.ExecuteError, match="it is cut off") as caught:
        _core.execute(pack(objects), [o.source for o in objects], [])
    assert caught.value.object == 7
    assert mapped() == before


def test_many_objects_are_bound_to_each_other(many: Sequence[PlanObject]) -> None:
    for _ in range(20):
        images = _core.execute(pack(many), [o.source for o in many], [])
        assert isinstance(images[0], _core.Object)
        assert function(images[0], many[0], "f0", ctypes.c_int, ctypes.c_int)(100) == 100 + MANY - 1
        for image in images:
            assert isinstance(image, _core.Object)
            image.unmap()


def test_of_many_that_fail_one_is_named_and_none_stays(many: Sequence[PlanObject]) -> None:
    broken = {3, 4, 15, 19}
    for number in broken:
        many[number].source = b"cut off"
    before = mapped()
    for _ in range(20):
        with pytest.raises(_core.ExecuteError, match="it is cut off") as caught:
            _core.execute(pack(many), [o.source for o in many], [])
        assert caught.value.object in broken
    assert mapped() == before
