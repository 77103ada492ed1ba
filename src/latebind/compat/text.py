"""How binutils shows names: control characters made visible, long names cut, bytes that are not ASCII.

All text is Latin-1, one character a byte (see `output`).
"""

from __future__ import annotations

import locale
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_DOTS: Final = "[...]"
_MAX_SECTION_NAME: Final = 256  # readelf's buffer; longer names are cut there

# A character of more than one byte as the C library's mbrtowc(3) takes it: no overlong form or surrogate.
_MULTIBYTE: Final = re.compile(
    "[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    "|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf7][\x80-\xbf]{3}|\xf8[\x88-\xbf][\x80-\xbf]{3}"
    "|[\xf9-\xfb][\x80-\xbf]{4}|\xfc[\x84-\xbf][\x80-\xbf]{4}|\xfd[\x80-\xbf]{5}"
)


def file_name(path: str | bytes) -> str:
    """A path as text of one character a byte."""
    return os.fsencode(path).decode("latin-1")


def c_string(table: bytes, offset: int) -> str:
    """The NUL-terminated string at `offset` of `table`, which may also end where the table ends."""
    end = table.find(b"\0", offset)
    return table[offset : end if end >= 0 else len(table)].decode("latin-1")


@cache
def _locale_is_utf8() -> bool:
    return locale.nl_langinfo(locale.CODESET).upper() == "UTF-8"


_CONTROL: Final = {c: f"^{chr((c + 0x40) & 0xFF)}" for c in (*range(1, 32), 127)}


def visible(name: str) -> str:
    """A name with its control characters shown as ``^A``, as objdump shows it."""
    return name if name.isprintable() else name.translate(_CONTROL)


def _visible(character: str) -> str:
    code = ord(character)
    return f"^{chr((code + 0x40) & 0xFF)}" if code < 0x20 or code == 0x7F else character


def _visible_units(text: str) -> list[str]:
    """What is printed for each character of `text`, as readelf's print_symbol counts them.

    In a UTF-8 locale binutils prints only the first byte of a character of several bytes; so do we.
    """
    if not text.isascii() and _locale_is_utf8():
        text = _MULTIBYTE.sub(lambda match: match[0][0], text)
    return [_visible(character) for character in text]


def symbol_text(text: str) -> str:
    """A name in full, as readelf prints it where lines may be wide."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_units(text))


def symbol_cut(text: str, width: int, *, dots: bool = True, readable: Callable[[str], str] | None = None) -> str:
    """A name in `width` columns: cut, with ``[...]`` at its end if `dots`; -width also fills up with blanks.

    Width 0 shows nothing. What is shown is what `readable` makes of the name; binutils decide about the dots before.
    """
    room = abs(width)
    if room == 0:
        return ""
    shown = _cut(text, room, dots=dots, readable=readable)
    return shown.ljust(room) if width < 0 else shown


def _cut(text: str, room: int, *, dots: bool, readable: Callable[[str], str] | None) -> str:
    too_long = len(text) > room
    if readable is not None:
        text = readable(text)
    elif not too_long and text.isascii() and text.isprintable():
        return text
    ending = _DOTS if too_long and dots else ""
    remaining = max(room - len(_DOTS), 0) if ending else room
    shown = []
    for unit in _visible_units(text):
        if len(unit) > remaining:
            break
        shown.append(unit)
        remaining -= len(unit)
    return "".join(shown) + ending


def padded(text: str, width: int) -> str:
    """A name in at least `width` columns where lines may be wide: never cut."""
    return symbol_text(text).ljust(width)


def section_text(text: str) -> str:
    """The name of a section outside of columns: anything but printable ASCII becomes ``^X`` or ``<HH>``."""
    if text.isascii() and text.isprintable() and len(text) <= _MAX_SECTION_NAME:
        return text
    shown = []
    remaining = _MAX_SECTION_NAME
    for character in text:
        code = ord(character)
        unit = _visible(character) if code < 0x80 else f"<{code:02X}>"
        if len(unit) > remaining:
            break
        shown.append(unit)
        remaining -= len(unit)
    return "".join(shown)
