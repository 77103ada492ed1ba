"""Prototypes from a library's debug information, as `linkplan.declarations` reads it.

That gives types as texts in C's words, but inside out: what stands behind a type says what is made of it, from left to
right, as in ``char const *`` or ``int (int) *``. Structures come with the place of each member, so nothing needs to be
laid out again.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import ARITHMETIC, TYPEDEFS, CType, Field, Kind, Parameter, Prototype, Record, array_spelling
from latebind.ffi.declaration import CHAR
from latebind.ffi.layout import bit_field
from latebind.linkplan.declarations import Declarations, Layout, Member, debug_file, read_declarations

if TYPE_CHECKING:
    from latebind.elf import Elf

_SUFFIX: Final = re.compile(r" const| volatile| restrict| _Atomic| \*| &&?|\[(\d*)\]| \(")
_WIDTH: Final = re.compile(r" : (\d+)$")
_MEMBER: Final = re.compile(r"(.*?) (\w*) ?at (\d+)(?::(\d+))?", re.DOTALL)
_ENUMERATOR: Final = re.compile(r"(\w+) = (-?\d+)")
_CHARACTERS: Final = {name: TYPEDEFS[name] for name in ("wchar_t", "char16_t", "char32_t")} | {
    "char8_t": CType(Kind.INTEGER, 1, "char8_t")
}
"""Types of C++ that C only has as typedefs."""
_RECORD: Final = re.compile(r"(struct|union|enum)\b ?")


def described_prototype(elf: Elf, name: str) -> Prototype | None:
    """The prototype of the exported function `name` by the debug information of `elf`; None where it says nothing.

    Raises `Unsupported` where pyelftools is missing or a type has no counterpart in C, and `MalformedElf`.
    """
    path = debug_file(elf)
    if path is None:
        return None
    found = _declarations(path, name)
    signature = found.signatures.get(name)
    if signature is None or not signature.endswith(")"):
        return None
    function, rest = _Types(found, _records(path)).read(signature)
    if function.prototype is None or rest:
        return None
    names = found.parameters.get(name, ())
    given = function.prototype.parameters
    if len(names) == len(given):
        given = tuple(replace(p, name=n or None) for p, n in zip(given, names, strict=True))
    return replace(function.prototype, name=name, parameters=given)


@functools.lru_cache(maxsize=256)
def _declarations(path: str, name: str) -> Declarations:
    return read_declarations(path, [name], with_opaque=True)


@functools.lru_cache(maxsize=256)
def _records(path: str) -> dict[str, CType]:
    """The records of a file by name: the same ones for all of its functions."""
    del path
    return {}


@dataclass(slots=True)
class _Types:
    """Reads the texts of types; each record once, since records may refer to themselves."""

    found: Declarations
    known: dict[str, CType]

    def read(self, text: str) -> tuple[CType, str]:
        """The type at the start of `text`, and what follows it."""
        type_, rest = self._base(text)
        const = False
        while match := _SUFFIX.match(rest):
            suffix, rest = match[0].strip(), rest[match.end() :]
            if suffix == "(":
                parameters, variadic, rest = self._parameters(rest)
                prototype = Prototype("(*)", type_, parameters, variadic)
                type_ = CType(Kind.FUNCTION, 0, _function_spelling(prototype, ""), prototype=prototype)
            elif suffix in {"*", "&", "&&"}:
                is_const = const or type_.kind is Kind.FUNCTION
                type_ = _pointer(type_, const=is_const, nonnull=suffix != "*")  # nothing is referred to at NULL
            elif suffix.startswith("["):
                type_, rest = self._array(type_, match[1], rest)
            const = suffix == "const" or (const and suffix in {"volatile", "restrict", "_Atomic"})
        return type_, rest

    def _array(self, element: CType, bound: str, rest: str) -> tuple[CType, str]:
        """An array of arrays is written with the outer bound first."""
        inner = re.match(r"\[(\d*)\]", rest)
        if inner is not None:
            element, rest = self._array(element, inner[1], rest[inner.end() :])
        length = int(bound) if bound else None
        size = (length or 0) * element.bytes
        spelling = array_spelling(element, length)
        return CType(Kind.ARRAY, size, spelling, target=element, length=length), rest

    def _parameters(self, rest: str) -> tuple[tuple[Parameter, ...], bool, str]:
        parameters: list[Parameter] = []
        while not rest.startswith(")"):
            rest = rest.removeprefix(", ")
            if rest.startswith("..."):
                return tuple(parameters), True, rest[4:]
            type_, rest = self.read(rest)
            if type_.kind is not Kind.VOID:
                parameters.append(Parameter(type_))
            if not rest.startswith((", ", ")")):
                raise Unsupported(rest, "is no type of C")
        return tuple(parameters), False, rest[1:]

    def _base(self, text: str) -> tuple[CType, str]:
        match = _RECORD.match(text)
        if match is not None:
            return self._record(match[1], text[match.end() :])
        end = min((m.start() for m in (_SUFFIX.search(text), re.search(r"[,)]", text)) if m), default=len(text))
        name, rest = text[:end], text[end:]
        words = name.replace("complex", "_Complex").replace("bool", "_Bool") if name != "_Bool" else name
        if name == "char":
            return CHAR, rest
        if name in _CHARACTERS:
            return _CHARACTERS[name], rest
        specifiers = [w for w in words.split() if w != "int" or "__int128" not in words]
        found = ARITHMETIC.get(tuple(sorted(specifiers)))
        # Something else (a class of C++, a type of Rust) can still be pointed to.
        return found if found is not None else CType(Kind.RECORD, 0, name, record=Record(name)), rest

    def _record(self, word: str, text: str) -> tuple[CType, str]:
        if text.startswith("{"):
            end = _closing(text)
            return self._described(word, "", _parse_layout(text[1 : end - 1])), text[end:]
        name = _record_name(text)
        rest = text[len(name) :]
        spelling = f"{word} {name}"
        known = self.known.get(spelling)
        layout = self.found.layouts.get(spelling)
        described = known is not None and (known.record is None or known.record.fields is not None)
        if known is not None and (described or layout is None):
            return known, rest
        if layout is None:
            made = self.known[spelling] = CType(Kind.RECORD, 0, spelling, record=Record(spelling, word == "union"))
            return made, rest
        return self._described(word, name, layout), rest

    def _described(self, word: str, name: str, layout: Layout) -> CType:
        spelling = f"{word} {name}".strip()
        if word == "enum":
            signed = any(member.place < 0 for member in layout.members)
            return CType(Kind.INTEGER, layout.size, spelling, signed=signed)
        made = self.known.get(spelling) if name else None  # pointed to before, when nobody said what is in it
        record = made.record if made is not None and made.record is not None else Record(spelling, word == "union")
        made = made or CType(Kind.RECORD, 0, spelling, record=record)
        record.size, record.fields, record.by_reference = layout.size, (), layout.by_reference
        if name:
            self.known[spelling] = made  # before its members, which may point back to it
        record.fields = tuple(self._field(member) for member in layout.members)
        # What is not said is how it is aligned: as its strictest member, unless it is packed.
        aligns = [f.type.alignment for f in record.fields if f.offset % f.type.alignment == 0]
        record.align = max([layout.align, *(a for a in aligns if not layout.size % a)], default=1) or 1
        return made

    def _field(self, member: Member) -> Field:
        text, width = member.type, ""
        if bits := _WIDTH.search(text):
            text, width = text[: bits.start()], bits[1]
        type_, rest = self.read(text)
        if rest:
            raise Unsupported(member.type, "is no type of C")
        name = None if member.name == "(base)" else member.name or None  # a base class's members are reached as its own
        return bit_field(name, type_, member.place, int(width)) if width else Field(name, type_, member.place // 8)


def _record_name(text: str) -> str:
    """The tag at the start of `text`: up to what follows a type, but not within the arguments of a template."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "<(") - (character in ">)") if depth or character == "<" else 0
        if depth == 0 and (character in ",()[]*&" or character.isspace()):
            return text[:at]
    return text


