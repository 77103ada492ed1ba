"""The types that a contract may use, each in its three forms: the Python annotation, the C type, the canonical name.

A `Kind` is one such type. It is pure description: `marshal.py` turns values of a kind into C and back, `header.py`
writes its C name, `layout.py` hashes its canonical name. A new type of the design (optional, enum, record, handle,
iterator) is one more class here and one more case in those three.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Final, Literal, TypeAlias, get_args, get_origin


class UnsupportedAnnotation(TypeError):
    """An annotation stands for none of the kinds. `define.py` turns it into a `ContractError` with its place."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or a truth value, passed by value.

    `name` is canonical (`int32`), `c` the C type, `code` the format character that `struct` and `array` give it
    (`?` for bool), `suffix` what the C list type of it ends with.
    """

    name: str
    family: Literal["bool", "int", "float"]
    c: str
    code: str
    suffix: str

    @property
    def size(self) -> int:
        """Bytes of one value."""
        return {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}[self.code]

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest value of an integer."""
        bits = self.size * 8
        return (0, (1 << bits) - 1) if self.code.isupper() else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


@dataclass(frozen=True, slots=True)
class Text:
    """`str`: UTF-8 with its length."""

    name: str = "str"
    c: str = "lb_str"


@dataclass(frozen=True, slots=True)
class Bytes:
    """`bytes`: bytes with their length; any contiguous buffer is taken as an argument."""

    name: str = "bytes"
    c: str = "lb_bytes"


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list[element]`: the elements one after the other, with their number."""

    element: Scalar | Text

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"list[{self.element.name}]"

    @property
    def c(self) -> str:
        """The C type."""
        return f"lb_list_{self.element.suffix if isinstance(self.element, Scalar) else 'str'}"


@dataclass(frozen=True, slots=True)
class Nothing:
    """`None`: the result of a method that has none."""

    name: str = "none"


Kind: TypeAlias = Scalar | Text | Bytes | ListOf
"""What a parameter can be."""

ResultKind: TypeAlias = Kind | Nothing
"""What a result can be."""

BOOL: Final = Scalar("bool", "bool", "bool", "?", "bool")
INT8: Final = Scalar("int8", "int", "int8_t", "b", "i8")
INT16: Final = Scalar("int16", "int", "int16_t", "h", "i16")
INT32: Final = Scalar("int32", "int", "int32_t", "i", "i32")
INT64: Final = Scalar("int64", "int", "int64_t", "q", "i64")
UINT8: Final = Scalar("uint8", "int", "uint8_t", "B", "u8")
UINT16: Final = Scalar("uint16", "int", "uint16_t", "H", "u16")
UINT32: Final = Scalar("uint32", "int", "uint32_t", "I", "u32")
UINT64: Final = Scalar("uint64", "int", "uint64_t", "Q", "u64")
FLOAT32: Final = Scalar("float32", "float", "float", "f", "f32")
FLOAT64: Final = Scalar("float64", "float", "double", "d", "f64")
SCALARS: Final = (BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT32, FLOAT64)

Int8: TypeAlias = Annotated[int, INT8]
Int16: TypeAlias = Annotated[int, INT16]
Int32: TypeAlias = Annotated[int, INT32]
Int64: TypeAlias = Annotated[int, INT64]
UInt8: TypeAlias = Annotated[int, UINT8]
UInt16: TypeAlias = Annotated[int, UINT16]
UInt32: TypeAlias = Annotated[int, UINT32]
UInt64: TypeAlias = Annotated[int, UINT64]
Float32: TypeAlias = Annotated[float, FLOAT32]
Float64: TypeAlias = Annotated[float, FLOAT64]

SUPPORTED: Final = (
    "bool, int, float, str, bytes, the sized numbers of latebind.contracts.types (Int8 … UInt64, Float32, Float64), "
    "list[…] of numbers, bool or str, and None as a result"
)
"""For error messages: what can be used."""

_PLAIN: Final[dict[object, Kind]] = {bool: BOOL, int: INT64, float: FLOAT64, str: Text(), bytes: Bytes()}


def kind_of(annotation: object) -> Kind:
    """The kind that a resolved annotation stands for; raises `UnsupportedAnnotation`."""
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    if get_origin(annotation) is Annotated:
        base, *marks = get_args(annotation)
        scalars = [m for m in marks if isinstance(m, Scalar)]
        return scalars[0] if scalars else kind_of(base)
    if get_origin(annotation) is list:
        element = kind_of(get_args(annotation)[0])
        if isinstance(element, Scalar | Text):
            return ListOf(element)
        raise UnsupportedAnnotation(f"a list of {element.name} is not supported")
    raise UnsupportedAnnotation(f"the type {_spell(annotation)} is not supported")


def result_kind_of(annotation: object) -> ResultKind:
    """The kind of a method's result; raises `UnsupportedAnnotation`."""
    return Nothing() if annotation is None or annotation is NoneType else kind_of(annotation)


def _spell(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
