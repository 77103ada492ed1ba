"""Demangled names as binutils print them (`bfd_demangle` in bfd/bfd.c), and the styles that `--demangle` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.command_line import UsageError
from latebind.elf.demangle import demangle, demangle_cxx, demangle_rust

if TYPE_CHECKING:
    from collections.abc import Callable

_STYLES: Final[dict[str, Callable[[str], str | None] | None]] = {
    "": demangle,
    "auto": demangle,
    "gnu-v3": demangle_cxx,
    "rust": demangle_rust,
    "none": None,
}
_REFUSED: Final = frozenset({"java", "gnat", "dlang"})


def demangler(style: str) -> Callable[[str], str] | None:
    """What `--demangle=STYLE` makes of a name (byte text); None where it changes nothing.

    The leading dots of a name and its ``@…`` stay. Raises `UsageError` for a style that is not known, or not here.
    """
    if style in _REFUSED:
        raise UsageError(f"latebind does not offer --demangle={style}: it knows C++ and Rust", show_usage=False)
    if style not in _STYLES:
        raise UsageError(f"unknown demangling style `{style}'", show_usage=False)
    function = _STYLES[style]
    return None if function is None else lambda name: _demangled(name, function)


def _demangled(name: str, function: Callable[[str], str | None]) -> str:
    core = name.lstrip(".$")
    mangled, at, suffix = core.partition("@")
    readable = function(mangled) if mangled.startswith("_") else None
    if readable is None or readable == mangled:
        return name
    text = readable if readable.isascii() else readable.encode("utf-8", "surrogateescape").decode("latin-1")
    return f"{name[: len(name) - len(core)]}{text}{at}{suffix}"
