"""GNU C → the C that pycparser reads, and beside it what was left out and matters: attributes, by their places.

pycparser knows C17. What gcc adds to it in headers falls into three parts: other words for the same (`__restrict`,
`_Float64`), what says nothing about types or calls (most attributes, bodies of inline functions), and the attributes
that change how values lie. Those are remembered with the place (line, column) of what they belong to in the text that
remains; `declaration.py` asks for them when it reads that place. Where an attribute belongs is told by where it stands
(GCC manual, "Attribute Syntax"):

    struct PACKED tag { … }        struct tag { … } PACKED …        the record
    ALIGNED int a, b;              int ALIGNED a, b;                all declarators
    int a, b ALIGNED;                                               the declarator before it
"""

from __future__ import annotations

import platform
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from latebind.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Place: TypeAlias = tuple[int, int]
"""Line and column, both from 1, as pycparser counts them."""

_TOKEN: Final = re.compile(
    r"[A-Za-z_$][\w$]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[ \t\f\v]+|\n|\#[^\n]*|\.\.\.|\.?\d[\w.]*|.", re.DOTALL
)
_LINE_MARKER: Final = re.compile(r"#\s*(?:line\s+)?(\d+)(?:\s+\"((?:\\.|[^\"\\])*)\".*)?")
_WORDS: Final = {
    "__restrict": "restrict", "__restrict__": "restrict", "__inline": "inline", "__inline__": "inline",
    "__const": "const", "__const__": "const", "__volatile": "volatile", "__volatile__": "volatile",
    "__signed": "signed", "__signed__": "signed", "__complex__": "_Complex", "__complex": "_Complex",
    "__extension__": "", "_Noreturn": "", "_Nonnull": "", "_Nullable": "", "__thread": "_Thread_local",
    "__alignof__": "_Alignof", "__alignof": "_Alignof", "alignof": "_Alignof", "alignas": "_Alignas",
    "static_assert": "_Static_assert", "__builtin_offsetof": "offsetof", "__int128_t": "__int128",
    "__uint128_t": "unsigned __int128",
    # C23 H.2.1; on the machines that we know _Float32x is a double, and _Float64x a long double.
    "_Float32": "float", "_Float64": "double", "_Float32x": "double", "_Float64x": "long double",
    "__float80": "long double",
}  # fmt: skip
_QUAD: Final = {"_Float128", "__float128"}
if platform.machine() == "aarch64":
    _WORDS.update(dict.fromkeys(_QUAD, "long double"))
