"""Build notes (the "Watermark" specification; written by the compiler plugin annobin) in `readelf -n`.

The owner of such a note is an attribute with its value, its description the range of addresses it speaks of. A note
without a description speaks of the range of the last one, so there is a memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_sections import SHT_SYMTAB
from latebind.compat.text import c_string, symbol_cut, symbol_text

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.note import NoteRecord
    from latebind.elf.raw.symbol import Row as SymbolTuple

NT_OPEN, NT_FUNC = 0x100, 0x101
_KINDS: Final = "*$!+"  # a number, a string, false, true
_STT_OBJECT, _STT_FUNC, _STT_FILE, _STB_GLOBAL, _STB_LOCAL = 1, 2, 4, 1, 0

# attribute: (name, the kinds of values that it should have)
_ATTRIBUTES: Final = {
    1: ("<version>", "$"),
    2: ("<stack prot>", "!+*"),
    3: ("<relro>", "+!"),
    4: ("<stack size>", "*"),
    5: ("<tool>", "$"),
    6: ("<ABI>", "$*"),
    7: ("<PIC>", "*"),
    8: ("<short enum>", "+!"),
}
_VALUES: Final = {
    7: ("static", "pic", "PIC", "pie", "PIE"),
    2: ("off", "on", "all", "strong", "explicit"),
}


def is_build_note(note: NoteRecord) -> bool:
    """Whether the note's owner is an attribute."""
    if note.type not in (NT_OPEN, NT_FUNC) or not note.name_size:
        return False
    start = note.name[2:3] if note.name.startswith(b"GA") else note.name[:1]
    return start in (b"", b"\0", b"*", b"$", b"!", b"+")  # C's strchr finds the end of the list, too


