"""`link`: relocatable objects and archives, linked in memory, ready to be loaded.

The work is `latebind.linkplan.static`'s, which reads bytes and writes bytes. Here stand the choices that need the
machine: which files are meant, and which shared objects answer for what they leave undefined.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from latebind.elf import Elf, read, read_archive
from latebind.elf.archive import Archive, is_archive, split_member
from latebind.elf.header import ET_REL
from latebind.errors import NotFound
from latebind.linker.namespace import running_program
from latebind.linkplan.static import link as link_statically
from latebind.search import Files, locate
from latebind.search.environment import environment_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

type_of_input = str | os.PathLike[str] | bytes | Elf

# What a compiler's driver would name by itself; asked in this order, and only as long as something is undefined.
_USUAL: Final = (
    "libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libgomp.so.1", "libgfortran.so.5", "libatomic.so.1",
)  # fmt: skip


def link(
    *inputs: type_of_input,
    libraries: Sequence[str] = (),
    wanted: Sequence[str] = (),
    library_path: tuple[str, ...] = (),
    soname: str | None = None,
) -> Elf:
    """Link relocatable objects (.o) and static archives (.a) to a shared object in memory, without `ld`.

    Each input is a path, bytes, or an `Elf`. Objects are taken whole, and from archives the members that define what
    something refers to or what is in `wanted`; archives alone, without `wanted`, give everything that they define.
    References among the inputs are bound to each other for good. What stays undefined is bound when the result is
    loaded: to `libraries` (names or paths of shared objects; the C, C++, OpenMP and Fortran runtimes need not be
    named), with the versions that a link against them would note, or to whatever is in the global scope then.

    Give the result to `load` or `plan`. Raises `NotFound`, `MalformedElf`, `Unsupported` (code that was compiled for a
    program only, two definitions of a name, …) or `UnresolvedSymbol`.
    """
    opened = [open_input(i) for i in inputs]
    shared = _libraries(libraries, library_path)
    data = link_statically(opened, shared, wanted=wanted, soname=soname)
    return read(data, name=" + ".join(i.path for i in opened))


def open_input(target: type_of_input) -> Elf | Archive:
    """The object or the archive that `target` means."""
    if isinstance(target, Elf):
        return target
    if isinstance(target, (bytes, bytearray, memoryview)):
        return read_archive(target) if is_archive(target) else read(target)
    path = os.fspath(target)
    return read_archive(path) if is_archive(_start_of(path)) else read(path)


def is_static_input(path: str) -> bool:
    """Whether what is at `path` has to be linked before it can be loaded: an object, an archive, a member."""
    start = _start_of(path)
    return is_archive(start) or is_relocatable(start) or (not start and split_member(path) is not None)


def _start_of(path: str) -> bytes:
    """The first bytes of a regular file; none where there is no such file."""
    try:
        with open(path, "rb") as f:
            return f.read(20) if os.path.isfile(path) else b""
    except OSError:
        return b""


def is_relocatable(start: bytes) -> bool:
    """Whether a file that starts like this is an ET_REL ELF file."""
    order = "big" if start[5:6] == b"\2" else "little"
    return start[:4] == b"\x7fELF" and int.from_bytes(start[16:18], order) == ET_REL  # type: ignore[arg-type]  # one of two


def _libraries(names: Sequence[str], library_path: tuple[str, ...]) -> Iterator[Elf]:
    """The shared objects to ask, each opened when its turn comes; of the usual ones those that are there."""
    files, program = Files(), running_program()
    environment = environment_for(program, files).with_library_path(library_path)
    for name in names:
        yield files.elf(name) if "/" in name else locate(name, program, files, environment).elf
    for name in _USUAL:
        try:
            yield locate(name, program, files, environment).elf
        except NotFound:
            continue