_KNOWN: Final = {"packed", "aligned", "mode", "vector_size", "transparent_union", "nonnull"}
"""Attributes that say something about a type or a function's parameters, and are understood."""
_FOREIGN: Final = {"scalar_storage_order", "ms_abi", "ms_struct", "vectorcall", "regcall", "preserve_none"}
"""Those that change how values lie or travel, and are not."""
_ATTRIBUTE: Final = {"__attribute__", "__attribute"}
_ASSEMBLY: Final = {"asm", "__asm", "__asm__"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One that matters here: its name without underscores, and its argument as text (empty: none)."""

    name: str
    argument: str


@dataclass(slots=True)
class Plain:
    """What pycparser reads, and what belongs to it."""

    text: str = ""
    records: dict[Place, list[Attribute]] = field(default_factory=dict)
    """By the place of the tag, or of the brace where there is no tag; of an enumeration, of its keyword."""
    declared: dict[Place | None, list[_Declared]] = field(default_factory=dict)
    """Of declarators, by the record that they stand in (None: none)."""
    labels: dict[Place, str] = field(default_factory=dict)
    """`__asm__("symbol")` behind a function's declarator: the place of the label, and the symbol."""
    lines: list[tuple[int, str, int]] = field(default_factory=list)
    """Line markers: the line here, the file that it names, and the line there."""

    def of_record(self, coord: Any) -> list[Attribute]:
        """The attributes of the record or enumeration that pycparser saw at `coord`."""
        return self.records.get((coord.line, coord.column), []) if coord is not None else []

    def of_declarators(self, scope: Any, declared: Sequence[Any]) -> list[list[Attribute]]:
        """The attributes of each of the declarations in the record at `scope` (None: outside of any), in order."""
        found: list[list[Attribute]] = [[] for _ in declared]
        placed = self.declared.get((scope.line, scope.column) if scope is not None else None)
        if placed:
            starts = list(_starts(declared))
            for one in placed:
                first, last = bisect_left(starts, one.place), bisect_left(starts, one.end)
                for index in range(first, last) if one.end > one.place else [first - 1]:
                    found[index].append(one.attribute)
        return found

    def symbols(self, functions: Sequence[tuple[Place, str]]) -> dict[str, str]:
        """The symbol of each function that has a label of its own; `functions` are places and names, in order."""
        starts = [place for place, _ in functions]
        after = ((functions[bisect_left(starts, place) - 1][1], symbol) for place, symbol in self.labels.items())
        return dict(after) if functions else {}

    def original(self, line: int) -> str:
        """Where a line of the text came from, as "file:line"; only the line where no marker names a file."""
        for here, name, there in reversed(self.lines):
            if here <= line:
                return f"{name}:{there + line - here}"
        return f"line {line}"


def _starts(declared: Sequence[Any]) -> Iterator[Place]:
    """Where each declaration's declarator begins; pycparser does not say it of all that have no name."""
    place = (0, 0)
    for one in declared:
        node = one
        while node is not None and getattr(node, "coord", None) is None:
            node = getattr(node, "type", None)
        place = (node.coord.line, node.coord.column) if node is not None else place
        yield place


@dataclass(slots=True)
class _Declared:
    """An attribute of the declarators between `place` and `end`; where these are equal, of the last before `place`."""

    place: Place
    end: Place
    attribute: Attribute


@dataclass(slots=True)
class _Level:
    """Between two braces, or outside of all: the record that the brace opened, where it is one's, and what is open."""

    record: Place | None = None
    parentheses: int = 0
    specifiers: list[_Declared] = field(default_factory=list)  # attributes before the declarators of the declaration


def to_plain(text: str) -> Plain:
    """`text` without comments and directives (but #pragma) as C17. Raises ValueError and Unsupported."""
    return _Rewriter(_TOKEN.findall(text)).run()


class _Rewriter:
    """One pass over the tokens; `out` is what was written so far."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.out: list[str] = []
        self.line = self.column = 1
        self.plain = Plain()
        self.levels = [_Level()]
        self.before = ""  # the last word that was no space
        self.keyword: list[Attribute] | None = None  # behind struct, union or enum: its attributes so far
        self.enum: Place | None = None  # where that is an enum
        self.coming: Place | None = None  # the record whose brace is next
        self.closed: Place | None = None  # the record whose closing brace was the last word

    def run(self) -> Plain:
        while self.at < len(self.tokens):
            self.step(self.tokens[self.at])
        self.plain.text = "".join(self.out)
        return self.plain

    def step(self, word: str) -> None:
        """Deal with the next word."""
        self.at += 1
        if word == "\n" or word.isspace():
            self.write(word)
        elif word.startswith("#"):
            self.directive(word)
        elif word in _ATTRIBUTE:
            self.attribute()
        elif word in _ASSEMBLY:
            self.label()
        elif word == "[" and self.peek() == "[":  # C23's attributes; GNU's among them are rare in headers
            self.skip("[", "]")
        elif word in {"_Complex", *_QUAD} and self.peek() in {"_Complex", *_QUAD} and self.peek() != word:
            self.take()
            self.significant("__complex_float128")
        elif word == "{" and self.before == ")" and len(self.levels) == 1:  # a function's body
            self.at -= 1
            self.skip("{", "}")
            self.significant(";")
        else:
            self.significant(_WORDS.get(word, word))

    def write(self, text: str) -> None:
        self.out.append(text)
        if text == "\n":
            self.line, self.column = self.line + 1, 1
        else:
            self.column += len(text)

    def significant(self, word: str) -> None:
        """Write a word, and follow where declarations and records begin and end."""
        if not word:
            return
        place, level = (self.line, self.column), self.levels[-1]
        self.write(word)
        self.before = word
        self.closed = None
        if word in {"struct", "union", "enum"}:
            self.keyword = []
            self.enum = place if word == "enum" else None
            return
        if self.keyword is not None:
            if word == "{" or self.peek() == "{":
                self.coming = self.enum or place
                self.plain.records[self.coming] = self.keyword
            self.keyword = None
        if word == "{":
            self.levels.append(_Level(self.coming))
            self.coming = None
        elif word == "}" and len(self.levels) > 1:
            self.closed = self.levels.pop().record
        elif word in "()":
            level.parentheses += 1 if word == "(" else -1
        elif word == ";" and not level.parentheses:
            for one in level.specifiers:
                one.end = place
            level.specifiers.clear()

    def peek(self) -> str:
        """The next word that is no space."""
        for word in self.tokens[self.at : self.at + 64]:
            if not word.isspace() and not word.startswith("#"):
                return word
        return ""

    def take(self) -> str:
        """The next word that is no space, passed over; newlines are kept."""
        while self.at < len(self.tokens):
            word = self.tokens[self.at]
            self.at += 1
            if word == "\n":
                self.write(word)
            elif word.startswith("#"):
                self.directive(word)
            elif not word.isspace():
                return word
        return ""

    def skip(self, opening: str, closing: str) -> list[str]:
        """Pass over everything up to the bracket that closes the next one; the tokens between, without spaces."""
        passed: list[str] = []
        depth = 1 if self.tokens[self.at - 1] == opening else 0
        while word := self.take():
            depth += (word == opening) - (word == closing)
            if depth == 0:
                return passed[1:] if passed and passed[0] == opening else passed
            passed.append(word)
        raise ValueError(f"a {'parenthesis' if opening == '(' else 'bracket'} is not closed")

    def directive(self, word: str) -> None:
        marker = _LINE_MARKER.fullmatch(word)
        if marker is None:
            self.write(word)  # a #pragma
        elif marker[2] is not None:
            self.plain.lines.append((self.line + 1, marker[2], int(marker[1])))

    def label(self) -> None:
        """`__asm__("a" "b")`: the symbol that the compiler uses for what stands before."""
        while self.peek() in {"volatile", "__volatile__", "inline", "goto"}:
            self.take()
        pieces = [word[1:-1] for word in self.skip("(", ")") if word.startswith('"')]
        if self.before == ")" and len(self.levels) == 1 and not self.levels[0].parentheses:
            self.plain.labels[self.line, self.column] = "".join(pieces)

    # attributes -------------------------------------------------------------------------------------------------

    def attribute(self) -> None:
        inside = self.skip("(", ")")
        found = [a for a in _attributes(inside) if a.name in _KNOWN]
        if not found:
            return
        if self.keyword is not None:
            self.keyword += found
        elif self.closed is not None:
            self.plain.records[self.closed] += found
        elif self.levels[-1].parentheses:
            wrong = [a for a in found if a.name in {"mode", "vector_size"}]
            if wrong:
                raise Unsupported(
                    f"__attribute__(({wrong[0].name}))", "changes the type of a parameter", "write a typedef for it"
                )
        else:
            self.declarators(found)

    def declarators(self, found: list[Attribute]) -> None:
        place = (self.line, self.column)
        level = self.levels[-1]
        is_behind = self.next_declared() in {";", ",", "=", "{", ""}
        for attribute in found:
            one = _Declared(place, place, attribute)
            self.plain.declared.setdefault(level.record, []).append(one)
            if not is_behind:
                level.specifiers.append(one)

    def next_declared(self) -> str:
        """The next word behind further attributes."""
        depth = 0
        for word in self.tokens[self.at :]:
            depth += (word == "(") - (word == ")")
            if depth == 0 and word not in _ATTRIBUTE | _ASSEMBLY | {")", "__extension__"} and not word.isspace():
                return word
        return ""


def _attributes(inside: list[str]) -> Iterator[Attribute]:
    """The attributes in ((…)). Raises Unsupported for those that change values in ways not known here."""
    tokens = inside[1:-1] if inside[:1] == ["("] else inside
    at = 0
    while at < len(tokens):
        name = tokens[at].strip("_")
        at += 1
        argument: list[str] = []
        if at < len(tokens) and tokens[at] == "(":
            depth, start = 0, at
            while at < len(tokens):
                depth += (tokens[at] == "(") - (tokens[at] == ")")
                at += 1
                if depth == 0:
                    break
            argument = tokens[start + 1 : at - 1]
        if name in _FOREIGN:
            raise Unsupported(f"__attribute__(({name}))", "changes how values lie or travel in a way not known here")
        if name and name != ",":
            yield Attribute(name, " ".join(_WORDS.get(word, word) for word in argument))
