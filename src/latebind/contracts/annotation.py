"""Annotation → kind: which of the types of `types.py` a Python annotation stands for.

Whatever it does not know is refused with words that say why, and `define.py` adds the place.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from latebind.contracts.model import contract_in
from latebind.contracts.types import (
    BOOL,
    FLOAT64,
    INT32,
    INT64,
    Bytes,
    DataKind,
    Enumeration,
    Field,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    ResultKind,
    Scalar,
    Text,
)

SUPPORTED: Final = (
    "bool, int, float, str, bytes, the sized numbers of latebind (Int8 … UInt64, Float32, Float64), enums, "
    "dataclasses, list[…] of numbers, bool, str, enums or dataclasses, any of these | None, and as a result also "
    "None, Iterator[…] and another contract's class"
)
"""For error messages: what can be used."""

_PLAIN: Final[dict[object, DataKind]] = {bool: BOOL, int: INT64, float: FLOAT64, str: Text(), bytes: Bytes()}
_C_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class UnsupportedAnnotation(TypeError):
    """An annotation stands for none of the kinds. `define.py` turns it into a `ContractError` with its place."""


def kind_of(annotation: object) -> DataKind:
    """The kind of value that a resolved annotation stands for; raises `UnsupportedAnnotation`."""
    return _data(annotation, ())


def result_kind_of(annotation: object) -> ResultKind:
    """The kind of a method's result; raises `UnsupportedAnnotation`."""
    if annotation is None or annotation is NoneType:
        return Nothing()
    handle = contract_in(annotation)
    if handle is not None:
        return HandleTo(handle)
    if get_origin(annotation) is collections.abc.Iterator:
        return IteratorOf(kind_of(get_args(annotation)[0]))
    inner = _optional(annotation)
    handle = contract_in(inner)
    return OptionalOf(HandleTo(handle)) if handle is not None else kind_of(annotation)


def _data(annotation: object, around: tuple[type, ...]) -> DataKind:  # noqa: C901 - one case a kind
    """`around` are the dataclasses that the annotation stands in, outermost first."""
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *marks = get_args(annotation)
        scalars = [m for m in marks if isinstance(m, Scalar)]
        return scalars[0] if scalars else _data(base, around)
    if origin is list:
        element = _data(get_args(annotation)[0], around)
        if isinstance(element, Scalar | Text | Enumeration | Record):
            return ListOf(element)
        raise UnsupportedAnnotation(f"a list of {element.name} is not supported")
    if origin in {Union, UnionType}:
        inner = _optional(annotation)
        if inner is None:
            raise UnsupportedAnnotation(f"the type {_spell(annotation)} is not supported: a union is X | None")
        value = _data(inner, around)
        assert not isinstance(value, OptionalOf), "typing flattens unions"
        return OptionalOf(value)
    if contract_in(annotation) is not None:
        raise UnsupportedAnnotation(f"the contract {_spell(annotation)} can be a method's result and nothing else")
    if origin is collections.abc.Iterator:
        raise UnsupportedAnnotation(f"{_spell(annotation)} can be a method's result and nothing else")
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, enum.Enum):
            return _enumeration(annotation)
        if dataclasses.is_dataclass(annotation):
            return _record(annotation, around)
    raise UnsupportedAnnotation(f"the type {_spell(annotation)} is not supported")


def _optional(annotation: object) -> object:
    """X of `X | None`, or None for whatever is something else."""
    if get_origin(annotation) not in {Union, UnionType}:
        return None
    inner = [a for a in get_args(annotation) if a is not NoneType]
    return inner[0] if len(inner) == 1 and len(get_args(annotation)) == 2 else None


def _enumeration(cls: type[enum.Enum]) -> Enumeration:
    members = list(cls)
    if issubclass(cls, enum.Flag):
        raise UnsupportedAnnotation(f"{cls.__name__} is a Flag, whose values combine: use an int")
    if not members:
        raise UnsupportedAnnotation(f"the enum {cls.__name__} has no members")
    _check_names(cls.__name__, [m.name for m in members])
    values = [m.value for m in members]
    low, high = INT32.range
    if all(type(v) is int for v in values):
        if not all(low <= v <= high for v in values):
            raise UnsupportedAnnotation(f"a value of the enum {cls.__name__} does not fit 32 bits")
        numbers = values
    else:
        numbers = list(range(len(members)))
    doc = _doc(cls, enum.Enum.__doc__, enum.IntEnum.__doc__, enum.StrEnum.__doc__)
    return Enumeration(cls.__name__, tuple((m.name, n) for m, n in zip(members, numbers, strict=True)), cls, doc)


def _record(cls: type, around: tuple[type, ...]) -> Record:
    if cls in around:
        raise UnsupportedAnnotation(f"the dataclass {cls.__name__} contains itself")
    if any(get_origin(t) is dataclasses.InitVar or isinstance(t, dataclasses.InitVar) for t in _annotations(cls)):
        raise UnsupportedAnnotation(f"the dataclass {cls.__name__} has an InitVar, which no instance keeps")
    fields = dataclasses.fields(cls)
    if not fields:
        raise UnsupportedAnnotation(f"the dataclass {cls.__name__} has no fields")
    _check_names(cls.__name__, [f.name for f in fields])
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as e:
        raise UnsupportedAnnotation(f"{cls.__name__} refers to the unknown name {e.name}") from e
    found = [_field(cls, f, hints[f.name], around) for f in fields]
    # The signature that dataclasses write when a class has no docstring says nothing to a reader.
    doc = _doc(cls, f"{cls.__name__}{str(inspect.signature(cls)).replace(' -> None', '')}")
    return Record(cls.__name__, tuple(found), cls, doc)


def _field(cls: type, field: dataclasses.Field[Any], hint: object, around: tuple[type, ...]) -> Field:
    if not field.init:
        raise UnsupportedAnnotation(f"{cls.__name__}.{field.name} is not given to __init__, so it cannot come from C")
    try:
        kind = _data(hint, (*around, cls))
    except UnsupportedAnnotation as e:
        raise UnsupportedAnnotation(f"{cls.__name__}.{field.name}: {e}") from e
    if field.default is not dataclasses.MISSING:
        return Field(field.name, kind, required=False, default=field.default)
    if field.default_factory is not dataclasses.MISSING:
        return Field(field.name, kind, required=False, default=field.default_factory())
    return Field(field.name, kind)


def _annotations(cls: type) -> list[object]:
    return [value for base in cls.__mro__ for value in inspect.get_annotations(base).values()]


def _check_names(owner: str, names: list[str]) -> None:
    for name in (owner, *names):
        if not _C_NAME.fullmatch(name) or "__" in name:
            place = owner if name == owner else f"{owner}.{name}"
            raise UnsupportedAnnotation(
                f"{place}: the name becomes a C name: begin with a letter, use ASCII letters, digits and underscores"
            )


def _doc(cls: type, *machinery: str | None) -> str:
    """The docstring that a person wrote."""
    doc = cls.__doc__
    return "" if doc is None or doc in machinery else inspect.cleandoc(doc)


def _spell(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
