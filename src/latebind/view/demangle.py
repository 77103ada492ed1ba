"""Mangled names made readable: C++ (Itanium ABI), Rust's legacy form, which looks like C++, and Rust's v0.

C++ is demangled by `__cxa_demangle` of the C++ runtime that is on nearly every machine, a function from text to text
that the C++ ABI defines (Itanium C++ ABI, 3.4). Where there is none, C++ names stay mangled. A name that cannot be
demangled is returned as it is.

Names come from files that nobody vouches for, and a back reference in a mangled name repeats what stands before it,
so thirty of them can ask for gigabytes of text. What could grow beyond `_MOST_TEXT` is not given to the runtime.
Of the 39528 C++ names that libLLVM-15 exports, that leaves 85 mangled.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from latebind.view.rustname import legacy_rust, rust_v0

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_TEXT: Final = 32 << 20
_MOST_MANGLED: Final = 8192
_BACK_REFERENCE: Final = re.compile(r"[ST][0-9A-Z]*_")
_RUNTIMES: Final = ("libstdc++.so.6", "libc++abi.so.1")


@lru_cache(maxsize=65536)
def demangle(name: str) -> str:
    """`name` as its author wrote it, or `name` itself where it is not mangled or not understood."""
    if name.startswith("_R"):
        return rust_v0(name) or name
    if name.startswith("_Z"):
        return legacy_rust(name) or _cxx(name) or name
    return name


def _cxx(name: str) -> str | None:
    if len(name) > _MOST_MANGLED or len(name) << len(_BACK_REFERENCE.findall(name)) > _MOST_TEXT:
        return None
    runtime = _runtime()
    try:
        return runtime(name.encode("ascii")) if runtime is not None else None
    except UnicodeEncodeError:
        return None  # a mangled name is ASCII (other characters would be the compiler's extension)


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
