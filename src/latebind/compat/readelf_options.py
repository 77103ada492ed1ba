"""Which tables `readelf` was asked for, and how its command line says so."""

from __future__ import annotations

import getopt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


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


_TABLES: Final = (
    "header", "sections", "groups", "segments", "dynamic", "relocations", "unwind", "symbols", "dynamic_symbols",
    "histogram", "versions", "notes",
)  # fmt: skip
_ALL: Final = tuple(name for name in _TABLES if name != "dynamic_symbols")

# letter: (the options that it turns on, long names, what it shows)
FLAGS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], str]]] = {
    "a": (_ALL, ("all",), "All of -h -l -S -g -s -r -d -V -I -n -u."),
    "h": (("header",), ("file-header",), "The ELF header."),
    "l": (("segments",), ("program-headers", "segments"), "The program headers."),
    "S": (("sections",), ("section-headers", "sections"), "The section headers."),
    "g": (("groups",), ("section-groups",), "The section groups."),
    "t": (("sections", "details"), ("section-details",), "The section headers with all their flags."),
    "e": (("header", "sections", "segments"), ("headers",), "All headers: -h -l -S."),
    "s": (("symbols",), ("syms", "symbols"), "The symbol tables."),
    "y": (("dynamic_symbols",), ("dyn-syms",), "The dynamic symbol table."),
    "n": (("notes",), ("notes",), "The notes."),
    "r": (("relocations",), ("relocs",), "The relocations."),
    "u": (("unwind",), ("unwind",), "The unwind tables, of machines that have their own kind."),
    "d": (("dynamic",), ("dynamic",), "The dynamic section."),
    "V": (("versions",), ("version-info",), "The version sections."),
    "D": (("use_dynamic",), ("use-dynamic",), "Find symbols and relocations through the dynamic section."),
    "I": (("histogram",), ("histogram",), "How long the chains of the hash tables are."),
    "L": (("checks",), ("lint", "enable-checks"), "More warnings."),
    "W": (("wide",), ("wide",), "Lines may be longer than 80 columns."),
    "T": (("truncate_silently",), ("silent-truncation",), "Cut long names without a mark."),
    "H": (("help",), ("help",), "This text."),
    "v": (("version",), ("version",), "The version."),
}
_NO_LETTER: Final = frozenset("y")  # only a long name
_SHORT: Final = "".join(letter for letter in FLAGS if letter not in _NO_LETTER) + "N"
_LONG: Final = {name: letter for letter, (_, names, _) in FLAGS.items() for name in names} | {"full-section-name": "t"}


def parse(arguments: Sequence[str]) -> Options:
    """The options in `arguments`, in any order with the files; long names may be abbreviated.

    Raises getopt.GetoptError where one is unknown or ambiguous.
    """
    found, files = getopt.gnu_getopt(list(arguments), _SHORT, list(_LONG))
    options = Options(files=files)
    for name, _ in found:
        letter = _LONG[name[2:]] if name.startswith("--") else name[1]
        for field_name in FLAGS["t" if letter == "N" else letter][0]:
            setattr(options, field_name, True)
    return options


def usage() -> str:
    """The text of --help."""
    lines = [
        "Usage: latebind readelf OPTION... FILE...",
        "",
        "Show what is in ELF files and in archives of them, as GNU readelf does.",
        "",
    ]
    for letter, (_, names, text) in FLAGS.items():
        short = "    " if letter in _NO_LETTER else f"-{letter}, "
        lines.append(f"  {short}{', '.join(f'--{name}' for name in names):<34}{text}")
    return "\n".join(lines) + "\n"