class BuildNotes:
    """Shows build notes; remembers the last range of each of their two types. One for all files of a run."""

    def __init__(self) -> None:
        self._ranges: dict[bool, tuple[int, int]] = {True: (0, 0), False: (0, 0)}
        self._symbols: tuple[File, list[SymbolTuple], bytes] | None = None

    # the owner ---------------------------------------------------------------------------------------------------

    def name(self, file: File, note: NoteRecord) -> str:
        """The column Owner: the attribute and its value."""
        wide, name = file.options.wide, note.name
        room = 28 if wide else 20
        if len(name) < 2 or (name.startswith(b"GA") and len(name) < 4):
            file.out.error(f"corrupt name field in GNU build attribute note: size = {len(name)}")
            return self._column(file, "  <corrupt name>", 20)
        shown = "GA" if name.startswith(b"GA") else ""
        at = len(shown)
        kind = chr(name[at])
        if kind not in _KINDS:
            file.out.error(f"unrecognised attribute type in name field: {name[at]}")
            return self._column(file, "<unknown name type>", 20)
        shown += kind
        attribute = name[at + 1]
        text, at, expected = self._attribute(file, name, at + 1, room - len(shown))
        shown += text
        if kind not in expected:
            file.out.warn(f"attribute does not have an expected type ({kind})")
        room -= len(shown)
        if room < 1 and not wide:
            return shown
        value = self._value(file, kind, attribute, name[at:], room)
        return (shown + value).ljust(28) if wide else shown + value

    @staticmethod
    def _column(file: File, text: str, width: int) -> str:
        return symbol_text(text).ljust(width) if file.options.wide else symbol_cut(text, -width)

    @staticmethod
    def _attribute(file: File, name: bytes, at: int, room: int) -> tuple[str, int, str]:
        """The attribute's name, where its value starts, and the kinds of values it should have."""
        if name[at] in _ATTRIBUTES:
            text, expected = _ATTRIBUTES[name[at]]
            return text, at + 1, expected
        if 0x20 <= name[at] < 0x7F:
            end = name.find(b"\0", at)
            length = (end if end >= 0 else len(name)) - at + 1
            if length > room and not file.options.wide:
                length = room
            return f"{c_string(name, at)[:length]}:", at + length, _KINDS
        signed = name[at] - 256 if name[at] > 127 else name[at]
        file.out.error(f"unrecognised byte in name field: {signed}")
        return f"<unknown:_{signed}>", at + 1, _KINDS

    def _value(self, file: File, kind: str, attribute: int, rest: bytes, room: int) -> str:
        if kind == "*":
            return self._number(file, attribute, rest, room)
        text = {"!": "false", "+": "true"}.get(kind) or c_string(rest, 0)
        return self._column(file, text, room)

    def _number(self, file: File, attribute: int, rest: bytes, room: int) -> str:
        digits = rest[:-1]  # the owner ends with a NUL
        if len(digits) > 8:
            file.out.error(f"corrupt numeric name field: too many bytes in the value: {len(digits):x}")
        value = int.from_bytes(digits[:8], "little")
        texts = _VALUES.get(attribute, ())
        if value < len(texts):
            return self._column(file, texts[value], room)
        if value == 0:
            return "0x0"
        return f"0x{value:x}" if file.options.wide else f"0x{value:0{max(room, 0)}x}"

    # the description ---------------------------------------------------------------------------------------------

    def describe(self, file: File, note: NoteRecord) -> bool:
        """Print the range of addresses, with the symbol that starts there; False where it cannot be read."""
        is_open, desc = note.type == NT_OPEN, note.desc
        out = file.out
        if not desc:
            start, end = self._ranges[is_open]
            more = f" to {_alternate(end)}" if end > start else ""
            out.write(f"    Applies to region from {_alternate(start)}{more}\n")
            return True
        if len(desc) not in (4, 8, 16):
            out.error(f"    <invalid description size: {len(desc):x}>")
            out.write("    <invalid descsz>")
            return False
        order = "little" if file.source.little else "big"
        width = 8 if len(desc) == 16 else 4
        start = int.from_bytes(desc[:width], order)  # type: ignore[arg-type]  # mypy does not keep the literals
        end = int.from_bytes(desc[width:], order)  # type: ignore[arg-type]
        found = self._symbol_at(file, start, is_open=is_open)
        if found is None and is_open:
            # annobin moves the names of files by two, to tell them from the first function in the file
            found = self._symbol_at(file, start + 2, is_open=is_open)
        if not end and found is not None and found[1]:
            end = start + found[1]
        self._warn_of_gap(file, start, is_open=is_open)
        self._ranges[is_open] = start, end or self._ranges[is_open][1]
        more = f" to {_alternate(end)}" if end else ""
        name = f" ({found[0]})" if found is not None else ""
        out.write(f"    Applies to region from {_alternate(start)}{more}{name}\n")
        return True

    def _warn_of_gap(self, file: File, start: int, *, is_open: bool) -> None:
        last = self._ranges[True][1]
        if not is_open or not last or start <= (last + 15) // 16 * 16:
            return
        sections = [
            next((i for i, s in enumerate(file.sections) if s.addr <= address < s.addr + s.size), None)
            for address in (start, last)
        ]
        if sections[0] is not None and sections[0] == sections[1]:
            file.out.warn(f"Gap in build notes detected from {last + 1:#x} to {start - 1:#x}")

    def _symbol_at(self, file: File, address: int, *, is_open: bool) -> tuple[str, int] | None:
        """Name and size of the symbol that readelf takes for what is at `address`."""
        if self._symbols is None or self._symbols[0] is not file:
            self._symbols = (file, *self._load(file))
        _, rows, strings = self._symbols
        best: SymbolTuple | None = None
        for row in rows:
            name, info, _, _, value, size = row
            if value != address or name >= len(strings) or _is_mapping_symbol(strings, name):
                continue
            kind = info & 0xF
            if not is_open:
                if kind == _STT_FUNC:
                    best = row
                    break
            elif kind in (_STT_OBJECT, _STT_FILE):
                best = row
                if size:
                    break
            elif kind != _STT_FUNC:
                better = best is None or (info >> 4 == _STB_GLOBAL and best[1] & 0xF != _STT_OBJECT)
                if better and info >> 4 in (_STB_GLOBAL, _STB_LOCAL):
                    best = row
        return None if best is None else (c_string(strings, best[0]), best[5])

    @staticmethod
    def _load(file: File) -> tuple[list[SymbolTuple], bytes]:
        for index, section in enumerate(file.sections):
            if section.type == SHT_SYMTAB:
                rows = file.symbols_of(section, index)
                if rows is not None:
                    return rows, file.strings_of(section, "string table")
        return [], b""


def _is_mapping_symbol(strings: bytes, name: int) -> bool:
    """Nameless symbols, and ``$d``, ``$x`` and ``$t`` of ARM and RISC-V, which mark data in code."""
    return strings[name] == 0 or (strings[name : name + 1] == b"$" and strings[name + 2 : name + 3] == b"\0")


def _alternate(number: int) -> str:
    """C's ``%#x``: no prefix before zero."""
    return f"{number:#x}" if number else "0"
