"""Debian's libraries, loaded by our own linker into fresh namespaces, answer as the system linker's copies do."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind.ffi import parse_prototype
from real.libraries import FAST, SLOW, Asked
from support import needs

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet


def _parameters() -> list[ParameterSet]:
    slow = [pytest.param(asked, id=asked.soname, marks=pytest.mark.slow) for asked in SLOW]
    return [*(pytest.param(asked, id=asked.soname) for asked in FAST), *slow]


@pytest.mark.parametrize("asked", _parameters())
def test_it_answers_as_the_systems_copy_does(asked: Asked) -> None:
    system = needs.library(asked.soname, asked.package)
    with lb.load(asked.soname, namespace=lb.Namespace()) as library:
        assert library.role == "own"
        for text, arguments in asked.calls:
            prototype = parse_prototype(text)
            address = ctypes.cast(getattr(system, prototype.name), ctypes.c_void_p).value
            assert address is not None
            assert library.symbol(prototype.name) != address
            expected = prototype.bind(address, "the system's copy")(*arguments)
            assert library.function(text)(*arguments) == expected


def test_the_packages_are_listed() -> None:
    """What a fast test needs is in the first list of tools/system-packages, the others are in the second."""
    text = (Path(__file__).parents[2] / "tools" / "system-packages").read_text()
    first, _, second = text.partition("= all ]")
    assert [a.package for a in FAST if a.package not in first.split()] == []
    assert [a.package for a in SLOW if a.package not in second.split()] == []


def test_there_are_enough_of_them() -> None:
    assert len({asked.soname for asked in (*FAST, *SLOW)}) >= 60
