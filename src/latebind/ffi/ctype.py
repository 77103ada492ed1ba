"""The types of C: how a value is passed, and how it lies in memory.

A `Prototype` is plain data. It prints as C, compares by value and can be bound to any number of addresses. Sizes are
those of the LP64 data model (x86-64 and aarch64 psABI, table "Scalar Types"), the only one that the linker loads.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind._core import Callback, Function, Lifetime


class Kind(Enum):
    """How a value travels in a call."""

    VOID = "void"
    BOOL = "bool"
    INTEGER = "integer"
    FLOATING = "floating"
    COMPLEX = "complex"
    TEXT = "text"  # `char *`: a pointer that Python code sees as bytes
    POINTER = "pointer"  # any other pointer, also to a function or to a type that nobody described
    RECORD = "record"  # a structure or union
    VECTOR = "vector"  # numbers side by side in one register (`vector_size`)
    ARRAY = "array"  # in a record or behind a pointer; as a parameter it is a pointer
    FUNCTION = "function"  # behind a pointer only


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a record. `offset` is bytes; a bit-field has a `width` and begins `shift` bits behind `offset`.

    `align` is bytes where attributes made it another one than the type's (of a bit-field: what they ask for), else 0.
    `name` is None for an anonymous structure or union, whose own members are reached as if they stood here, and for an
    unnamed bit-field, which is padding.
    """

    name: str | None
    type: CType
    offset: int
    shift: int = 0
    width: int = 0
    align: int = 0


@dataclass(eq=False, slots=True)
class Record:
    """A structure or union. `fields` is None as long as nobody has said what is in it; records may refer to each other.

    `size` and `align` are bytes.
    """

    spelling: str
    is_union: bool = False
    size: int = 0
    align: int = 1
    fields: tuple[Field, ...] | None = None
    gap_align: int = 0
    """The strictest alignment, in bytes, of its bit-fields without width, which are no fields; 0 where it has none."""
    by_reference: bool = False
    """A class of C++ whose own code copies it, so that only its address can be passed."""
    python: Any = None
    """The class of its values, once `values.record_class` has made it."""


