"""C text → `Prototype`. pycparser knows the grammar of C; this file turns its tree into how values travel.

Names of types that the text does not explain are fine behind a pointer (`sqlite3 *`): a pointer is a pointer. By
value they are refused, since nobody could know their size. pycparser is imported at the first prototype.
"""

from __future__ import annotations

import functools
import platform
import re
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import Unsupported
from latebind.ffi.ctype import ARITHMETIC, TYPEDEFS, CType, Kind, Parameter, Prototype

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where a type begins: at the start, after "(" and after ",". The first word there that is no keyword names a type,
# unless a parenthesis follows (then it is the function's name and its result type is missing).
_TYPE_NAME: Final = re.compile(
    r"(?:^|[(,])\s*(?:(?:const|volatile|restrict|extern|static|inline)\s+)*([A-Za-z_]\w*)(?!\w|\s*\((?!\s*\*))"
)
_KEYWORDS: Final = frozenset(
    "char short int long float double signed unsigned void _Bool _Complex __int128 struct union enum typedef const "
    "volatile restrict extern static inline register auto".split()
)
_POINTER_SIZE: Final = 8  # LP64
# Plain char: the psABI of x86-64 says signed, that of aarch64 unsigned.
_CHAR: Final = CType(Kind.INTEGER, 1, "char", signed=platform.machine() in {"x86_64", "i686"})


@functools.lru_cache(maxsize=1024)
def parse_prototype(text: str) -> Prototype:
    """The prototype that `text` declares, as in `"float cosf(float)"`; a final semicolon is optional.

    Raises ValueError if it is not the declaration of one function, and Unsupported (saying which type) for what
    cannot be called yet: structures, unions and enums by value, `long double`, complex numbers, variable arguments.
    """
    from pycparser import c_ast

    declared = _declaration(text)
    function = declared.type if isinstance(declared, c_ast.Decl) else None
    if not isinstance(function, c_ast.FuncDecl):  # a variable, a typedef, or a definition with a body
        raise ValueError(f"not the prototype of a function: {text!r}")
    return Prototype(declared.name, _type(function.type, text), tuple(_parameters(function.args, text)))


def _declaration(text: str) -> Any:
    """The one declaration in `text`, as pycparser's tree. Raises ValueError."""
    from pycparser.c_parser import CParser, ParseError

    unknown = [name for name in _TYPE_NAME.findall(text) if name not in _KEYWORDS and name not in TYPEDEFS]
    # pycparser only needs to know *that* a name is a type; what it means is looked up in TYPEDEFS.
    names = dict.fromkeys([*TYPEDEFS, *unknown])
    preamble = "".join(f"typedef int {name};" for name in names)
    end = "" if text.rstrip().endswith(";") else ";"
    try:
        tree = CParser().parse(f"{preamble}\n{text}{end}", "prototype")
    except ParseError as error:
        where = re.match(r"prototype:\d+:(\d+): (.*)", str(error))
        detail = f"column {where[1]}: {where[2]}" if where else str(error)
        raise ValueError(f"not a C prototype: {text!r} ({detail})") from error
    declarations = tree.ext[len(names) :]
    if len(declarations) != 1:
        raise ValueError(f"not one C prototype but {len(declarations)}: {text!r}")
    return declarations[0]


def _parameters(arguments: Any, text: str) -> Iterator[Parameter]:
    from pycparser import c_ast

    declared = list(arguments.params) if arguments else []
    for position, parameter in enumerate(declared, 1):
        if isinstance(parameter, c_ast.EllipsisParam):
            raise Unsupported(text, "variable arguments cannot be passed yet")
        if isinstance(parameter, c_ast.ID):
            raise ValueError(f"not a C prototype: {text!r} (parameter {position}, {parameter.name}, has no type)")
        made = _type(parameter.type, text)
        if made.kind is Kind.VOID:
            if len(declared) == 1 and not parameter.name:  # `f(void)`: no parameters
                return
            raise ValueError(f"not a C prototype: {text!r} (parameter {position} is void)")
        yield Parameter(made, parameter.name or None)


def _type(node: Any, text: str) -> CType:
    """How a value of the declared type travels."""
    from pycparser import c_ast

    if isinstance(node, c_ast.PtrDecl):
        return _pointer(node.type)
    if isinstance(node, c_ast.ArrayDecl):  # a parameter declared as an array is a pointer, C17 6.7.6.3
        return _pointer(node.type)
    if isinstance(node, c_ast.FuncDecl):  # and one declared as a function a pointer to it
        return _pointer(node)
    base = node.type
    if isinstance(base, c_ast.Struct | c_ast.Union):
        what = type(base).__name__.lower()
        raise Unsupported(text, f"{what} {base.name or ''} cannot be passed by value yet".replace("  ", " "))
    if isinstance(base, c_ast.Enum):
        raise Unsupported(text, f"enum {base.name} has no definition here", "write int, or unsigned int, instead")
    return _named(list(base.names), text)


def _named(names: list[str], text: str) -> CType:
    """The type that specifiers such as ["unsigned", "long"] or ["size_t"] name."""
    if names == ["char"]:
        return _CHAR
    found = TYPEDEFS.get(names[0]) if len(names) == 1 else None
    found = found or ARITHMETIC.get(tuple(sorted(names)))
    if found is None:
        spelled = " ".join(names)
        if "_Complex" in names or "__int128" in names or sorted(names) == ["double", "long"]:
            raise Unsupported(text, f"{spelled} cannot be passed yet")
        raise ValueError(f"unknown type {spelled!r} in {text!r}: by value only C's own and <stdint.h>'s are known")
    return found


def _pointer(target: Any) -> CType:
    """A pointer to the declared type `target`. `char *` is text; everything else is an address."""
    from pycparser import c_ast, c_generator

    innermost = target
    while not isinstance(innermost, c_ast.TypeDecl):
        innermost = innermost.type
    innermost.declname = None  # spelled as a type, without the parameter's name
    pointer = c_ast.PtrDecl(quals=[], type=target)
    spelling = c_generator.CGenerator().visit(c_ast.Typename(name=None, quals=[], align=None, type=pointer))
    # A function cannot be written to, so a pointer to one counts as a pointer to something constant.
    const = isinstance(target, c_ast.FuncDecl) or "const" in getattr(target, "quals", ())
    is_text = isinstance(target, c_ast.TypeDecl) and getattr(target.type, "names", None) == ["char"]
    return CType(Kind.TEXT if is_text else Kind.POINTER, _POINTER_SIZE, spelling, const=const)
