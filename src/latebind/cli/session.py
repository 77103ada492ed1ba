"""The `dl` session: a line names a library, a function and its arguments; the answer is what the function gave.

    libm.so.6 cosf 0.0
    libz.so.1 unsigned long crc32(unsigned long, const char *, unsigned int) 0 "hello" 5

A function's name alone means the classic prototype `float f(float)`. What is wrong with a line is said in one line,
as a `LineError`. Loading is passed in, so that the session can be tried without a linker.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from latebind.errors import LatebindError, NotFound, UnresolvedSymbol
from latebind.ffi import CType, Kind, Prototype, parse_prototype
from latebind.linkplan.near import near_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Loaded(Protocol):
    """What the session needs of a library: `latebind.Library` is one."""

    def symbol(self, name: str, version: str | None = None) -> int:
        """The runtime address of `name`; raises UnresolvedSymbol."""
        ...

    def close(self) -> None:
        """Let go of the library."""
        ...


class LineError(Exception):
    """A line that could not be done, in one sentence. The session goes on."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart: the library, what to call, and the arguments as they were written."""

    library: str
    prototype: Prototype
    arguments: tuple[str, ...]


_SHAPE: Final = "a line names a library, a function and its arguments, as in: libm.so.6 cosf 0.0"
# A quoted text (with escapes), a quoted character, or anything up to the next blank.
_WORD: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']+)""")
_DOUBLE: Final = CType(Kind.FLOATING, 8, "double", signed=True)
_ESCAPES: Final = {
    "n": b"\n", "t": b"\t", "r": b"\r", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v", "e": b"\x1b",
}  # fmt: skip


class Session:
    """Executes lines. Libraries stay open until the session is closed, so that their state lasts from line to line.

    `load` opens a library by name; `known_libraries` lists names of libraries, for near misses.
    """

    def __init__(
        self, load: Callable[[str], Loaded], known_libraries: Callable[[], Iterable[str]] = lambda: ()
    ) -> None:
        self._load = load
        self._known_libraries = known_libraries
        self._open: dict[str, Loaded] = {}
        self._closing = ExitStack()

    def execute(self, text: str) -> str:
        """Do one line and return the answer, ready to print. Raises LineError, whose text is one line."""
        line = parse_line(text)
        library = self._library(line.library)
        try:
            address = library.symbol(line.prototype.name)
        except UnresolvedSymbol as error:
            raise LineError(f"{line.library}: no symbol {line.prototype.name}{_hint(error.near)}") from error
        values = _values(line)
        try:
            return show(line.prototype.result, line.prototype.bind(address, line.library)(*values))
        except (TypeError, ValueError, OverflowError, LatebindError) as error:
            raise LineError(_one_line(error)) from error

    def close(self) -> None:
        """Close every library that the session opened, the last one first."""
        self._open.clear()
        self._closing.close()

    def _library(self, name: str) -> Loaded:
        if name not in self._open:
            try:
                library = self._load(name)
            except NotFound as error:
                if error.name != name:  # the library is there; something that it needs is not
                    raise LineError(_one_line(error)) from error
                near = near_names(name, self._known_libraries())
                raise LineError(
                    f"{name}: no such library ({_counted(len(error.tried), 'place')} tried){_hint(near)}"
                ) from error
            except LatebindError as error:
                raise LineError(_one_line(error)) from error
            self._open[name] = library
            self._closing.callback(library.close)
        return self._open[name]


