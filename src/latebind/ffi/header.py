"""`Header`: the declarations of a C header, from its text: types, constants and functions.

    api = Header("struct point { double x, y; }; double length(struct point);")
    api.point(x=3, y=4)                       # a value
    library.function("length", types=api)     # or api.bind(library).length

The preprocessor's work is not done here, beyond what small headers need: comments go, `#define NAME number` is a
constant, `#include` and `#pragma once` are passed over, include guards and `#ifdef __cplusplus` are followed. What
`cc -E` wrote of any header can be read, too (gnu.py makes plain C of it), and with `cc -E -dD` its macros.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import TYPEDEFS, CType, Kind
from latebind.ffi.declaration import BUILTIN, Declarations, Reader
from latebind.ffi.gnu import to_plain
from latebind.ffi.values import record_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind._core import Function
    from latebind.ffi.ctype import Prototype
    from latebind.ffi.gnu import Attribute, Plain

# A comment; or a text or character, in which what looks like one is none.
_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.DOTALL)
_DIRECTIVE: Final = re.compile(r"\s*#\s*(\w*)\s*(.*)")
_NUMBER: Final = re.compile(r"\(?\s*([-+~]?\s*(?:0[xX][0-9A-Fa-f]+|\d+)[uUlL]*)\s*\)?$")


class Header(Declarations):
    """What a header's text declares. Types and constants are attributes; so are the functions' prototypes.

    Raises ValueError for what is no C, and Unsupported for what cannot be used from here.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        super().__init__()
        _read(text, self)

    def __getattr__(self, name: str) -> Any:
        """A constant's value, a structure's class (by typedef or tag), another type, or a function's prototype."""
        if name in self.constants:
            return self.constants[name]
        found = self.typedefs.get(name) or self.tags.get(f"struct {name}") or self.tags.get(f"union {name}")
        if found is not None:
            return record_class(found.record) if found.kind is Kind.RECORD and found.record is not None else found
        if name in self.prototypes:
            return self.prototypes[name]
        if name in self.macros:
            return self._macro(name)
        raise AttributeError(f"the header declares no {name}", name=name, obj=self)

    def _macro(self, name: str) -> int:
        try:
            return Reader(self, name).named_constant(name)
        except ValueError as error:
            raise AttributeError(f"the macro {name} is no constant: {error}", name=name, obj=self) from error

    def __getitem__(self, spelling: str) -> Any:
        """The same for what needs two words: ``header["struct point"]``. Raises KeyError."""
        if spelling in self.tags:
            found = self.tags[spelling]
            return record_class(found.record) if found.kind is Kind.RECORD and found.record is not None else found
        try:
            return getattr(self, spelling)
        except AttributeError:
            raise KeyError(spelling) from None

    def __dir__(self) -> list[str]:
        tags = (name.partition(" ")[2] for name in self.tags)
        return sorted({*super().__dir__(), *self.constants, *self.typedefs, *self.prototypes, *tags})

    def bind(self, library: Any) -> Bound:
        """The header's functions in `library` (a `latebind.Library`), as attributes."""
        return Bound(self, library)


class Bound:
    """The functions that a header declares and a library has. Each is looked up when it is first used."""

    def __init__(self, header: Header, library: Any) -> None:
        self._header = header
        self._library = library

    def __getattr__(self, name: str) -> Function:
        """The function `name`; raises AttributeError where the header does not declare it."""
        if name not in self._header.prototypes:
            raise AttributeError(f"the header declares no function {name}", name=name, obj=self)
        made: Function = self._library.function(name, types=self._header)
        self.__dict__[name] = made
        return made

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._header.prototypes})


def _read(text: str, into: Header) -> None:
    from pycparser import c_ast

    plain = to_plain("\n".join(_preprocessed(_without_comments(text), into)))
    reader = Reader(into, "the header", plain)
    declared = _parsed(plain)
    for node, attributes in zip(declared, plain.of_declarators(None, declared), strict=True):
        if isinstance(node, c_ast.Pragma):
            _pragma(node.string, reader)
        elif isinstance(node, c_ast.Typedef):
            _typedef(node, reader, attributes)
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
            made = reader.prototype(node.name, node.type)
            into.prototypes[node.name] = _with_nonnull(made, [a for a in attributes if a.name == "nonnull"])
        elif isinstance(node, c_ast.Decl):
            reader.type(node.type)
    functions = [n for n in declared if isinstance(n, c_ast.Decl) and isinstance(n.type, c_ast.FuncDecl)]
    into.symbols.update(plain.symbols([((n.coord.line, n.coord.column), n.name) for n in functions]))


