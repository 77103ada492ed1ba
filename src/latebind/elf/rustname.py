"""Rust's mangled names: the v0 scheme (RFC 2603, "Symbol Mangling v0") and the legacy one that preceded it.

Legacy names are C++ names with a hash for a last part and a few escapes. v0 has a grammar of its own; the parser below
follows it production by production and writes what `rustc-demangle` writes without hashes. It gives up, with None, on
anything that is not in the grammar, nested deeper than `_DEEPEST`, or longer than `_MOST_TEXT` once written out: a back
reference repeats what it refers to, so a short hostile name could ask for any amount of text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_DEEPEST: Final = 120
_MOST_TEXT: Final = 100_000

_LEGACY_HASH: Final = re.compile(r"17h[0-9a-f]{16}E")
_LEAST_DIGITS: Final = 5  # different ones in a hash; what has fewer is taken for a name, as libiberty does
_ESCAPES: Final = {
    "$SP$": "@", "$BP$": "*", "$RF$": "&", "$LT$": "<", "$GT$": ">", "$LP$": "(", "$RP$": ")", "$C$": ",",
}  # fmt: skip
_ESCAPE: Final = re.compile(r"\$(?:[A-Z]{1,2}|u[0-9a-f]{1,6})\$|\.\.|\.")
_DIGITS: Final = re.compile(r"0|[1-9][0-9]*")
_BASE_62: Final = re.compile(r"[0-9a-zA-Z]*_")
_HEX: Final = re.compile(r"[0-9a-f]*_")

_BASIC: Final = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize", "j": "usize",
    "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16", "u": "()", "v": "...",
    "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_SIGNED: Final = frozenset("axlnsi")
_UNSIGNED: Final = frozenset("hmotyj")


def legacy_rust(name: str) -> str | None:
    """``_ZN4core3fmt5write17h0123456789abcdefE`` → ``core::fmt::write``; None where `name` is not of this form."""
    if not name.startswith("_ZN"):
        return None
    at, parts = 3, []
    while (found := _LEGACY_HASH.match(name, at)) is None:
        number = _DIGITS.match(name, at)
        if number is None:
            return None
        end = number.end() + int(number.group()[:6])
        parts.append(name[number.end() : end])
        at = end
    if not parts or len(set(found.group()[3:-1])) < _LEAST_DIGITS:
        return None
    return "::".join(_unescaped(part) for part in parts)


def _unescaped(part: str) -> str:
    def plain(found: re.Match[str]) -> str:
        text = found.group()
        if text == "..":
            return "::"
        if text.startswith("$u") and int(text[2:-1], 16) < 0x110000:
            return chr(int(text[2:-1], 16))
        return _ESCAPES.get(text, text)

    return _ESCAPE.sub(plain, part[1:] if part.startswith("_$") else part)


def rust_v0(name: str) -> str | None:
    """The text of a v0 name, or None where `name` is not one."""
    body, _, _ = name.removeprefix("_R").partition(".")  # what follows a dot was added by LLVM
    if not name.startswith("_R") or not body[:1].isupper() or not body.isascii():
        return None
    parser = _Parser(body)
    try:
        text = parser.path(in_value=True)
        if parser.at < len(body) and body[parser.at].isupper():
            parser.path(in_value=True)  # the instantiating crate, which is not shown
    except _NotRustError:
        return None
    return text if parser.at == len(body) else None


class _NotRustError(Exception):
    """The name is not in the grammar, or too large. Never leaves this module."""


class _Parser:
    """One position in one name; each method reads one production and returns its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.written = 0
        self.lifetimes = 0

    # characters -----------------------------------------------------------------------------------------------

    def next(self) -> str:
        if self.at >= len(self.text):
            raise _NotRustError
        self.at += 1
        return self.text[self.at - 1]

    def take(self, letter: str) -> bool:
        found = self.text.startswith(letter, self.at)
        self.at += found
        return found

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _NotRustError
        self.at = found.end()
        return found.group()

    def base_62(self) -> int:
        """<base-62-number>: ``_`` is 0, ``0_`` is 1, and so on."""
        digits = self.match(_BASE_62)[:-1]
        value = 0
        for digit in digits:
            # Digits come in the order 0-9, a-z, A-Z; int() takes letters of either case for the same digit.
            value = value * 62 + (int(digit, 36) + (26 if digit.isupper() else 0))
        return value + 1 if digits else 0

    def optional(self, tag: str) -> int:
        """A number that is there only behind `tag`: 0, or the number plus one."""
        return self.base_62() + 1 if self.take(tag) else 0

    def emit(self, text: str) -> str:
        self.written += len(text)
        if self.written > _MOST_TEXT:
            raise _NotRustError
        return text

    def back(self) -> int:
        """<backref>: where to go on; always before the ``B`` itself, so that it ends."""
        start = self.at - 1
        target = self.base_62()
        if target >= start:
            raise _NotRustError
        return target

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _NotRustError

    def identifier(self) -> tuple[int, str]:
        """<identifier>: its disambiguator and its text, Punycode decoded."""
        disambiguator = self.optional("s")
        return disambiguator, self.plain_identifier()

    def plain_identifier(self) -> str:
        punycode = self.take("u")
        length = int(self.match(_DIGITS)[:6])
        self.take("_")
        text = self.text[self.at : self.at + length]
        if len(text) < length:
            raise _NotRustError
        self.at += length
        if not punycode:
            return self.emit(text)
        plain, _, encoded = text.rpartition("_")
        try:
            return self.emit((f"{plain}-{encoded}" if plain else encoded).encode("ascii").decode("punycode"))
        except ValueError:
            raise _NotRustError from None

    # paths ------------------------------------------------------------------------------------------------------

    def path(self, *, in_value: bool) -> str:
        """<path>. In a value, generic arguments follow ``::``."""
        self.deeper()
        kind = self.next()
        if kind == "C":
            text = self.identifier()[1]
        elif kind == "N":
            text = self.nested(in_value=in_value)
        elif kind in "MX":
            self.optional("s")
            self.path(in_value=False)  # where the impl stands, which is not shown
            text = f"<{self.type()}>" if kind == "M" else f"<{self.type()} as {self.path(in_value=False)}>"
        elif kind == "Y":
            text = f"<{self.type()} as {self.path(in_value=False)}>"
        elif kind == "I":
            base = self.path(in_value=in_value)
            text = f"{base}{'::' if in_value else ''}<{self.generic_arguments()}>"
        elif kind == "B":
            text = self.at_reference(lambda: self.path(in_value=in_value))
        else:
            raise _NotRustError
        self.depth -= 1
        return self.emit(text)

    def at_reference(self, read: Callable[[], str]) -> str:
        target = self.back()
        after, self.at = self.at, target
        text = read()
        self.at = after
        return text

    def nested(self, *, in_value: bool) -> str:
        namespace = self.next()
        if not namespace.isalpha():
            raise _NotRustError
        parent = self.path(in_value=in_value)
        number, name = self.identifier()
        if namespace.isupper():
            kind = {"C": "closure", "S": "shim"}.get(namespace, namespace)
            return f"{parent}::{{{kind}{':' + name if name else ''}#{number}}}"
        return f"{parent}::{name}" if name else parent

    def generic_arguments(self) -> str:
        found = []
        while not self.take("E"):
            if self.take("L"):
                found.append(self.lifetime(self.base_62()))
            elif self.take("K"):
                found.append(self.constant(in_value=False))
            else:
                found.append(self.type())
        return ", ".join(found)

    # types ------------------------------------------------------------------------------------------------------

    def lifetime(self, index: int) -> str:
        """A lifetime by its de Bruijn index: 0 is ``'_``."""
        if index == 0:
            return "'_"
        depth = self.lifetimes - index
        if depth < 0:
            raise _NotRustError
        return f"'{chr(ord('a') + depth)}" if depth < 26 else f"'_{depth}"

    def binder(self) -> tuple[int, str]:
        """<binder>: how many lifetimes it binds, and ``for<'a, …> ``."""
        count = self.optional("G")
        if not count:
            return 0, ""
        if count > _DEEPEST:
            raise _NotRustError
        names = []
        for _ in range(count):
            self.lifetimes += 1
            names.append(self.lifetime(1))
        return count, f"for<{', '.join(names)}> "

    def type(self) -> str:
        self.deeper()
        letter = self.next()
        if letter in _BASIC:
            text = _BASIC[letter]
        elif letter in "RQPO":
            text = self.pointer(letter)
        elif letter in "AS":
            text = f"[{self.type()}; {self.constant(in_value=True)}]" if letter == "A" else f"[{self.type()}]"
        elif letter == "T":
            parts = []
            while not self.take("E"):
                parts.append(self.type())
            text = f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
        elif letter == "F":
            text = self.function()
        elif letter == "D":
            text = self.dynamic()
        elif letter == "B":
            text = self.at_reference(self.type)
        else:
            self.at -= 1
            text = self.path(in_value=False)
        self.depth -= 1
        return self.emit(text)

    def pointer(self, letter: str) -> str:
        if letter in "PO":
            return f"*{'const' if letter == 'P' else 'mut'} {self.type()}"
        lifetime = ""
        if self.take("L"):
            index = self.base_62()
            lifetime = f"{self.lifetime(index)} " if index else ""
        return f"&{lifetime}{'mut ' if letter == 'Q' else ''}{self.type()}"

    def function(self) -> str:
        """<fn-sig>."""
        bound, text = self.binder()
        text += "unsafe " if self.take("U") else ""
        if self.take("K"):
            abi = "C" if self.take("C") else self.plain_identifier().replace("_", "-")
            text += f'extern "{abi}" '
        parameters = []
        while not self.take("E"):
            parameters.append(self.type())
        text += f"fn({', '.join(parameters)})"
        result = self.type()
        self.lifetimes -= bound
        return text if result == "()" else f"{text} -> {result}"

    def dynamic(self) -> str:
        """<dyn-bounds> and the lifetime behind them."""
        bound, text = self.binder()
        traits = []
        while not self.take("E"):
            traits.append(self.dynamic_trait())
        self.lifetimes -= bound
        if not self.take("L"):
            raise _NotRustError
        index = self.base_62()
        return f"dyn {text}{' + '.join(traits)}" + (f" + {self.lifetime(index)}" if index else "")

    def dynamic_trait(self) -> str:
        trait = self.path(in_value=False)
        associated = []
        while self.take("p"):
            name = self.plain_identifier()
            associated.append(f"{name} = {self.type()}")
        if not associated:
            return trait
        if trait.endswith(">"):
            return f"{trait[:-1]}, {', '.join(associated)}>"
        return f"{trait}<{', '.join(associated)}>"

    # constants --------------------------------------------------------------------------------------------------

    def constant(self, *, in_value: bool) -> str:
        """<const>; in a value, what is not a plain literal needs no braces."""
        self.deeper()
        letter = self.next()
        if letter == "p":
            text = "_"
        elif letter in _SIGNED or letter in _UNSIGNED:
            sign = "-" if letter in _SIGNED and self.take("n") else ""
            text = f"{sign}{self.number()}"
        elif letter == "b":
            value = self.number()
            if value > 1:
                raise _NotRustError
            text = "true" if value else "false"
        elif letter == "c":
            text = self.character()
        elif letter == "B":
            text = self.at_reference(lambda: self.constant(in_value=in_value))
        else:
            raise _NotRustError  # constants of structures and texts, which stable Rust has not
        self.depth -= 1
        return self.emit(text)

    def number(self) -> int:
        digits = self.match(_HEX)[:-1]
        if len(digits) > 32:
            raise _NotRustError
        return int(digits or "0", 16)

    def character(self) -> str:
        value = self.number()
        if value >= 0x110000 or 0xD800 <= value < 0xE000:
            raise _NotRustError
        text = chr(value)
        special = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        shown = text if text.isprintable() else f"\\u{{{value:x}}}"
        return f"'{special.get(text, shown)}'"
