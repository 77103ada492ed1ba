"""Mangled names made readable: C++ (Itanium ABI), Rust's legacy form, which looks like C++, and Rust's v0.

C++ is demangled by `__cxa_demangle` of the C++ runtime that is on nearly every machine, a function from text to text
that the C++ ABI defines (Itanium C++ ABI, 3.4). Where there is none, C++ names stay mangled. A name that cannot be
demangled is returned as it is.

Names come from files that nobody vouches for, and a back reference in a mangled name repeats what stands before it,
so thirty of them can ask for gigabytes of text. What could grow beyond `_MOST_TEXT` is not given to the runtime.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from latebind.elf.rustname import legacy_rust, rust_v0

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_TEXT: Final = 32 << 20
_MOST_MANGLED: Final = 8192
_BACK_REFERENCE: Final = re.compile(r"S([0-9A-Z]{0,6})_|T[0-9A-Z]*_")
_LONGEST: Final = 20  # characters that one of a mangled name can stand for: "unsigned long long" and a blank or two
_LONGEST_OF_STD: Final = 80  # and Ss, "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"
_RUNTIMES: Final = ("libstdc++.so.6", "libc++abi.so.1")


@lru_cache(maxsize=65536)
def demangle(name: str) -> str:
    """`name` as its author wrote it, or `name` itself where it is not mangled or not understood."""
    return demangle_rust(name) or demangle_cxx(name) or name


def demangle_rust(name: str) -> str | None:
    """The text of a name that Rust mangled, None for any other."""
    if name.startswith("_R"):
        return rust_v0(name)
    return legacy_rust(name) if name.startswith("_ZN") else None


def demangle_cxx(name: str) -> str | None:
    """The text of a name in C++'s mangling, None for any other, and where there is no C++ runtime."""
    # _GLOBAL_: the constructors and destructors of a whole file, as g++ calls them
    if not name.startswith(("_Z", "_GLOBAL_")) or len(name) > _MOST_MANGLED or _most_text(name) > _MOST_TEXT:
        return None
    runtime = _runtime()
    try:
        return runtime(name.encode("ascii")) if runtime is not None else None
    except UnicodeEncodeError:
        return None  # a mangled name is ASCII (other characters would be the compiler's extension)


def _most_text(name: str) -> float:
    """An upper bound of the length of `name` once demangled, in characters.

    A back reference repeats at most all that stands before it. It repeats no more than what stood before the first
    reference to something that came into being later, though: the numbers count in the order of appearance.
    """
    total, at = 0.0, 0
    known: list[tuple[int, float]] = []  # of the references that were the highest so far: number and bound
    for found in _BACK_REFERENCE.finditer(name):
        total += _most_plain_text(name[at : found.start()])
        at = found.end()
        if found.group(1) is None:  # a template parameter
            total += total
            continue
        number = int(found.group(1), 36) + 1 if found.group(1) else 0
        bound = next((before for other, before in known if other >= number), None)
        if bound is None:
            bound = total
            known.append((number, bound))
        total += bound
    return total + _most_plain_text(name[at:])


def _most_plain_text(part: str) -> int:
    return len(part) * _LONGEST + part.count("S") * _LONGEST_OF_STD


@cache
def _runtime() -> Callable[[bytes], str | None] | None:
    """A function around `__cxa_demangle`, or None on a machine without a C++ runtime."""
    import ctypes

    for library in _RUNTIMES:
        try:
            function = ctypes.CDLL(library)["__cxa_demangle"]
        except (OSError, AttributeError):
            continue
        free = ctypes.CDLL(None).free
        free.argtypes, free.restype = (ctypes.c_void_p,), None
        function.restype = ctypes.c_void_p  # not c_char_p: the text is ours to free, so its address is needed
        function.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))

        def call(mangled: bytes) -> str | None:
            status = ctypes.c_int()
            address = function(mangled, None, None, ctypes.byref(status))  # noqa: B023  (returned at once)
            if not address:
                return None
            try:
                return ctypes.string_at(address).decode("utf-8", "replace")
            finally:
                free(address)  # noqa: B023

        return call
    return None
