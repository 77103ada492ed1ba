"""Which tables `readelf` was asked for, and how its command line says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from latebind.compat.command_line import Argument, Option, UsageError, refuse
from latebind.compat.command_line import parse as parse_words
from latebind.compat.demangled import demangler
from latebind.compat.readelf_dump import BYTES, RELOCATED, STRINGS, Request
from latebind.compat.text import file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(slots=True)
class Options:
    """One flag for each table, and how to print them. Filled by `parse`."""

    header: bool = False
    sections: bool = False
    details: bool = False
    groups: bool = False
    segments: bool = False
    dynamic: bool = False
    relocations: bool = False
    unwind: bool = False
    symbols: bool = False
    dynamic_symbols: bool = False
    histogram: bool = False
    versions: bool = False
    notes: bool = False
    architecture: bool = False
    archive_index: bool = False
    dumps: list[Request] = field(default_factory=list)
    decompress: bool = False
    """Dump compressed sections as they are once decompressed."""
    demangler: Callable[[str], str] | None = None
    """What makes a name readable."""
    size_base: int = 0
    """The base of the sizes of symbols; 0 is decimal for small ones, else hexadecimal."""
    wide: bool = False
    use_dynamic: bool = False
    truncate_silently: bool = False
    checks: bool = False
    help: bool = False
    version: bool = False
    files: list[str] = field(default_factory=list)

    @property
    def any_table(self) -> bool:
        """Whether anything is to be shown at all."""
        return any(getattr(self, name) for name in _TABLES)

    @property
    def only_index(self) -> bool:
        """Whether of an archive only its index is wanted."""
        return self.archive_index and not any(getattr(self, name) for name in _TABLES if name != "archive_index")


_TABLES: Final = (
    "header", "sections", "groups", "segments", "dynamic", "relocations", "unwind", "symbols", "dynamic_symbols",
    "histogram", "versions", "notes", "architecture", "archive_index", "dumps",
)  # fmt: skip
_ALL: Final = tuple(name for name in _TABLES if name not in {"dynamic_symbols", "archive_index", "dumps"})
_FIELDS: Final = {
    "all": _ALL,
    "file-header": ("header",),
    "program-headers": ("segments",),
    "section-headers": ("sections",),
    "section-groups": ("groups",),
    "section-details": ("sections", "details"),
    "headers": ("header", "sections", "segments"),
    "syms": ("symbols",),
    "dyn-syms": ("dynamic_symbols",),
    "notes": ("notes",),
    "relocs": ("relocations",),
    "unwind": ("unwind",),
    "dynamic": ("dynamic",),
    "version-info": ("versions",),
    "arch-specific": ("architecture",),
    "archive-index": ("archive_index",),
    "use-dynamic": ("use_dynamic",),
    "histogram": ("histogram",),
    "lint": ("checks",),
    "wide": ("wide",),
    "silent-truncation": ("truncate_silently",),
    "decompress": ("decompress",),
    "help": ("help",),
    "version": ("version",),
}
_DUMPS: Final = {"hex-dump": BYTES, "relocated-dump": RELOCATED, "string-dump": STRINGS}
_BASES: Final = {"0": 0, "8": 8, "10": 10, "16": 16}
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_NO_DWARF: Final = "it does not print debug information"

OPTIONS: Final = (
    Option("a", ("all",), "All of -h -l -S -g -s -r -d -V -A -I -n -u."),
    Option("h", ("file-header",), "The ELF header."),
    Option("l", ("program-headers", "segments"), "The program headers."),
    Option("g", ("section-groups",), "The section groups."),
    Option("S", ("section-headers", "sections"), "The section headers."),
    Option("tN", ("section-details", "full-section-name"), "The section headers with all their flags."),
    Option("e", ("headers",), "All headers: -h -l -S."),
    Option("s", ("syms", "symbols"), "The symbol tables."),
    Option("", ("dyn-syms",), "The dynamic symbol table."),
    Option("", ("sym-base",), "The base of the sizes of symbols: 0 (mixed), 8, 10 or 16.", Argument.OPTIONAL),
    Option("C", (), "The same as --demangle."),
    Option("", ("demangle",), "Names as written in C++ and Rust; =STYLE: none, auto, gnu-v3, rust.", Argument.OPTIONAL),
    Option("", ("no-demangle",), "Names as they are (the default)."),
    Option("", ("recurse-limit", "no-recurse-limit")),
    Option("n", ("notes",), "The notes."),
    Option("r", ("relocs",), "The relocations."),
    Option("u", ("unwind",), "The unwind tables, of machines that have their own kind."),
    Option("d", ("dynamic",), "The dynamic section."),
    Option("V", ("version-info",), "The version sections."),
    Option("A", ("arch-specific",), "What is special to the machine: nothing on x86-64."),
    Option("c", ("archive-index",), "The symbol index of an archive."),
    Option("D", ("use-dynamic",), "Find symbols and relocations through the dynamic section."),
    Option("L", ("lint", "enable-checks"), "More warnings."),
    Option("x", ("hex-dump",), "The bytes of the section of this number or name.", Argument.REQUIRED),
    Option("p", ("string-dump",), "The strings in it.", Argument.REQUIRED),
    Option("R", ("relocated-dump",), "Its bytes with relocations applied.", Argument.REQUIRED),
    Option("z", ("decompress",), "Decompress sections before -x, -p and -R."),
    Option("I", ("histogram",), "How long the chains of the hash tables are."),
    Option("W", ("wide",), "Lines may be longer than 80 columns."),
    Option("T", ("silent-truncation",), "Cut long names without a mark."),
    Option("H", ("help",), "This text."),
    Option("v", ("version",), "The version."),
    *refuse("-w= --debug-dump= -P --process-links --dwarf-depth= --dwarf-start=", _NO_DWARF),
    *refuse("--ctf= --ctf-parent= --ctf-symbols= --ctf-strings= --sframe=", _NO_DWARF),
    *refuse("--lto-syms", "`latebind nm` shows the symbols of objects of link-time optimisation"),
    *refuse("-U= --unicode=", "names are printed as the locale has them"),
)


def parse(arguments: Sequence[str]) -> Options:
    """The options in `arguments`. Raises `UsageError` where one is unknown, ambiguous or not offered."""
    found, files = parse_words(OPTIONS, arguments)
    options = Options(files=files)
    for option, value in found:
        key = option.key
        for name in _FIELDS.get(key, ()):
            setattr(options, name, True)
        if key in _DUMPS:
            options.dumps.append(Request(_DUMPS[key], _section(value or "")))
        elif key in {"C", "demangle"}:
            options.demangler = demangler(value or "")
        elif key == "no-demangle":
            options.demangler = None
        elif key == "sym-base" and value is not None:
            if value not in _BASES:
                raise UsageError(f"--sym-base is {value}, must be 0, 8, 10 or 16")
            options.size_base = _BASES[value]
    return options


def _section(text: str) -> int | str:
    """A section's number (as strtoul(3) reads it, base 0) or its name."""
    if not _NUMBER.fullmatch(text):
        return file_name(text)
    octal = len(text) > 1 and text[0] == "0" and text[1] not in "xX"
    try:
        return int(text, 8 if octal else 0)
    except ValueError:  # 08 is no number
        return text


HEAD: Final = (
    "Usage: latebind readelf OPTION... FILE...",
    "",
    "Show what is in ELF files and in archives of them, as GNU readelf does.",
    "",
)