@dataclass(frozen=True, slots=True)
class CType:
    """One C type: its `kind`, its `size` in bytes (0 for void) and how it is spelled.

    `signed` matters for integers. `const` is true for a pointer whose target the callee promises not to change:
    then a read-only buffer may be passed. `nonnull` is true for one that must not be NULL, which C writes as
    `int values[static 1]`. `align` is bytes, 0 where it is the natural one (its size, or its record's or
    element's). `target` is what a pointer points to (None where that is not known) or an array or vector holds,
    `length` how many.
    """

    kind: Kind
    size: int
    spelling: str
    signed: bool = False
    const: bool = False
    nonnull: bool = False
    align: int = field(default=0, compare=False)
    is_char: bool = field(default=False, compare=False)
    """Whether it is plain char, which makes a pointer to it text."""
    target: CType | None = field(default=None, compare=False, repr=False)
    length: int | None = field(default=None, compare=False)
    record: Record | None = field(default=None, compare=False, repr=False)
    prototype: Prototype | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.spelling

    def declare(self, what: str) -> str:
        """The C declaration of `what` (a name, or a name with its parameters) with this type."""
        if "(*)" in self.spelling:  # C declares inside out: int (*compare)(int)
            return self.spelling.replace("(*)", f"(*{what})", 1)
        if "[" in self.spelling:
            element, bracket, bounds = self.spelling.partition("[")
            return f"{element.rstrip()} {what}{bracket}{bounds}"
        return f"{self.spelling}{'' if self.spelling.endswith('*') else ' '}{what}"

    @property
    def bytes(self) -> int:
        """Its size; of a record, the size that is known by now."""
        return self.record.size if self.record is not None and self.kind is Kind.RECORD else self.size

    @property
    def alignment(self) -> int:
        """Its alignment in bytes."""
        if self.align:
            return self.align
        if self.record is not None and self.kind is Kind.RECORD:
            return self.record.align
        if self.kind is Kind.ARRAY and self.target is not None:
            return self.target.alignment
        return self.natural

    @property
    def natural(self) -> int:
        """The alignment in bytes of a number, pointer or vector itself, whatever its typedef asks for."""
        return (self.size // 2 if self.kind is Kind.COMPLEX else self.size) or 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a prototype. `name` is None where the prototype gives none."""

    type: CType
    name: str | None = None

    def __str__(self) -> str:
        return self.type.spelling if self.name is None else self.type.declare(self.name)


@dataclass(frozen=True, slots=True)
class Prototype:
    """What a C function is called, what it takes and what it gives; `variadic` where more arguments may follow."""

    name: str
    result: CType
    parameters: tuple[Parameter, ...]
    variadic: bool = False

    def __str__(self) -> str:
        inside = ", ".join([*map(str, self.parameters), *(["..."] if self.variadic else [])]) or "void"
        return self.result.declare(f"{self.name}({inside})")

    def bind(
        self,
        address: int,
        library: str,
        *,
        lifetime: Lifetime | None = None,
        quick: bool = False,
        out: Sequence[str] = (),
    ) -> Function:
        """The function at the runtime `address`, callable from Python.

        `library` is the name that error messages show. Once `lifetime`, if given, is over (the library was closed) a
        call raises its error instead of jumping into unmapped memory. A call lets other Python threads run, unless it
        is `quick`. `out` names pointer parameters that the function stores results through: the caller leaves them
        out, and gets what was stored behind the result, as a tuple (alone, where the result is void).

        Raises ValueError if `address` is 0, which no function is at, or `out` names what is no such parameter, and
        Unsupported for a type that cannot be passed.
        """
        from latebind.ffi.call import bind

        return bind(self, address, library, lifetime=lifetime, quick=quick, out=out)

    def callback(self, function: Callable[..., Any], *, raises: bool = False) -> Callback:
        """`function` for C code to call, at the result's `address`, for as long as the result lives.

        With `raises`, an exception in it is raised by the call from Python that is under way in the same thread, if
        one is; otherwise, and without `raises`, it is reported by `sys.unraisablehook`.
        """
        from latebind.ffi.callback import make_callback

        return make_callback(self, function, raises=raises)

    def with_address_result(self) -> Prototype:
        """The same function, giving a `char *` as an address (None for NULL) and not as a copy of the text."""
        if self.result.kind is not Kind.TEXT:
            return self
        return replace(self, result=replace(self.result, kind=Kind.POINTER))


def array_spelling(element: CType, length: int | None) -> str:
    """How C writes an array of `element`: an array of arrays has its own bounds behind the outer one's."""
    bound = f"[{'' if length is None else length}]"
    if element.kind is Kind.ARRAY:
        inner, bracket, rest = element.spelling.partition("[")
        return f"{inner}{bound}{bracket}{rest}"
    return f"{element.spelling}{'' if element.spelling.endswith('*') else ' '}{bound}"


VOID: Final = CType(Kind.VOID, 0, "void")


def _integer(spelling: str, size: int, *, signed: bool) -> CType:
    return CType(Kind.INTEGER, size, spelling, signed=signed)


# Arithmetic types by their specifiers, sorted; C allows any order ("long unsigned int"), C17 6.7.2.
ARITHMETIC: Final = {
    tuple(sorted(words.split())): _integer(spelling, size, signed=signed)
    for spelling, size, signed, spellings in (
        # Plain char is signed on x86-64 and unsigned on aarch64; a linker for both must not guess: see prototype.py.
        ("signed char", 1, True, ("signed char",)),
        ("unsigned char", 1, False, ("unsigned char",)),
        ("short", 2, True, ("short", "signed short", "short int", "signed short int")),
        ("unsigned short", 2, False, ("unsigned short", "unsigned short int")),
        ("int", 4, True, ("int", "signed", "signed int")),
        ("unsigned int", 4, False, ("unsigned", "unsigned int")),
        ("long", 8, True, ("long", "signed long", "long int", "signed long int")),
        ("unsigned long", 8, False, ("unsigned long", "unsigned long int")),
        ("long long", 8, True, ("long long", "signed long long", "long long int", "signed long long int")),
        ("unsigned long long", 8, False, ("unsigned long long", "unsigned long long int")),
    )
    for words in spellings
} | {
    ("__int128",): _integer("__int128", 16, signed=True),
    ("__int128", "unsigned"): _integer("unsigned __int128", 16, signed=False),
    ("float",): CType(Kind.FLOATING, 4, "float", signed=True),
    ("double",): CType(Kind.FLOATING, 8, "double", signed=True),
    ("double", "long"): CType(Kind.FLOATING, 16, "long double", signed=True),
    ("_Complex", "float"): CType(Kind.COMPLEX, 8, "float _Complex", align=4),
    ("_Complex", "double"): CType(Kind.COMPLEX, 16, "double _Complex", align=8),
    ("_Complex", "double", "long"): CType(Kind.COMPLEX, 32, "long double _Complex", align=16),
    ("void",): VOID,
    ("_Bool",): CType(Kind.BOOL, 1, "bool"),
}

# Names that <stdint.h>, <stddef.h>, <stdbool.h>, <sys/types.h>, <time.h> and <wchar.h> define, LP64 glibc.
TYPEDEFS: Final = {
    "bool": CType(Kind.BOOL, 1, "bool"),
    **{f"int{8 * n}_t": _integer(f"int{8 * n}_t", n, signed=True) for n in (1, 2, 4, 8)},
    **{f"uint{8 * n}_t": _integer(f"uint{8 * n}_t", n, signed=False) for n in (1, 2, 4, 8)},
    **{f"int_least{8 * n}_t": _integer(f"int_least{8 * n}_t", n, signed=True) for n in (1, 2, 4, 8)},
    **{f"uint_least{8 * n}_t": _integer(f"uint_least{8 * n}_t", n, signed=False) for n in (1, 2, 4, 8)},
    **{
        name: _integer(name, size, signed=True)
        for name, size in (
            ("intptr_t", 8), ("intmax_t", 8), ("ssize_t", 8), ("ptrdiff_t", 8), ("off_t", 8), ("off64_t", 8),
            ("time_t", 8), ("clock_t", 8), ("pid_t", 4), ("wchar_t", 4), ("suseconds_t", 8), ("key_t", 4),
        )
    },
    **{
        name: _integer(name, size, signed=False)
        for name, size in (
            ("uintptr_t", 8), ("uintmax_t", 8), ("size_t", 8), ("uid_t", 4), ("gid_t", 4), ("mode_t", 4),
            ("dev_t", 8), ("ino_t", 8), ("socklen_t", 4), ("useconds_t", 4), ("wint_t", 4), ("char16_t", 2),
            ("char32_t", 4),
        )
    },
}  # fmt: skip
