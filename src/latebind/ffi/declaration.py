"""pycparser's tree → `CType`, `Prototype`, `Record`, and the values of constant expressions."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import (
    ARITHMETIC,
    TYPEDEFS,
    CType,
    Kind,
    Parameter,
    Prototype,
    Record,
    array_spelling,
)
from latebind.ffi.gnu import Attribute, Plain
from latebind.ffi.layout import Member, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POINTER_SIZE: Final = 8  # LP64
# Plain char: the psABI of x86-64 says signed, that of aarch64 unsigned.
CHAR: Final = CType(Kind.INTEGER, 1, "char", signed=platform.machine() in {"x86_64", "i686"}, is_char=True)
_MOST_ELEMENTS: Final = 1 << 32


@dataclass(slots=True)
class Declarations:
    """What names mean: typedefs, tags (`struct point`), constants of enumerations and macros, functions."""

    typedefs: dict[str, CType] = field(default_factory=dict)
    tags: dict[str, CType] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    macros: dict[str, str] = field(default_factory=dict)
    """Macros without parameters that are more than a number, until somebody asks for one's value."""
    prototypes: dict[str, Prototype] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    """The symbol of a function that a library has under another name (`__asm__("symbol")`)."""


def _va_list() -> CType:
    """`__builtin_va_list`: x86-64 psABI 3.5.7, AAPCS64 10.1.5."""
    if platform.machine() == "aarch64":
        record = Record("struct __va_list", size=32, align=8, fields=())
        return CType(Kind.RECORD, 0, "va_list", record=record)
    record = Record("struct __va_list_tag", size=24, align=8, fields=())
    element = CType(Kind.RECORD, 0, record.spelling, record=record)
    return CType(Kind.ARRAY, 24, "struct __va_list_tag [1]", target=element, length=1)


def _opaque(name: str) -> CType:
    return CType(Kind.RECORD, 0, name, record=Record(name))


BUILTIN: Final = {
    "__builtin_va_list": _va_list(),
    # Fine behind a pointer and in a prototype that nobody calls.
    **{name: _opaque(name) for name in ("_Float128", "__float128", "__complex_float128")},
}
"""Types that gcc knows without a declaration, and headers use."""

_MODES: Final = {
    "QI": 1, "byte": 1, "HI": 2, "SI": 4, "DI": 8, "word": 8, "pointer": 8, "unwind_word": 8, "TI": 16,
    "SF": 4, "DF": 8,
}  # fmt: skip
"""Machine modes (GCC internals, "Machine Modes") and their bytes."""
_MOST_ALIGNMENT: Final = 1 << 28
_MOST_USEFUL: Final = 16
"""What `aligned` without a number means (GCC manual: the largest alignment of any type, on both machines)."""