def _pointer(target: CType, *, const: bool, nonnull: bool = False) -> CType:
    prototype = target.prototype
    if prototype is not None:
        spelling = _function_spelling(prototype, "(*)")
    elif target.kind is Kind.ARRAY:
        spelling = target.declare("(*)")
    else:
        spelling = f"{'const ' if const else ''}{target.spelling}{'' if target.spelling.endswith('*') else ' '}*"
    kind = Kind.TEXT if target.is_char else Kind.POINTER
    return CType(kind, 8, spelling, const=const, nonnull=nonnull, target=None if target.kind is Kind.VOID else target)


def _function_spelling(prototype: Prototype, name: str) -> str:
    return str(replace(prototype, name=name))


def _closing(text: str) -> int:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return at + 1
    raise Unsupported(text, "is no description of a record")


def _parse_layout(text: str) -> Layout:
    """`Layout.text` read back: a record without a name stands where it is used."""
    size, *members = _split(text)
    read = []
    for member in members:
        match, enumerator = _MEMBER.fullmatch(member), _ENUMERATOR.fullmatch(member)
        if enumerator is not None:
            read.append(Member(enumerator[1], int(enumerator[2]), ""))
        elif match is not None:
            read.append(Member(match[2], int(match[3]) * 8 + int(match[4] or 0), match[1].strip()))
        else:
            raise Unsupported(member, "is no description of a member")
    return Layout(int(size.split()[0]), tuple(read))


def _split(text: str) -> list[str]:
    """At the semicolons outside of braces."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == ";" and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]
