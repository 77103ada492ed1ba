"""The types of C as calls see them: how a value is passed, not how it is laid out in a structure.

A `Prototype` is plain data. It prints as C, compares by value and can be bound to any number of addresses. Sizes are
those of the LP64 data model (x86-64 and aarch64 psABI, table "Scalar Types"), the only one that the linker loads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.ffi.call import NativeFunction
    from latebind.ffi.callback import Callback


class Kind(Enum):
    """How a value travels in a call."""

    VOID = "void"
    BOOL = "bool"
    INTEGER = "integer"
    FLOATING = "floating"
    TEXT = "text"  # `char *`: a pointer that Python code sees as bytes
    POINTER = "pointer"  # any other pointer, also to a function or to a type that nobody described


@dataclass(frozen=True, slots=True)
class CType:
    """One C type: its `kind`, its `size` in bytes (0 for void) and how it is spelled.

    `signed` matters for integers. `const` is true for a pointer whose target the callee promises not to change:
    then a read-only buffer may be passed.
    """

    kind: Kind
    size: int
    spelling: str
    signed: bool = False
    const: bool = False

    def __str__(self) -> str:
        return self.spelling

    def declare(self, what: str) -> str:
        """The C declaration of `what` (a name, or a name with its parameters) with this type."""
        if "(*)" in self.spelling:  # C declares inside out: int (*compare)(int)
            return self.spelling.replace("(*)", f"(*{what})", 1)
        return f"{self.spelling}{'' if self.spelling.endswith('*') else ' '}{what}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a prototype. `name` is None where the prototype gives none."""

    type: CType
    name: str | None = None

    def __str__(self) -> str:
        return self.type.spelling if self.name is None else self.type.declare(self.name)


@dataclass(frozen=True, slots=True)
class Prototype:
    """What a C function is called, what it takes and what it gives."""

    name: str
    result: CType
    parameters: tuple[Parameter, ...]

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.parameters)) or "void"
        return self.result.declare(f"{self.name}({inside})")

    def bind(
        self, address: int, library: str, *, alive: Callable[[], bool] | None = None, keep_errno: bool = False
    ) -> NativeFunction:
        """The function at the runtime `address`, callable from Python.

        `library` is the name that error messages show. `alive`, if given, is asked before each call; when it says
        False (the library was closed) the call raises ClosedLibrary instead of jumping into unmapped memory.
        With `keep_errno` the function sees and sets the errno of `ctypes.get_errno` and `ctypes.set_errno`, which
        other calls do not disturb. Raises ValueError if `address` is 0, which no function is at.
        """
        from latebind.ffi.call import NativeFunction

        return NativeFunction(self, address, library, alive, keep_errno=keep_errno)

    def callback(self, function: Callable[..., Any]) -> Callback:
        """`function` for C code to call, at the result's `address`, for as long as the result lives."""
        from latebind.ffi.callback import Callback

        return Callback(self, function)

    def with_address_result(self) -> Prototype:
        """The same function, giving a `char *` as an address (None for NULL) and not as a copy of the text."""
        if self.result.kind is not Kind.TEXT:
            return self
        return replace(self, result=replace(self.result, kind=Kind.POINTER))


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
    ("float",): CType(Kind.FLOATING, 4, "float", signed=True),
    ("double",): CType(Kind.FLOATING, 8, "double", signed=True),
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
