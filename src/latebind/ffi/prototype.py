"""C text → `Prototype` or `CType`. pycparser knows the grammar of C; `declaration.py` reads its tree.

Names of types that the text does not explain are fine behind a pointer (`sqlite3 *`): a pointer is a pointer. By
value they are refused, since nobody could know their size. pycparser is imported at the first prototype.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

from latebind.ffi.ctype import TYPEDEFS, CType, Prototype
from latebind.ffi.declaration import Declarations, Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where a type begins: at the start, after "(" and after ",". The first word there that is no keyword names a type,
# unless a parenthesis follows (then it is the function's name and its result type is missing).
_TYPE_NAME: Final = re.compile(
    r"(?:^|[(,])\s*(?:(?:const|volatile|restrict|extern|static|inline)\s+)*([A-Za-z_]\w*)(?!\w|\s*\((?!\s*\*))"
)
_KEYWORDS: Final = frozenset(
    "char short int long float double signed unsigned void _Bool _Complex __int128 struct union enum typedef const "
    "volatile restrict extern static inline register auto sizeof".split()
)


def parse_prototype(text: str, types: Declarations | None = None) -> Prototype:
    """The prototype that `text` declares, as in `"float cosf(float)"`; a final semicolon is optional.

    `types` are the declarations (a `Header`) that explain the text's own names of types.

    Raises ValueError if it is not the declaration of one function, or uses a name of a type by value that nobody
    explains, and Unsupported (saying which type) for a type that cannot be passed.
    """
    return _parse_alone(text) if types is None else _parse(text, types)


@functools.lru_cache(maxsize=1024)
def _parse_alone(text: str) -> Prototype:
    return _parse(text, Declarations())


def _parse(text: str, types: Declarations) -> Prototype:
    from pycparser import c_ast

    declared = declaration(text, types)
    function = declared.type if isinstance(declared, c_ast.Decl) else None
    if not isinstance(function, c_ast.FuncDecl):  # a variable, a typedef, or a definition with a body
        raise ValueError(f"not the prototype of a function: {text!r}")
    return Reader(types, text).prototype(declared.name, function)


def parse_type(text: str, types: Declarations | None = None) -> CType:
    """The type that `text` names, as in `"unsigned long"` or `"int[4]"`; `types` explain it as in `parse_prototype`.

    Raises ValueError and Unsupported, as `parse_prototype` does.
    """
    types = types if types is not None else Declarations()
    declared = declaration(f"int x = sizeof({text})", types, text)
    name: Any = getattr(getattr(declared, "init", None), "expr", None)
    if type(name).__name__ != "Typename":
        raise ValueError(f"not a C type: {text!r}")
    return Reader(types, text).type(name.type)


def expression(text: str, types: Declarations) -> Any:
    """An expression in C, as the tree that pycparser makes of it. Raises ValueError."""
    from pycparser.c_parser import CParser, ParseError

    preamble = "".join(f"typedef int {name};" for name in dict.fromkeys([*TYPEDEFS, *types.typedefs]))
    try:
        return CParser().parse(f"{preamble} int x = ({text});", "expression").ext[-1].init
    except (ParseError, AssertionError) as error:
        raise ValueError(f"not an expression of C: {text!r}") from error


def declaration(text: str, types: Declarations, shown: str | None = None) -> Any:
    """The one declaration in `text`, as pycparser's tree. Raises ValueError, which quotes `shown` (else `text`)."""
    from pycparser.c_parser import CParser, ParseError

    shown = text if shown is None else shown
    known = [*TYPEDEFS, *types.typedefs]
    unknown = [name for name in _TYPE_NAME.findall(text) if name not in _KEYWORDS and name not in known]
    # pycparser only needs to know *that* a name is a type; what it means is looked up later.
    names = dict.fromkeys([*known, *_not_declared(text, unknown)])
    preamble = "".join(f"typedef int {name};" for name in names)
    end = "" if text.rstrip().endswith(";") else ";"
    try:
        tree = CParser().parse(f"{preamble}\n{text}{end}", "prototype")
    except (ParseError, AssertionError) as error:  # pycparser asserts that braces are balanced
        where = re.match(r"prototype:\d+:(\d+): (.*)", str(error))
        detail = f"column {where[1]}: {where[2]}" if where else str(error)
        raise ValueError(f"not a C prototype: {shown!r} ({detail})") from error
    declarations = tree.ext[len(names) :]
    if len(declarations) != 1:
        raise ValueError(f"not one C prototype but {len(declarations)}: {shown!r}")
    return declarations[0]


def _not_declared(text: str, names: Iterable[str]) -> list[str]:
    """`names` but for those in sizeof(x), which may be a variable."""
    return (
        [name for name in names if not re.search(rf"\bsizeof\s*\(\s*{name}\s*\)", text)]
        if "sizeof" in text
        else [*names]
    )