class Reader:
    """Reads nodes; what they declare on the way (a structure in a parameter, say) goes into `known`.

    `text` is quoted in messages: what was read. `plain` knows the attributes of what was read.
    """

    def __init__(self, known: Declarations, text: str, plain: Plain | None = None) -> None:
        self.known = known
        self.text = text
        self.plain = plain if plain is not None else Plain()
        self.pack = 0

    # functions --------------------------------------------------------------------------------------------------

    def prototype(self, name: str, function: Any) -> Prototype:
        """The prototype of the function `name` that a FuncDecl declares."""
        from pycparser import c_ast

        declared = list(function.args.params) if function.args else []
        variadic = bool(declared) and isinstance(declared[-1], c_ast.EllipsisParam)
        result = self.type(function.type)
        if result.kind in {Kind.ARRAY, Kind.FUNCTION}:
            raise ValueError(f"not a C prototype: {self.text!r} (a function cannot give {result})")
        parameters = tuple(self._parameters(declared[:-1] if variadic else declared))
        return Prototype(name, result, parameters, variadic)

    def _parameters(self, declared: list[Any]) -> Iterator[Parameter]:
        from pycparser import c_ast

        for position, parameter in enumerate(declared, 1):
            if isinstance(parameter, c_ast.ID):
                raise ValueError(
                    f"not a C prototype: {self.text!r} (parameter {position}, {parameter.name}, has no type)"
                )
            made = self.parameter_type(parameter.type)
            if made.kind is Kind.VOID:
                if len(declared) == 1 and not parameter.name:  # `f(void)`: no parameters
                    return
                raise ValueError(f"not a C prototype: {self.text!r} (parameter {position} is void)")
            yield Parameter(made, parameter.name or None)

    def parameter_type(self, node: Any) -> CType:
        """The type of a parameter: arrays and functions are pointers there (C17 6.7.6.3)."""
        from pycparser import c_ast

        if isinstance(node, c_ast.ArrayDecl):
            made = self.pointer(node.type)
            if "static" in (node.dim_quals or ()):
                bound = _spelled(node.dim) if node.dim is not None else "1"
                inner = made.spelling.removesuffix("*").rstrip()
                if "(*)" not in made.spelling:
                    made = replace(made, spelling=f"{inner} [static {bound}]", nonnull=True)
            return made
        if isinstance(node, c_ast.FuncDecl):
            return self.pointer(node)
        made = self.type(node)
        if made.kind is Kind.ARRAY and made.target is not None:  # a typedef of an array
            return CType(Kind.POINTER, _POINTER_SIZE, f"{made.target} *", target=made.target)
        if made.kind is Kind.FUNCTION:
            return CType(Kind.POINTER, _POINTER_SIZE, f"{made.spelling} *", const=True, target=made)
        return made

    # types ------------------------------------------------------------------------------------------------------

    def type(self, node: Any) -> CType:
        """The declared type. Raises ValueError and Unsupported."""
        from pycparser import c_ast

        if isinstance(node, c_ast.PtrDecl):
            return self.pointer(node.type)
        if isinstance(node, c_ast.ArrayDecl):
            return self._array(node)
        if isinstance(node, c_ast.FuncDecl):
            return CType(Kind.FUNCTION, 0, _spelled_type(node), prototype=self.prototype("(*)", node))
        bare = isinstance(node, c_ast.Struct | c_ast.Union | c_ast.Enum)  # nothing is declared with it
        base = node if bare else node.type
        if isinstance(base, c_ast.Struct | c_ast.Union):
            return self.record(base)
        if isinstance(base, c_ast.Enum):
            return self.enumeration(base)
        return self._named(list(base.names))

    def pointer(self, target: Any) -> CType:
        """A pointer to the declared type `target`. `char *` is text; everything else is an address."""
        from pycparser import c_ast

        pointer = c_ast.PtrDecl(quals=[], type=target)
        # A function cannot be written to, so a pointer to one counts as a pointer to something constant.
        const = isinstance(target, c_ast.FuncDecl) or "const" in getattr(target, "quals", ())
        pointed = self._pointed(target)
        is_text = pointed is not None and pointed.is_char
        return CType(
            Kind.TEXT if is_text else Kind.POINTER, _POINTER_SIZE, _spelled_type(pointer), const=const, target=pointed
        )

    def _pointed(self, target: Any) -> CType | None:
        """What a pointer points to, or None where nobody says what that is."""
        from pycparser import c_ast

        if isinstance(target, c_ast.TypeDecl) and isinstance(target.type, c_ast.IdentifierType):
            name, *more = target.type.names
            plain = bool(more) or name == "char" or (name,) in ARITHMETIC
            if not plain and name not in self.known.typedefs and name not in TYPEDEFS and name not in BUILTIN:
                return None
        if isinstance(target, c_ast.TypeDecl) and isinstance(target.type, c_ast.Enum):
            described = target.type.values is not None or f"enum {target.type.name}" in self.known.tags
            return self.type(target) if described else None
        if isinstance(target, c_ast.PtrDecl | c_ast.ArrayDecl | c_ast.FuncDecl):
            innermost = target
            while not isinstance(innermost, c_ast.TypeDecl):
                innermost = innermost.type
            if self._pointed(innermost) is None and not isinstance(target, c_ast.PtrDecl):
                return None
        return self.type(target)

    def _named(self, names: list[str]) -> CType:
        """The type that specifiers such as ["unsigned", "long"] or ["size_t"] name."""
        if names == ["char"]:
            return CHAR
        if len(names) == 1:
            found = self.known.typedefs.get(names[0]) or TYPEDEFS.get(names[0]) or BUILTIN.get(names[0])
            if found is not None:
                return found
        found = ARITHMETIC.get(tuple(sorted(n for n in names if n != "int" or "__int128" not in names)))
        if found is None:
            raise ValueError(
                f"unknown type {' '.join(names)!r} in {self.text!r}: by value only C's own and <stdint.h>'s are known"
            )
        return found

    def _array(self, node: Any) -> CType:
        element = self.type(node.type)
        if element.kind in {Kind.VOID, Kind.FUNCTION}:
            raise ValueError(f"an array of {element} in {self.text!r}")
        length = self.constant(node.dim) if node.dim is not None else None
        if length is not None and not 0 <= length <= _MOST_ELEMENTS:
            raise ValueError(f"an array of {length} elements in {self.text!r}")
        spelling = array_spelling(element, length)
        size = (length or 0) * element.bytes
        return CType(Kind.ARRAY, size, spelling, target=element, length=length)

    # records and enumerations -----------------------------------------------------------------------------------

    def record(self, node: Any) -> CType:
        """A structure or union: the one of its tag, which this node may describe."""
        is_union = type(node).__name__ == "Union"
        spelling = f"{'union' if is_union else 'struct'} {node.name or ''}".strip()
        known = self.known.tags.get(spelling) if node.name else None
        if known is None:
            record = Record(spelling, is_union)
            known = CType(Kind.RECORD, 0, spelling, record=record)
            if node.name:
                self.known.tags[spelling] = known
        assert known.record is not None
        if node.decls is not None:
            if known.record.fields is not None:
                raise ValueError(f"{spelling} is described twice in {self.text!r}")
            attributes = self.plain.of_record(node.coord)
            members = self._members(node, is_packed=any(a.name == "packed" for a in attributes))
            lay_out(known.record, members, pack=self.pack, align=self._alignment(attributes))
            if any(a.name == "transparent_union" for a in attributes):
                return self._transparent(known)
        return known

    def _members(self, node: Any, *, is_packed: bool) -> list[Member]:
        from pycparser import c_ast

        # What else stands there: a lone semicolon, a pragma, an `int;` that declares nothing.
        declared = [d for d in node.decls if isinstance(d, c_ast.Decl) and not isinstance(d.type, c_ast.IdentifierType)]
        members = []
        for one, attributes in zip(declared, self.plain.of_declarators(node.coord, declared), strict=True):
            made = self.with_attributes(
                self.type(one.type), [a for a in attributes if a.name in {"mode", "vector_size"}]
            )
            width = self.constant(one.bitsize) if one.bitsize is not None else None
            if made.kind in {Kind.VOID, Kind.FUNCTION} or (
                made.kind is Kind.RECORD and (made.record is None or made.record.fields is None)
            ):
                raise ValueError(f"the size of {made} is not known in {self.text!r}")
            if width is not None and not (made.kind in {Kind.INTEGER, Kind.BOOL} and 0 <= width <= made.size * 8 <= 64):
                raise ValueError(f"a bit-field of {width} bits of {made} in {self.text!r}")
            align = max([self._alignment(attributes), *(self._alignas(a.alignment) for a in one.align or ())])
            packed = is_packed or any(a.name == "packed" for a in attributes)
            members.append(Member(one.name, made, width, align, packed))
        return members

    def enumeration(self, node: Any) -> CType:
        """An enumeration: an integer, whose constants become known."""
        from pycparser import c_ast

        spelling = f"enum {node.name or ''}".strip()
        known = self.known.tags.get(spelling) if node.name else None
        if node.values is None:
            if known is None:
                raise Unsupported(
                    self.text, f"{spelling} has no definition here", "write int, or unsigned int, instead"
                )
            return known
        value, values = -1, []
        for enumerator in node.values.enumerators:
            if not isinstance(enumerator, c_ast.Enumerator):  # a pragma
                continue
            value = self.constant(enumerator.value) if enumerator.value is not None else value + 1
            self.known.constants[enumerator.name] = value
            values.append(value)
        if not values:
            raise ValueError(f"an enumeration without constants in {self.text!r}")
        # As gcc and clang choose: unsigned int unless a value is negative, and more bytes where one does not fit.
        signed = min(values) < 0
        bits = max(max(values).bit_length(), (~min(values)).bit_length() if signed else 0) + signed
        least = 8 if any(a.name == "packed" for a in self.plain.of_record(node.coord)) else 32
        size = next((n // 8 for n in (8, 16, 32, 64) if n >= max(bits, least)), 8)
        made = CType(Kind.INTEGER, size, spelling, signed=signed)
        if node.name:
            self.known.tags[spelling] = made
        return made

    # attributes -------------------------------------------------------------------------------------------------

    def with_attributes(self, type_: CType, attributes: Sequence[Attribute]) -> CType:
        """The type that a declarator with these attributes has."""
        for attribute in attributes:
            if attribute.name == "mode":
                type_ = self._with_mode(type_, attribute.argument.strip(" _"))
            elif attribute.name == "vector_size":
                type_ = self._vector(type_, self._bytes(attribute.argument))
            elif attribute.name == "transparent_union":
                type_ = self._transparent(type_)
        align = self._alignment(attributes)
        return replace(type_, align=align) if align else type_

    @staticmethod
    def _with_mode(type_: CType, mode: str) -> CType:
        size = _MODES.get(mode)
        kind = Kind.FLOATING if mode in {"SF", "DF"} else Kind.INTEGER
        if size is None or type_.kind is not kind:
            raise Unsupported(f"__attribute__((mode({mode})))", f"is not known for {type_}")
        return replace(type_, size=size)

    @staticmethod
    def _vector(element: CType, size: int) -> CType:
        if element.kind not in {Kind.INTEGER, Kind.FLOATING} or element.size > 8 or size < element.size:
            raise Unsupported(f"a vector of {size} bytes of {element}", "is no type of C")
        length = size // element.size
        spelling = f"{element} __attribute__((vector_size({size})))"
        return CType(Kind.VECTOR, size, spelling, target=element, length=length)

    @staticmethod
    def _transparent(type_: CType) -> CType:
        """A union that is passed as its first member is; pointers, where headers use it: any of the members' fits."""
        fields = (type_.record.fields if type_.record is not None else None) or ()
        if not fields or any(f.type.kind not in {Kind.POINTER, Kind.TEXT} for f in fields):
            raise Unsupported(type_.spelling, "is a transparent union of more than pointers")
        return CType(Kind.POINTER, _POINTER_SIZE, type_.spelling, const=all(f.type.const for f in fields))

    def _alignment(self, attributes: Sequence[Attribute]) -> int:
        """The largest that `aligned` asks for, or 0."""
        return max((self._bytes(a.argument) for a in attributes if a.name == "aligned"), default=0)

    def _bytes(self, text: str) -> int:
        from latebind.ffi.prototype import expression

        if not text:
            return _MOST_USEFUL
        value = int(text) if text.isdecimal() else self.constant(expression(text, self.known))
        if not 0 < value <= _MOST_ALIGNMENT or value & (value - 1):
            raise ValueError(f"{text} is no alignment")
        return value

    def _alignas(self, node: Any) -> int:
        from pycparser import c_ast

        return self.type(node.type).alignment if isinstance(node, c_ast.Typename) else self.constant(node)

    # constant expressions (C17 6.6) -----------------------------------------------------------------------------

    def named_constant(self, name: str) -> int:
        """The value of a constant of an enumeration or a macro. Raises ValueError for a macro that is none."""
        from latebind.ffi.prototype import expression

        if name not in self.known.constants:
            text = self.known.macros.pop(name)  # gone meanwhile: a macro does not expand in itself (C17 6.10.3.4)
            self.known.constants[name] = self.constant(expression(text, self.known))
        return self.known.constants[name]

    def constant(self, node: Any) -> int:
        """The value of an integer constant expression. Raises ValueError."""
        from pycparser import c_ast

        if isinstance(node, c_ast.Constant):
            return _literal(node.value, self.text)
        if isinstance(node, c_ast.ID) and (node.name in self.known.constants or node.name in self.known.macros):
            return self.named_constant(node.name)
        if isinstance(node, c_ast.TernaryOp):
            return self.constant(node.iftrue if self.constant(node.cond) else node.iffalse)
        if isinstance(node, c_ast.Cast):
            return self._cast(self.type(node.to_type.type), self.constant(node.expr))
        if isinstance(node, c_ast.FuncCall) and getattr(node.name, "name", "") == "offsetof":
            return self._offset(*node.args.exprs)
        value = self._operation(node)
        if value is None:
            raise ValueError(f"{_spelled(node)} is no constant that is known in {self.text!r}")
        return value

    @staticmethod
    def _cast(type_: CType, value: int) -> int:
        if type_.kind is Kind.BOOL:
            return int(value != 0)
        if type_.kind is not Kind.INTEGER:
            return value
        low = value & ((1 << 8 * type_.size) - 1)
        return low - (1 << 8 * type_.size) if type_.signed and low >> (8 * type_.size - 1) else low

    def _offset(self, of: Any, member: Any) -> int:
        from pycparser import c_ast

        found = self.type(of.type).record if isinstance(of, c_ast.Typename) else None
        name = getattr(member, "name", None)
        for place in (found.fields if found is not None else None) or ():
            if place.name == name:
                return place.offset
        raise ValueError(f"{_spelled(member)} has no offset that is known in {self.text!r}")

    def _operation(self, node: Any) -> int | None:
        """The value of an operator's expression; None for one that is none of a constant's."""
        from pycparser import c_ast

        if isinstance(node, c_ast.UnaryOp) and node.op in _UNARY:
            return int(_UNARY[node.op](self.constant(node.expr)))
        if isinstance(node, c_ast.UnaryOp) and isinstance(node.expr, c_ast.Typename):
            made = self.type(node.expr.type)
            return {"sizeof": made.bytes, "_Alignof": made.alignment}.get(node.op)
        if not isinstance(node, c_ast.BinaryOp) or node.op not in _BINARY:
            return None
        left, right = self.constant(node.left), self.constant(node.right)
        if (node.op in {"/", "%"} and right == 0) or (node.op in {"<<", ">>"} and not 0 <= right < 64):
            raise ValueError(f"{_spelled(node)} has no value in {self.text!r}")
        return int(_BINARY[node.op](left, right))


def _quotient(left: int, right: int) -> int:
    """C divides towards zero."""
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


_UNARY: Final[dict[str, Any]] = {"-": lambda x: -x, "+": lambda x: x, "~": lambda x: ~x, "!": lambda x: int(not x)}
_BINARY: Final[dict[str, Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _quotient,
    "%": lambda a, b: a - b * _quotient(a, b), "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b,
    "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "&&": lambda a, b: int(bool(a and b)), "||": lambda a, b: int(bool(a or b)),
    "<": lambda a, b: int(a < b), ">": lambda a, b: int(a > b), "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b), "==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b),
}  # fmt: skip
_SIMPLE_ESCAPES: Final = {
    "n": 10,
    "t": 9,
    "r": 13,
    "0": 0,
    "a": 7,
    "b": 8,
    "f": 12,
    "v": 11,
    "\\": 92,
    "'": 39,
    '"': 34,
}


def _literal(written: str, text: str) -> int:
    if written.startswith("'"):
        inside = written[1:-1]
        if len(inside) == 1:
            return ord(inside)
        if len(inside) == 2 and inside[0] == "\\" and inside[1] in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[inside[1]]
    digits = written.rstrip("uUlL")
    try:
        return int(digits, 8) if digits.startswith("0") and digits.isdigit() else int(digits, 0)
    except ValueError:
        raise ValueError(f"{written} is no whole number in {text!r}") from None


def _spelled_type(node: Any) -> str:
    """The type as C writes it, without the name that it is given to."""
    from pycparser import c_ast, c_generator

    innermost = node
    while not isinstance(innermost, c_ast.TypeDecl):
        innermost = innermost.type
    innermost.declname = None
    base = innermost.type
    if isinstance(base, c_ast.Struct | c_ast.Union | c_ast.Enum):  # by its tag only
        innermost.type = c_ast.IdentifierType([f"{type(base).__name__.lower()} {base.name or ''}".strip()])
    spelled = c_generator.CGenerator().visit(c_ast.Typename(name=None, quals=[], align=None, type=node))
    innermost.type = base
    return str(spelled)


def _spelled(node: Any) -> str:
    from pycparser import c_generator

    return str(c_generator.CGenerator().visit(node))
