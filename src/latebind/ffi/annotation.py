"""Prototypes from Python annotations.

    def strtol(text: str, end: Annotated[object, "char **"], base: Int32) -> Int64: ...

`float`, `bool`, `str`, `bytes` and `None` say which type of C they are; `int` does not, as C has many. Any annotation
can carry the C type as a text (`Annotated[int, "size_t"]`); the sized types that contracts use, such as
`latebind.Int32`, and the classes of structures are understood too. `*arguments` makes the function variadic.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin, get_type_hints

from latebind.ffi.ctype import CType, Kind, Parameter, Prototype
from latebind.ffi.prototype import parse_type
from latebind.ffi.values import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.ffi.declaration import Declarations

_PLAIN: Final = {
    float: "double", bool: "bool", str: "const char *", bytes: "const char *", type(None): "void", None: "void",
}  # fmt: skip


def prototype_of(function: Callable[..., Any], types: Declarations | None = None) -> Prototype:
    """The prototype that a Python function's name and annotations say; its body is not looked at.

    Raises TypeError, naming the function and the parameter, for an annotation that is no type of C or is missing.
    """
    name = function.__name__
    hints = get_type_hints(function, include_extras=True)
    parameters = []
    variadic = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD}:
            raise TypeError(f"{name}: {parameter.name} cannot be passed by position, as C does")
        else:
            type_ = _type(hints.get(parameter.name, inspect.Parameter.empty), f"{name}, {parameter.name}", types)
            if type_.kind is Kind.VOID:
                raise TypeError(f"{name}, {parameter.name}: void is no type of a parameter")
            parameters.append(Parameter(type_, parameter.name))
    result = _type(hints.get("return", inspect.Parameter.empty), f"{name}, result", types)
    return Prototype(name, result, tuple(parameters), variadic)


def _type(annotation: Any, place: str, types: Declarations | None) -> CType:
    if annotation is inspect.Parameter.empty:
        raise TypeError(f"{place}: no annotation says which type of C it is")
    if get_origin(annotation) is Annotated:
        for extra in get_args(annotation)[1:]:
            text = extra if isinstance(extra, str) else getattr(extra, "c", None)
            if isinstance(text, str):
                return parse_type(text, types)
        return _type(get_args(annotation)[0], place, types)
    if isinstance(annotation, CType):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return CType(Kind.RECORD, 0, annotation._record_.spelling, record=annotation._record_)
    if annotation is int:
        raise TypeError(f"{place}: int says no size; write latebind.Int32, or Annotated[int, 'size_t'] and the like")
    text = _PLAIN.get(annotation) if isinstance(annotation, type | None) else None
    if text is None:
        raise TypeError(f"{place}: {annotation!r} is no type of C; write Annotated[…, 'the C type']")
    return parse_type(text)
