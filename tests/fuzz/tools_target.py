"""Fuzz what stands on `latebind.elf`: the familiar tools and the plan.

For any bytes readelf, nm, objdump and ldd print something and end with a status, and planning gives a plan or a
`LatebindError`. `tools_target.py CORPUS [--seconds N] [--runs N]`; harness.py says how. An input is one byte that says
what is done, and the file that it is done to: to do everything to each would be ten times slower, and find no more.
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

LONGEST = 16384  # bytes of an input: tables that are damaged need not be large
PLANS = 1000  # after so many what is remembered about the libraries of this machine is forgotten

EVERYTHING = ("-aW", "-a", "-WsD --dyn-syms -C", "-x1 -p2 -R3 -z -c")


@cache
def _file() -> tuple[int, str]:
    """A file in memory for the inputs, since the tools open paths."""
    descriptor = os.memfd_create("fuzz")
    return descriptor, f"/proc/self/fd/{descriptor}"


def test_one_input(data: bytes) -> None:
    """The target: `data` is a byte that stands for an action, and a file."""
    if data:
        act(data[0] % len(ACTIONS), data[1:])


def act(number: int, file: bytes) -> None:
    """Do what `number` stands for, to a file."""
    if file.startswith(b"!<thin>"):  # a thin archive must not lead out of the fuzzer
        return
    descriptor, path = _file()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, file, 0)
    with harness.Limit():
        ACTIONS[number](path, file)


def _tool(run: Callable[[str], int], path: str, _data: bytes) -> None:
    assert isinstance(run(path), int)  # the rule: a status, no exception


def _readelf(arguments: str, path: str) -> int:
    return show_files(parse_readelf([*arguments.split(), path]), _output("readelf"))


def _nm(arguments: str, path: str) -> int:
    return nm([path], parse_nm(arguments.split())[0], _output("nm"))


def _objdump(arguments: str, path: str) -> int:
    return objdump([path], parse_objdump(arguments.split())[0], _output("objdump"))


def _ldd(asked: LddOptions, path: str) -> int:
    return ldd([path], _output("ldd"), {}, asked)


def _tools() -> Iterator[Callable[[str], int]]:
    """Every tool with options that make it look at everything."""
    yield from [partial(_readelf, arguments) for arguments in EVERYTHING]
    yield from [partial(_nm, arguments) for arguments in ("-aSAC", "-D", "-fs --size-sort", "-l -s")]
    yield from [partial(_objdump, arguments) for arguments in ("-xsC", "-pTR")]
    yield from [
        partial(_ldd, LddOptions(verbose=True, relocate=True, bind_now=True)),
        partial(_ldd, LddOptions(unused=True)),
    ]


def _output(tool: str) -> Output:
    return Output(tool, io.BytesIO(), io.BytesIO())


def _cache(_path: str, data: bytes) -> None:
    assert isinstance(LoaderCache(data).entries, dict)


_libraries = [Files(), 0]


def _plan(_path: str, data: bytes) -> None:
    files, used = _libraries
    assert isinstance(files, Files)
    assert isinstance(used, int)
    _libraries[:] = (files, used + 1) if used < PLANS else (Files(), 0)
    try:
        plan = make_plan(read(data, name="fuzz"), files, variables={})
        for binding in plan.bindings_of(0):
            assert plan.why(binding)
    except LatebindError as error:
        assert str(error)
        assert not isinstance(error, MalformedElf) or error.file


ACTIONS: tuple[Callable[[str, bytes], None], ...] = (*(partial(_tool, run) for run in _tools()), _cache, _plan)


if __name__ == "__main__":
    harness.main("tools", test_one_input, LONGEST)
