"""What BFD makes of one symbol's type, binding and section: nm's letter and objdump's columns of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.elf.section import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS
from latebind.elf.symbol import STB_GNU_UNIQUE, STB_WEAK, STT_FILE, STT_GNU_IFUNC, STT_SECTION
from latebind.elf.symbol_rows import byte_text

if TYPE_CHECKING:
    from latebind.elf import Section

UNDEFINED: Final = "*UND*"
ABSOLUTE: Final = "*ABS*"
COMMON: Final = frozenset({"*COM*", "LARGE_COMMON"})


class Kind(NamedTuple):
    """All that BFD derives from a symbol's st_info and section alone."""

    letter: str
    """The letter that nm shows (`bfd_decode_symclass`)."""
    flags: str
    """The seven columns of objdump (`bfd_print_symbol_vandf`), with a blank for D, which only -T has."""
    section: str
    type: int
    undefined: bool
    common: bool
    debugging: bool
    """A section or file symbol."""
    section_symbol: bool
    external: bool
    weak: bool
    span: tuple[int, int, int]
    """Its section: number (0 for BFD's own), first address and the one behind the last."""


def symbol_kind(info: int, place: Section | str) -> Kind:
    """The kind of a symbol with this st_info in `place`: a section, or the name of one of BFD's own."""
    binding, kind = info >> 4, info & 0xF
    undefined, common = place == UNDEFINED, place in COMMON
    is_global = binding == 1 and not undefined and not common
    debugging = kind in {STT_SECTION, STT_FILE}
    flags = (
        ("l" if binding == 0 else "g" if is_global else "u" if binding == STB_GNU_UNIQUE else " ")
        + ("w" if binding == STB_WEAK else " ")
        + "  "
        + ("i" if kind == STT_GNU_IFUNC else " ")
        + ("d" if debugging else " ")
        + {2: "F", 4: "f", 1: "O", 5: "O"}.get(kind, " ")
    )
    letter = _letter(binding, kind, place)
    return Kind(
        letter=letter.upper() if is_global and letter not in "iu?" else letter,
        flags=flags,
        section=place if isinstance(place, str) else byte_text(place.name),
        type=kind,
        undefined=undefined,
        common=common,
        debugging=debugging,
        section_symbol=kind == STT_SECTION,
        external=is_global or binding in {STB_WEAK, STB_GNU_UNIQUE} or undefined or common,
        weak=binding == STB_WEAK,
        span=(0, 0, 0) if isinstance(place, str) else (place.index, place.addr, place.addr + place.size),
    )


def _letter(binding: int, kind: int, place: Section | str) -> str:
    """The letter that nm shows, before its case says local or global (`bfd_decode_symclass`)."""
    if place in COMMON:
        return "C"
    if binding == 2 and (place == UNDEFINED or kind != 10):
        letter = "v" if kind in {1, 5} else "w"
        return letter if place == UNDEFINED else letter.upper()
    if place == UNDEFINED:
        return "U"
    if kind == 10:
        return "i"
    if binding not in {0, 1}:
        return "u" if binding == 10 else "?"
    return "a" if isinstance(place, str) else _section_letter(place)


_BY_NAME: Final = ((".drectve", "i"), (".edata", "e"), (".idata", "i"), (".pdata", "p"))
_DEBUGGING: Final = (".debug", ".gnu.debuglto_.debug_", ".gnu.linkonce.wi.", ".zdebug", ".line", ".stab")


def _section_letter(section: Section) -> str:
    """The letter of a section, by its name (COFF's special ones) or its flags (`decode_section_type`)."""
    for name, letter in _BY_NAME:
        if section.name.startswith(name) and section.name[len(name) : len(name) + 1] in {"", *".$0123456789"}:
            return letter
    if section.flags & SHF_EXECINSTR:
        return "t"
    contents, readonly = section.type != SHT_NOBITS, not section.flags & SHF_WRITE
    if contents and section.flags & SHF_ALLOC:
        return "r" if readonly else "d"
    if not contents:
        return "b"
    if not section.flags & SHF_ALLOC and (section.name.startswith(_DEBUGGING) or section.name == ".gdb_index"):
        return "N"
    return "n" if readonly else "?"
