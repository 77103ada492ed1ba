"""What nm shows of an object of link-time optimisation, where GCC's plugin is installed for BFD, as Debian does it.

BFD asks the plugin before it looks at the object itself. The plugin tells names and kinds alone: BFD makes up a
section for each kind and the address 0, and nm takes the file for a 32-bit one (bfd/plugin.c of binutils).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.bfd import BfdFile, NotRecognized
from latebind.compat.symbol_kind import UNDEFINED, Kind
from latebind.elf.lto import LtoDefinition, LtoSymbol, read_lto_symbols
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.compat.bfd import SymbolEntry

NO_ELF_TYPE: Final = -1
"""The `Kind.type` of a symbol that is known from the plugin alone."""
_SECTIONS: Final = {"U": UNDEFINED, "w": UNDEFINED}


def with_plugin(file: BfdFile) -> BfdFile:
    """`file` as the plugin tells of it, where it knows it. Raises `NotRecognized` where its tables are broken."""
    try:
        symbols = read_lto_symbols(file.elf.source, file.sections)
    except MalformedElf as e:
        raise NotRecognized from e
    return file if symbols is None else _PluginFile(file, symbols)


class _PluginFile(BfdFile):
    """An object whose symbols are the plugin's."""

    def __init__(self, file: BfdFile, symbols: tuple[LtoSymbol, ...]) -> None:
        super().__init__(file.elf)
        self._symbols = symbols
        self.digits = 8

    def symbols(self, *, dynamic: bool, alignments: bool = False) -> Iterator[SymbolEntry]:  # noqa: ARG002
        """The plugin's symbols; it knows no dynamic ones."""
        for symbol in () if dynamic else self._symbols:
            yield symbol.name, 0, 0, _kind(_letter(symbol)), 0, 0


def _letter(symbol: LtoSymbol) -> str:
    letters = {
        LtoDefinition.WEAK: "W",
        LtoDefinition.UNDEFINED: "U",
        LtoDefinition.WEAK_UNDEFINED: "w",
        LtoDefinition.COMMON: "C",
    }
    data = "B" if symbol.zeroed else "D"
    return letters.get(symbol.definition) or (data if symbol.variable else "T")


def _kind(letter: str) -> Kind:
    undefined = letter in _SECTIONS
    return Kind(
        letter=letter,
        flags="g" + ("w" if letter in "Ww" else " ") + " " * 5,
        section=_SECTIONS.get(letter, "plug"),
        type=NO_ELF_TYPE,
        undefined=undefined,
        common=letter == "C",
        debugging=False,
        section_symbol=False,
        external=True,
        weak=letter in "Ww",
        span=(0, 0, 0),
    )