def _hint(near: tuple[str, ...]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _one_line(error: Exception) -> str:
    return "; ".join(part.strip() for part in str(error).splitlines())


def parse_line(text: str) -> Line:
    """Take a line apart. Raises LineError for a short line, a broken prototype or an open quote."""
    library, rest = _first_word(text)
    rest = rest.strip()
    if not library or not rest:
        raise LineError(_SHAPE)
    written, arguments = _split_prototype(rest)
    try:
        prototype = parse_prototype(written)
    except (ValueError, LatebindError) as error:
        raise LineError(_one_line(error)) from error
    return Line(library, prototype, tuple(_words(arguments)))


def _first_word(text: str) -> tuple[str, str]:
    match = _WORD.match(text)
    if match is None:
        return "", ""
    return match[1].strip("\"'"), text[match.end() :]


def _split_prototype(rest: str) -> tuple[str, str]:
    """The prototype and the text behind it. A name alone gets the classic prototype."""
    name, _, arguments = rest.partition(" ")
    quote = min((at for at in (rest.find('"'), rest.find("'")) if at >= 0), default=len(rest))
    if "(" not in rest[:quote]:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise LineError(f"{name!r} is no function's name; {_SHAPE}")
        if not arguments.strip():
            raise LineError(_SHAPE)
        return f"float {name}(float)", arguments
    depth = 0
    for at, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        # The parameters end at their closing parenthesis, unless another list follows: void (*signal(…))(int)
        if character == ")" and depth == 0 and not rest[at + 1 :].lstrip().startswith("("):
            return rest[: at + 1], rest[at + 1 :]
    raise LineError(f"not a C prototype: {rest!r} (a parenthesis is not closed)")


def _words(text: str) -> list[str]:
    words = []
    at = 0
    while text[at:].strip():
        match = _WORD.match(text, at)
        if match is None:
            raise LineError(f"a quote is not closed: {text[at:].strip()}")
        words.append(match[1])
        at = match.end()
    return words


def _values(line: Line) -> list[object]:
    parameters = line.prototype.parameters
    fits = len(line.arguments) >= len(parameters) if line.prototype.variadic else len(parameters) == len(line.arguments)
    if not fits:
        expected = f"{'at least ' if line.prototype.variadic else ''}{_counted(len(parameters), 'argument')}"
        raise LineError(f"{line.prototype} takes {expected}, not {len(line.arguments)}")
    values = []
    for number, written in enumerate(line.arguments, 1):
        parameter = parameters[number - 1] if number <= len(parameters) else None
        try:
            values.append(read_value(parameter.type, written) if parameter is not None else read_variable(written))
        except ValueError as error:
            raise LineError(f"{line.prototype.name}, argument {number} ({parameter or '...'}): {error}") from None
    return values


def read_variable(written: str) -> object:
    """What `written` means behind the `...`: text, NULL, a character, a whole number, or else a double."""
    if written.startswith('"'):
        return _unescape(written[1:-1])
    if written.startswith("'"):
        return _character(written)
    if written in {"NULL", "true", "false"}:
        return {"NULL": None, "true": True, "false": False}[written]
    try:
        return _whole(written, "a value")
    except ValueError:
        return read_value(_DOUBLE, written)


def read_value(wanted: CType, written: str) -> object:
    """The value that `written` means where the type `wanted` is expected. Raises ValueError saying what is wrong."""
    if wanted.kind in {Kind.FLOATING, Kind.COMPLEX}:
        return _number(wanted, written)
    if wanted.kind is Kind.RECORD:
        raise ValueError(f"a {wanted} cannot be written in a line")
    if wanted.kind is Kind.BOOL:
        if written in {"true", "false", "0", "1"}:
            return written in {"true", "1"}
        raise ValueError(f"{written} is neither true nor false")
    if wanted.kind is Kind.INTEGER:
        return _character(written) if written.startswith("'") else _whole(written, "a whole number")
    if written.startswith('"'):
        return _unescape(written[1:-1])
    if written == "NULL":
        return None
    return _whole(written, 'an address, NULL or a "text in quotes"')


def _number(wanted: CType, written: str) -> complex:
    is_hexadecimal = wanted.kind is Kind.FLOATING and written.lower().lstrip("+-").startswith("0x")
    read = float.fromhex if is_hexadecimal else float if wanted.kind is Kind.FLOATING else complex
    try:
        return read(written)
    except ValueError:
        raise ValueError(f"{written} is not a number") from None


def _whole(written: str, what: str) -> int:
    sign, digits = ("-", written[1:]) if written.startswith("-") else ("", written)
    # As in C a leading 0 means octal; Python would refuse it.
    text = f"{sign}0o{digits[1:]}" if re.fullmatch(r"0[0-7]+", digits) else f"{sign}{digits}"
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{written} is not {what}") from None


def _character(written: str) -> int:
    data = _unescape(written[1:-1])
    if len(data) != 1:
        raise ValueError(f"{written} is not one character")
    return data[0]


def _unescape(text: str) -> bytes:
    """The bytes that C's escapes in `text` mean (C17 6.4.4.4)."""
    out = b""
    for match in re.finditer(r"\\x([0-9A-Fa-f]{1,2})|\\([0-7]{1,3})|\\(.)|([^\\]+)", text, re.DOTALL):
        hexadecimal, octal, escape, plain = match.groups()
        if plain is not None:
            out += plain.encode("utf-8", "surrogateescape")
        elif escape is not None:
            out += _ESCAPES.get(escape, escape.encode("utf-8", "surrogateescape"))
        else:
            number = int(hexadecimal, 16) if hexadecimal is not None else int(octal, 8)
            out += bytes([number & 0xFF])
    return out


def show(result: CType, value: object) -> str:
    """A result as the session prints it, indented by two blanks as the classic shell does."""
    return f"  {_shown(result, value)}"


def _shown(result: CType, value: object) -> str:
    if result.kind is Kind.VOID:
        return "void"
    if value is None:
        return "NULL"
    if result.kind is Kind.BOOL:
        return "true" if value else "false"
    if isinstance(value, bytes):
        return _quoted(value)
    if isinstance(value, float):
        # printf's %f for a float, as the classic shell; a double shows every digit that it has.
        plain = result.size == 4 and (value == 0 or 1e-4 <= abs(value) < 1e7)
        return f"{value:f}" if plain else f"{value:.9g}" if result.size == 4 else repr(value)
    return f"{value:#x}" if result.kind is Kind.POINTER else str(value)


def _quoted(value: bytes) -> str:
    """Text in double quotes, with C's escapes for what cannot be printed or read back."""
    text = value.decode("utf-8", "surrogateescape")
    names = {code.decode(): f"\\{letter}" for letter, code in _ESCAPES.items()} | {'"': '\\"', "\\": "\\\\"}
    shown = []
    for character in text:
        if character in names:
            shown.append(names[character])
        elif character.isprintable():
            shown.append(character)
        else:
            shown.append("".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape")))
    return f'"{"".join(shown)}"'