def _parsed(plain: Plain) -> list[Any]:
    """The declarations of a header's text."""
    from pycparser.c_parser import CParser, ParseError

    names = [*TYPEDEFS, *BUILTIN]
    preamble = "".join(f"typedef int {name};" for name in names)
    try:
        tree = CParser().parse(f'{preamble}\n# 1 "header"\n{plain.text}\n', "header")
    except (ParseError, AssertionError) as error:  # pycparser asserts that braces are balanced
        where = re.match(r"header:(\d+):\d+: (.*)", str(error))
        detail = f"{plain.original(int(where[1]))}: {where[2]}" if where is not None else str(error)
        raise ValueError(f"not C: {detail}") from error
    return list(tree.ext[len(names) :])


def _with_nonnull(prototype: Prototype, attributes: list[Attribute]) -> Prototype:
    """Those of its pointers that `nonnull(1, 3)` names, or all of them without a number, must not be NULL."""
    if not attributes:
        return prototype
    named = {int(n) for a in attributes for n in re.findall(r"\d+", a.argument)}
    everyone = any(not a.argument for a in attributes)
    parameters = tuple(
        replace(p, type=replace(p.type, nonnull=True))
        if p.type.kind in {Kind.POINTER, Kind.TEXT} and (everyone or number in named)
        else p
        for number, p in enumerate(prototype.parameters, 1)
    )
    return replace(prototype, parameters=parameters)


def _typedef(node: Any, reader: Reader, attributes: list[Attribute]) -> None:
    made = reader.type(node.type)
    record = made.record
    if record is not None and " " not in record.spelling:  # it lends its name to a structure that has none
        record.spelling = node.name
    reader.known.typedefs[node.name] = _renamed(reader.with_attributes(made, attributes), node.name)


def _renamed(made: CType, name: str) -> CType:
    return replace(made, spelling=name) if made.kind not in {Kind.ARRAY, Kind.VOID} else made


def _pragma(text: str, reader: Reader) -> None:
    """`#pragma pack`: how closely members stand."""
    inside = re.fullmatch(r"\s*pack\s*\(\s*(.*?)\s*\)\s*", text)
    if inside is None:
        return
    words = [word.strip() for word in inside[1].split(",") if word.strip()]
    numbers = [int(word) for word in words if word.isdigit()]
    reader.pack = numbers[0] if numbers else (reader.pack if "push" in words else 0)


# the preprocessor's part ------------------------------------------------------------------------------------------


def _without_comments(text: str) -> str:
    def keep_lines(match: re.Match[str]) -> str:
        return match[0] if match[0][0] in "\"'" else " " + "\n" * match[0].count("\n")

    return _COMMENT.sub(keep_lines, text.replace("\\\n", " "))


def _preprocessed(text: str, into: Declarations) -> Iterator[str]:
    """The lines that remain; an empty one for each that does not, so that messages name the right line."""
    defined: set[str] = set()
    active: list[bool] = []
    for line in text.split("\n"):
        match = _DIRECTIVE.fullmatch(line)
        if match is None:
            yield line if all(active) else ""
        elif not _condition(match[1], match[2].strip(), defined, active) and all(active):
            yield _directive(line, match[1], match[2].strip(), defined, into)
        else:
            yield ""
    if active:
        raise ValueError("an #ifdef without its #endif")


def _condition(word: str, rest: str, defined: set[str], active: list[bool]) -> bool:
    """Whether the directive is one of #ifdef … #endif; then `active` changes."""
    if word in {"ifdef", "ifndef"}:
        active.append((rest in defined) == (word == "ifdef"))
    elif word == "else" and active:
        active[-1] = not active[-1]
    elif word == "endif" and active:
        active.pop()
    else:
        return False
    return True


def _directive(line: str, word: str, rest: str, defined: set[str], into: Declarations) -> str:
    """What remains of a directive for the parser."""
    if word == "define":
        _define(rest, defined, into)
    elif word == "undef":
        defined.discard(rest)
    elif word == "pragma" or word.isdigit() or word == "line":
        return line if rest != "once" and not rest.startswith("GCC") else ""
    elif word not in {"include", ""}:
        raise Unsupported(line.strip(), "needs a preprocessor", "give what `cc -E -P` writes")
    return ""


def _define(rest: str, defined: set[str], into: Declarations) -> None:
    name, _, value = rest.partition(" ")
    defined.add(name)
    number = _NUMBER.match(value.strip())
    if number is None and name.isidentifier() and value.strip():
        into.macros[name] = value.strip()
    if number is not None and name.isidentifier():
        digits = number[1].rstrip("uUlL").replace(" ", "")
        sign, digits = ("-", digits[1:]) if digits[:1] == "-" else ("", digits.lstrip("+"))
        if digits.startswith("~"):
            into.macros[name] = value.strip()
            return
        base = 8 if digits.startswith("0") and digits.isdigit() else 0
        into.constants[name] = int(sign + digits, base)
