"""The types that a contract may use. A `Kind` is one such type, and pure description.

`annotation.py` reads kinds from Python annotations; `clayout.py` says how each lies in memory, `marshal.py` carries
values of it to C and back, `cdecl.py` writes it in C, `wire.py` in bytes, `schema.py` as JSON Schema; `layout.py`
hashes its canonical name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from enum import Enum

    from latebind.contracts.model import Contract


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
        return _SIZES[self.code]

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest value of an integer."""
        return _RANGES[self.code]


_SIZES: Final = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}
# Tables, since every argument of every call is held against them.
_RANGES: Final = {
    code: (0, (1 << 8 * size) - 1) if code.isupper() else (-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1)
    for code, size in _SIZES.items()
}


@dataclass(frozen=True, slots=True)
class Text:
    """`str`: UTF-8 with its length."""

    name: str = "str"
    c: str = "lb_str"
    suffix: str = "str"


@dataclass(frozen=True, slots=True)
class Bytes:
    """`bytes`: bytes with their length; any contiguous buffer is taken as an argument."""

    name: str = "bytes"
    c: str = "lb_bytes"
    suffix: str = "bytes"


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An `enum.Enum`: a 32-bit number in C, a name in JSON.

    `members` are (name, number): the values of an enum of integers, else 0, 1, 2 … in the order of definition.
    Members may be added in a minor version, so they are no part of the canonical name.
    """

    title: str
    members: tuple[tuple[str, int], ...]
    cls: type[Enum] = field(compare=False, repr=False)
    doc: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"enum[{self.title}]"

    def number(self, value: object) -> int:
        """The number of a member; TypeError for anything else."""
        if not isinstance(value, self.cls):
            raise TypeError(f"expected {self.title}, not {type(value).__name__}")
        return next(number for name, number in self.members if name == value.name)

    def member(self, number: int) -> Enum:
        """The member of a number; ValueError if there is none."""
        for name, known in self.members:
            if known == number:
                return self.cls[name]
        raise ValueError(f"{number} is no member of {self.title}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record. Without a default unless `required` is false."""

    name: str
    kind: DataKind
    required: bool = True
    default: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A dataclass: a struct in C, an object in JSON."""

    title: str
    fields: tuple[Field, ...]
    cls: type = field(compare=False, repr=False)
    doc: str = field(default="", compare=False)
    memo: list[tuple[tuple[int, ...], int, int]] = field(default_factory=list, compare=False, repr=False)
    """Where `clayout.py` remembers what it computed: it is asked for every element of a list."""

    @property
    def name(self) -> str:
        """The canonical name: its fields in their order, since that is what lies in memory."""
        return f"record[{self.title}{{{','.join(f'{f.name}:{f.kind.name}' for f in self.fields)}}}]"

    def make(self, values: list[object]) -> object:
        """An instance. ValueError with the class's own words if its `__post_init__` refuses the values."""
        try:
            return self.cls(**{f.name: value for f, value in zip(self.fields, values, strict=True)})
        except Exception as e:
            raise ValueError(f"{self.title} refuses its fields: {type(e).__name__}: {e}") from e


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list[element]`: the elements one after the other, with their number."""

    element: Scalar | Text | Enumeration | Record

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"list[{self.element.name}]"

    @property
    def c(self) -> str:
        """The C type. A list of records has one of its contract's own: `cdecl.py` knows it."""
        return f"lb_list_{self.suffix}"

    @property
    def suffix(self) -> str:
        """What the C type ends with."""
        if isinstance(self.element, Enumeration):
            return INT32.suffix
        return self.element.suffix if isinstance(self.element, Scalar) else "str"


@dataclass(frozen=True, slots=True)
class OptionalOf:
    """`T | None`: in C a flag and a value; a handle that may be missing is a null pointer."""

    element: Scalar | Text | Bytes | Enumeration | Record | ListOf | HandleTo

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"optional[{self.element.name}]"


@dataclass(frozen=True, slots=True)
class HandleTo:
    """A result that is itself something to call: an opaque pointer, with the methods of another contract."""

    contract: Contract

    @property
    def name(self) -> str:
        """The canonical name: id and what breaks compatibility. The methods are entries of the note themselves."""
        version = self.contract.version
        return f"handle[{self.contract.id}@{version.major or f'0.{version.minor}'}]"


@dataclass(frozen=True, slots=True)
class IteratorOf:
    """`Iterator[item]`: a result that is pulled one item at a time; an opaque pointer in C."""

    item: DataKind

    @property
    def name(self) -> str:
        """The canonical name."""
        return f"iterator[{self.item.name}]"


@dataclass(frozen=True, slots=True)
class Nothing:
    """`None`: the result of a method that has none."""

    name: str = "none"


DataKind: TypeAlias = Scalar | Text | Bytes | Enumeration | Record | ListOf | OptionalOf
"""What a value can be: parameters, fields, items. (An OptionalOf a handle is a result only.)"""

Kind: TypeAlias = DataKind
"""What a parameter can be."""

ResultKind: TypeAlias = DataKind | HandleTo | IteratorOf | Nothing
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


def handle_in(kind: ResultKind) -> HandleTo | None:
    """The handle that a result is, or may be; None for any other kind."""
    if isinstance(kind, OptionalOf) and isinstance(kind.element, HandleTo):
        return kind.element
    return kind if isinstance(kind, HandleTo) else None
