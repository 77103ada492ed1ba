"""Fuzz what stands on `latebind.elf`: the familiar tools and the plan.

For any bytes readelf, nm, objdump and ldd print something and end with a status, and planning gives a plan or a
`LatebindError`. `tools_target.py CORPUS [--seconds N] [--runs N]`; harness.py says how.
"""

from __future__ import annotations

import io
import os
import sys
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuzz import harness

if __name__ == "__main__":
    harness.instrument(
        "latebind.compat", ("nm_options", "objdump_options", "readelf_options", "readelf", "ldd", "lto", "collation")
    )
    harness.instrument("latebind.linkplan", ("plan",))

from latebind.compat.ldd import LddOptions, ldd
from latebind.compat.nm import nm
from latebind.compat.nm_options import parse_nm
from latebind.compat.objdump import objdump
from latebind.compat.objdump_options import parse_objdump
from latebind.compat.output import Output
from latebind.compat.readelf import show_files
from latebind.compat.readelf_options import parse as parse_readelf
from latebind.elf import read
from latebind.errors import LatebindError, MalformedElf
from latebind.linkplan import make_plan
from latebind.search import Files, LoaderCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING = ("-aW", "-a", "-WsD --dyn-syms -C", "-x1 -p2 -R3 -z -c")


@cache
def _file() -> tuple[int, str]:
    """A file in memory for the inputs, since the tools open paths."""
    descriptor = os.memfd_create("fuzz")
    return descriptor, f"/proc/self/fd/{descriptor}"


def test_one_input(data: bytes) -> None:
    """The target: show `data` with every tool, then plan to load it."""
    if data.startswith(b"!<thin>"):  # a thin archive must not lead out of the fuzzer
        return
    descriptor, path = _file()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)
    with harness.Limit():
        for run in _runs(path):
            assert isinstance(run(), int)  # the rule: a status, no exception
        _plan(data)


def _runs(path: str) -> Iterator[Callable[[], int]]:
    """Every tool with options that make it look at everything."""
    for arguments in EVERYTHING:
        yield partial(show_files, parse_readelf([*arguments.split(), path]), _output("readelf"))
    for arguments in ("-aSAC", "-D", "-fs --size-sort", "-l -s"):
        wanted, _, _ = parse_nm(arguments.split())
        yield partial(nm, [path], wanted, _output("nm"))
    for arguments in ("-xsC", "-pTR"):
        parts, _, _ = parse_objdump(arguments.split())
        yield partial(objdump, [path], parts, _output("objdump"))
    for asked in (LddOptions(verbose=True, relocate=True, bind_now=True), LddOptions(unused=True)):
        yield partial(ldd, [path], _output("ldd"), {}, asked)


def _output(tool: str) -> Output:
    return Output(tool, io.BytesIO(), io.BytesIO())


def _plan(data: bytes) -> None:
    assert isinstance(LoaderCache(data).entries, dict)
    try:
        plan = make_plan(read(data, name="fuzz"), Files(), variables={})
        for binding in plan.bindings_of(0):
            assert plan.why(binding)
    except LatebindError as error:
        assert str(error)
        assert not isinstance(error, MalformedElf) or error.file


if __name__ == "__main__":
    harness.main("tools", test_one_input)
