"""How text is to look: colours or none, how many columns there are, whether mangled names are made readable.

A `Look` is a value that the command line makes from its options, its environment and its terminal, and hands to the
functions of this package. `PLAIN` is what a file or a pipe gets: nothing coloured, nothing cut, names as they are.
"""

from __future__ import annotations

from latebind.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# SGR parameters (ECMA-48, 8.3.117). Only the eight colours that every theme of a terminal keeps readable.
_CODES: Final = {"head": "1", "name": "36", "path": "34", "good": "32", "bad": "1;31", "warn": "33", "dim": "2"}


class Look(Value):
    """How text is to look. `width` is in columns; None means that lines may be as long as they get."""

    __slots__ = ("colour", "width", "demangle")
    colour: bool
    width: int | None
    demangle: bool

    def __init__(self, colour: bool = False, width: int | None = None, demangle: bool = False) -> None:  # noqa: FBT001, FBT002  (its fields, in order)
        self._set(colour, width, demangle)

    @property
    def is_plain(self) -> bool:
        """Whether lines are printed as they are."""
        return not self.colour and self.width is None

    def paint(self, role: str, text: str) -> str:
        """`text` in the colour of `role`: head, name, path, good, bad, warn or dim; the empty role leaves it alone."""
        if not self.colour or not role or not text:
            return text
        return f"\x1b[{_CODES[role]}m{text}\x1b[0m"

    def readable(self, symbol: str) -> str:
        """A symbol's name as a person reads it: demangled where that is wanted and possible."""
        if not self.demangle or not symbol.startswith(("_Z", "_R")):
            return symbol
        from latebind.elf.demangle import demangle

        return demangle(symbol)

    def readable_version(self, versioned: str) -> str:
        """The same for ``name@VERSION``."""
        name, at, version = versioned.partition("@")
        return f"{self.readable(name)}{at}{version}"

    def inside(self, columns: int) -> Look:
        """The same for text that will be indented by `columns`."""
        return self if self.width is None else self.replaced(width=max(self.width - columns, 1))

    def fit(self, *parts: tuple[str, str]) -> str:
        """One line of (role, text) parts, cut off with … where it would leave the terminal."""
        room = self.width
        done = []
        for role, text in parts:
            if room is None or len(text) <= room:
                done.append(self.paint(role, text))
                room = None if room is None else room - len(text)
                continue
            rest = sum(len(t) for _, t in parts)
            assert self.width is not None
            assert rest > self.width
            done.append(self.paint(role, shorten(text, room)) if room else "")
            break
        return "".join(done)


PLAIN: Final = Look()


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns, with … for what was cut off."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
