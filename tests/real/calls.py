"""Shorthand for tests that do real work with a library: load it, name its functions, pass it Python functions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import latebind as lb
from latebind.ffi import parse_prototype
from support import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from latebind.ffi import Callback


class Functions:
    """A library's functions as attributes, each with the prototype that it was asked for with."""

    def __init__(self, library: lb.Library, prototypes: str) -> None:
        self.library = library
        self._functions = {}
        for line in prototypes.strip().splitlines():
            prototype = line.strip().rstrip(";")
            self._functions[parse_prototype(prototype).name] = library.function(prototype)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._functions[name]


@contextmanager
def work_with(soname: str, package: str, prototypes: str) -> Iterator[Functions]:
    """The functions of `soname`, loaded by our own linker into a fresh namespace; `prototypes` has one a line."""
    needs.library(soname, package)
    with lb.load(soname, namespace=lb.Namespace()) as library:
        assert library.role == "own"
        yield Functions(library, prototypes)


def callback(prototype: str, function: Callable[..., Any]) -> Callback:
    """`function` for C code to call; keep the result as long as it may be called."""
    return parse_prototype(prototype).callback(function)


def number(data: bytes | bytearray, at: int = 0, size: int = 8) -> int:
    """An integer in a C variable: `size` bytes at `at`."""
    return int.from_bytes(data[at : at + size], "little")
