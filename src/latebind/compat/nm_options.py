"""The command line of `nm`: which options there are, and what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from latebind.compat.command_line import Argument, Option, UsageError, parse, refuse
from latebind.compat.demangled import demangler
from latebind.compat.nm import NmOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

_ONE_READER: Final = "it reads ELF files alone, of every target"

OPTIONS: Final = (
    Option("a", ("debug-syms",), "Section and file symbols too."),
    Option("Ao", ("print-file-name",), "The file's name before every symbol."),
    Option("B", (), "The same as --format=bsd."),
    Option("C", (), "The same as --demangle."),
    Option("", ("demangle",), "Names as written in C++ and Rust; =STYLE: none, auto, gnu-v3, rust.", Argument.OPTIONAL),
    Option("", ("no-demangle",), "Names as they are (the default)."),
    Option("D", ("dynamic",), "The dynamic symbols instead of the static ones."),
    Option("e"),
    Option("f", ("format",), "bsd, posix, sysv or just-symbols.", Argument.REQUIRED),
    Option("g", ("extern-only",), "Only external symbols."),
    Option("", ("ifunc-chars",), "The letters of IFUNC symbols: global ones', then local ones'.", Argument.REQUIRED),
    Option("j", ("just-symbols",), "Names alone."),
    Option("l", ("line-numbers",), "Where each symbol is defined, from debug information (pyelftools)."),
    Option("nv", ("numeric-sort",), "Sort by address."),
    Option("p", ("no-sort",), "Do not sort."),
    Option("P", ("portability",), "The same as --format=posix."),
    Option("s", ("print-armap",), "The symbol index of an archive too."),
    Option("", ("quiet",), 'Do not say "no symbols".'),
    Option("r", ("reverse-sort",), "Sort the other way round."),
    Option("", ("recurse-limit", "no-recurse-limit")),
    Option("S", ("print-size",), "The size too."),
    Option("", ("size-sort",), "Sort by size."),
    Option("", ("special-syms",), "Special symbols too, of which ELF targets of this build of nm have none."),
    Option("t", ("radix",), "The base of numbers: d, o or x.", Argument.REQUIRED),
    Option("u", ("undefined-only",), "Only undefined symbols."),
    Option("U", ("defined-only",), "Only defined symbols."),
    Option("W", ("no-weak",), "No weak symbols."),
    Option("", ("with-symbol-versions",), "name@VERSION (the default)."),
    Option("", ("without-symbol-versions",), "Names without versions."),
    Option("X", (), "", Argument.REQUIRED),
    Option("h", ("help",), "This text."),
    Option("V", ("version",), "The version."),
    *refuse("--plugin=NAME", "there are no plugins, but what GCC's tells of its objects is known"),
    *refuse("--target=NAME", _ONE_READER),
    *refuse("--synthetic", "`latebind inspect --plt` shows the PLT by symbol"),
    *refuse("--unicode=HOW", "names are printed byte for byte"),
)

_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "debug-syms": {"debugging": True},
    "print-file-name": {"file_names": True},
    "B": {"style": "bsd"},
    "no-demangle": {"demangler": None},
    "dynamic": {"dynamic": True},
    "extern-only": {"external_only": True},
    "just-symbols": {"style": "just-symbols"},
    "line-numbers": {"line_numbers": True},
    "portability": {"style": "posix"},
    "print-armap": {"armap": True},
    "quiet": {"quiet": True},
    "numeric-sort": {"order": "address"},
    "no-sort": {"order": "none"},
    "size-sort": {"order": "size"},
    "reverse-sort": {"reverse": True},
    "print-size": {"print_size": True},
    "no-weak": {"no_weak": True},
    "with-symbol-versions": {"versions": True},
    "without-symbol-versions": {"versions": False},
    "undefined-only": {"undefined_only": True, "defined_only": False},
    "defined-only": {"defined_only": True, "undefined_only": False},
}
_STYLES: Final[dict[str, Literal["bsd", "posix", "sysv", "just-symbols"]]] = {
    "b": "bsd",
    "p": "posix",
    "s": "sysv",
    "j": "just-symbols",
}


def parse_nm(arguments: Sequence[str]) -> tuple[NmOptions, list[str], str | None]:
    """The options, the files, and ``"help"`` or ``"version"`` where that is all that is asked for.

    Raises `UsageError`.
    """
    found, files = parse(OPTIONS, arguments)
    chosen: dict[str, Any] = {}
    for option, value in found:
        key = option.key
        if key in {"help", "version"}:
            return NmOptions(), files, key
        chosen |= _FLAGS.get(key, {})
        if value is not None or key in {"C", "demangle"}:
            chosen |= _valued(key, value or "")
    return NmOptions(**chosen), files, None


def _valued(key: str, value: str) -> dict[str, Any]:
    """What an option with an argument asks for."""
    if key in {"C", "demangle"}:
        return {"demangler": demangler(value)}
    if key == "format":
        style = _STYLES.get(value[:1].lower())
        if style is None:
            raise UsageError(f"{value}: invalid output format", show_usage=False)
        return {"style": style}
    if key == "radix":
        if value[:1] not in {"d", "o", "x"}:
            raise UsageError(f"{value}: invalid radix", show_usage=False)
        return {"radix": value[0]}
    return {"ifunc_letters": value} if key == "ifunc-chars" else {}
