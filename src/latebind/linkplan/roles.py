"""Who loads what: the role of each object in a plan for a living process.

A second copy of the C library in one process would be fatal (two allocators, two sets of threads), and a second copy
of a toolchain runtime breaks what it keeps one of per process (exception tables, OpenMP's thread pool). So the C
library family and the runtimes stay the system linker's; everything else is ours.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from latebind.elf import Elf


class Role(StrEnum):
    """Who put, or will put, an object into the process."""

    RESIDENT = "resident"
    """It is there already, by the system's linker: plans bind to it and nobody maps it again."""
    SYSTEM = "system"
    """It is handed to the system's `dlopen`, so that the process has one copy."""
    OWN = "own"
    """We map, bind, relocate and initialise it."""


_C_LIBRARY = re.compile(
    r"(ld-linux[\w-]*|ld64|libc|libm|libmvec|libdl|librt|libpthread|libutil|libanl|libresolv|libnsl|libthread_db"
    r"|libBrokenLocale|libnss_\w+|libc_malloc_debug|libmemusage|libpcprofile)\.so(\.[\w.]+)?"
)
_RUNTIMES = re.compile(
    r"(libgcc_s|libstdc\+\+|libgomp|libgfortran|libquadmath|libatomic|libitm|libobjc|libgo|libgphobos|libssp"
    r"|lib[alt]san|libubsan|libhwasan|libc\+\+(abi)?|libunwind|libomp|libiomp5)\.so(\.[\w.]+)?"
)


def is_c_library(name: str) -> bool:
    """Whether `name` (a soname) belongs to the C library family."""
    return _C_LIBRARY.fullmatch(name) is not None


def is_runtime(name: str) -> bool:
    """Whether `name` (a soname) is a toolchain runtime, of which a process has one copy."""
    return _RUNTIMES.fullmatch(name) is not None


@lru_cache(maxsize=512)
def is_shared(soname: str | None) -> bool:
    """Whether every namespace shares the object of this name: the C library family and the toolchain's runtimes."""
    return soname is not None and (is_c_library(soname) or is_runtime(soname))


def stays_with_the_system(elf: Elf, name: str) -> bool:
    """Whether an object that is not yet in the process must be loaded by the system's linker."""
    soname = elf.summary.soname or name.rpartition("/")[2]
    if is_shared(soname):
        return True
    return symbol_table(elf).needs_version("GLIBC_PRIVATE")
