"""The core's stubs, alone: detours that can be pointed elsewhere, observed calls, protection and lifetime."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latebind import _core
from support.machine import HERE


def address(name: str) -> int:
    found = _core.system_symbol(0, name, None)
    assert found is not None
    return found


def callable_at(where: int) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(where)


def protection(where: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if first <= where < last:
            return line.split()[1]
    return ""


def test_a_stub_leads_where_it_is_pointed() -> None:
    stubs = _core.Stubs(2)
    stubs.point(0, address("labs"))
    stubs.point(1, address("toupper"))
    assert callable_at(stubs.address(0))(-4) == 4
    assert callable_at(stubs.address(1))(ord("a")) == ord("A")
    stubs.point(0, address("toupper"))
    assert callable_at(stubs.address(0))(ord("b")) == ord("B")
    stubs.close()


def test_many_stubs_reach_their_records() -> None:
    stubs = _core.Stubs(3000)
    for number in range(3000):
        stubs.point(number, address("labs" if number % 2 else "toupper"))
    assert [callable_at(stubs.address(n))(ord("a")) for n in (0, 1, 2998, 2999)] == [65, 97, 65, 97]
    stubs.close()


def test_an_observer_sees_the_call_and_the_target_is_called() -> None:
    seen: list[tuple[int, bytes]] = []
    stubs = _core.Stubs(3, lambda number, _time, _thread, _caller, frame, _stack: seen.append((number, frame)))
    stubs.observe(2, address("labs"))
    assert callable_at(stubs.address(2))(-5) == 5
    ((number, frame),) = seen
    assert number == 2
    assert struct.unpack_from("<q", frame)[0] == -5
    assert len(frame) == (HERE.integers + 2 * 8) * 8
    stubs.close()


def test_code_is_not_writable_and_data_not_executable() -> None:
    stubs = _core.Stubs(1)
    page = stubs.address(0) & -4096
    assert protection(page) == "r-xp"
    assert protection(page + 4096) == "rw-p"
    stubs.close()
    assert protection(page) != "r-xp"


def test_closing_twice_and_using_what_is_closed() -> None:
    stubs = _core.Stubs(1)
    stubs.close()
    stubs.close()
    with pytest.raises(ValueError, match="closed"):
        stubs.address(0)


def test_a_stub_that_is_not_there() -> None:
    stubs = _core.Stubs(1)
    with pytest.raises(IndexError):
        stubs.point(1, address("labs"))
    stubs.close()
    with pytest.raises(_core.ExecuteError):
        _core.Stubs(0)


def test_a_stub_that_leads_nowhere_says_so() -> None:
    program = "import ctypes; from latebind import _core; ctypes.CFUNCTYPE(None)(_core.Stubs(1).address(0))()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode < 0
    assert "before it was bound" in run.stderr
