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
from latebind.ffi.layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi.layout import Member

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
    prototypes: dict[str, Prototype] = field(default_factory=dict)


class Reader:
    """Reads nodes; what they declare on the way (a structure in a parameter, say) goes into `known`.

    `text` is quoted in messages: what was read.
    """

    def __init__(self, known: Declarations, text: str) -> None:
        self.known = known
        self.text = text
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
            if not plain and name not in self.known.typedefs and name not in TYPEDEFS:
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
            found = self.known.typedefs.get(names[0]) or TYPEDEFS.get(names[0])
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
        return CType(Kind.ARRAY, size, spelling, align=element.alignment, target=element, length=length)

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
            lay_out(known.record, list(self._members(node)), pack=self.pack)
        return known

    def _members(self, node: Any) -> Iterator[Member]:
        from pycparser import c_ast

        for declared in node.decls:
            if not isinstance(declared, c_ast.Decl):
                continue  # a lone semicolon, a pragma
            made = self.type(declared.type)
            width = self.constant(declared.bitsize) if declared.bitsize is not None else None
            if made.kind in {Kind.VOID, Kind.FUNCTION} or (
                made.kind is Kind.RECORD and (made.record is None or made.record.fields is None)
            ):
                raise ValueError(f"the size of {made} is not known in {self.text!r}")
            if width is not None and not (made.kind in {Kind.INTEGER, Kind.BOOL} and 0 <= width <= made.size * 8 <= 64):
                raise ValueError(f"a bit-field of {width} bits of {made} in {self.text!r}")
            yield declared.name, made, width

    def enumeration(self, node: Any) -> CType:
        """An enumeration: an integer, whose constants become known."""
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
            value = self.constant(enumerator.value) if enumerator.value is not None else value + 1
            self.known.constants[enumerator.name] = value
            values.append(value)
        # As gcc and clang choose: unsigned int unless a value is negative, and more bytes where one does not fit.
        signed = min(values) < 0
        wide = max(values) >= 1 << (31 if signed else 32) or min(values) < -(1 << 31)
        made = CType(Kind.INTEGER, 8 if wide else 4, spelling, signed=signed)
        if node.name:
            self.known.tags[spelling] = made
        return made

    # constant expressions (C17 6.6) -----------------------------------------------------------------------------

    def constant(self, node: Any) -> int:
        """The value of an integer constant expression. Raises ValueError."""
        from pycparser import c_ast

        if isinstance(node, c_ast.Constant):
            return _literal(node.value, self.text)
        if isinstance(node, c_ast.ID) and node.name in self.known.constants:
            return self.known.constants[node.name]
        if isinstance(node, c_ast.TernaryOp):
            return self.constant(node.iftrue if self.constant(node.cond) else node.iffalse)
        if isinstance(node, c_ast.Cast):
            return self.constant(node.expr)
        value = self._operation(node)
        if value is None:
            raise ValueError(f"{_spelled(node)} is no constant that is known in {self.text!r}")
        return value

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
