"""Values of C in Python: structures, unions, arrays, and numbers for a pointer to point to.

A value is memory (`_core.Memory`) with a class that knows what lies where. A structure's fields are attributes, and
nothing else is, so that no field's name can collide; what can be done with a value is a function of this module. What a
pointer in it was given (text, a buffer, another value, a Python function) is kept as long as the memory is.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, overload

from latebind import _core
from latebind.ffi.ctype import CType, Field, Kind, Record, array_spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latebind.ffi.declaration import Declarations

V = TypeVar("V", bound=_core.Memory)
_SCALARS: Final = frozenset({Kind.BOOL, Kind.INTEGER, Kind.FLOATING, Kind.COMPLEX})
_SEQUENCES: Final = frozenset({Kind.ARRAY, Kind.VECTOR})
_AGGREGATES: Final = _SEQUENCES | {Kind.RECORD}
_SHOWN: Final = 8  # elements of an array


class Struct(_core.Memory):
    """The base of the classes of structures and unions, whose fields are attributes.

    Made from its fields' values, in order or by name; those left out are zero. Two are equal if they are of one type
    and so are their fields.
    """

    __slots__ = ()
    _size_: ClassVar[int] = 0
    _fields_: ClassVar[tuple[str, ...]] = ()
    _record_: ClassVar[Record]

    def __init__(self, *values: Any, **named: Any) -> None:
        if len(values) > len(self._fields_):
            raise TypeError(f"{self._record_.spelling} has {len(self._fields_)} fields, not {len(values)}")
        for name, value in zip(self._fields_, values, strict=False):
            setattr(self, name, value)
        for name, value in named.items():
            if name not in self._fields_ or name in self._fields_[: len(values)]:
                what = "was given twice" if name in self._fields_ else "is no field"
                raise TypeError(f"{self._record_.spelling}: {name} {what}")
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct) or self._record_ is not other._record_:
            return NotImplemented
        if self._record_.is_union:
            return bytes(memoryview(self)) == bytes(memoryview(other))
        return all(getattr(self, name) == getattr(other, name) for name in self._fields_)

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields_)
        return f"{type(self).__name__}({inside})"


class Array(_core.Memory):
    """The base of the classes of arrays and vectors: a sequence of fixed length. `text` is its chars up to the NUL."""

    __slots__ = ()
    _size_: ClassVar[int] = 0
    _length_: ClassVar[int] = 0
    _element_: ClassVar[CType]

    def __init__(self, values: Sequence[Any] | bytes | str = ()) -> None:
        fill(self, values)

    def __len__(self) -> int:
        return self._length_

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length_))]
        return read_member(self, self._element_, self._place(index))

    def __setitem__(self, index: int, value: Any) -> None:
        write_member(self, self._element_, self._place(index), value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._length_))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Array | list | tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can change

    def _place(self, index: int) -> int:
        position = index + self._length_ if index < 0 else index
        if not 0 <= position < self._length_:
            raise IndexError(f"element {index} of {self._length_}")
        return position * self._element_.bytes

    @property
    def text(self) -> bytes:
        """The bytes before the first zero byte, or all."""
        return bytes(memoryview(self)).partition(b"\0")[0]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN])) + (", …" if self._length_ > _SHOWN else "")
        return f"<{array_spelling(self._element_, self._length_)}: {shown}>"


class Box(_core.Memory):
    """The base of the classes of single numbers and pointers in memory: `value` is what it holds."""

    __slots__ = ()
    _size_: ClassVar[int] = 0
    _type_: ClassVar[CType]

    def __init__(self, value: Any = None) -> None:
        if value is not None:
            self.value = value

    @property
    def value(self) -> Any:
        """What the memory holds now."""
        return read_member(self, self._type_, 0)

    @value.setter
    def value(self, value: Any) -> None:
        write_member(self, self._type_, 0, value)

    def __repr__(self) -> str:
        return f"<{self._type_.spelling}: {self.value!r}>"


# classes ----------------------------------------------------------------------------------------------------------


def record_class(record: Record) -> type[Struct]:
    """The class of a structure's or union's values; always the same one. Raises ValueError if nobody described it."""
    if record.python is None:
        if record.fields is None:
            raise ValueError(f"{record.spelling} is not described here")
        name = record.spelling.rpartition(" ")[2]
        named: dict[str, Any] = {}
        order: list[str] = []
        _collect(record.fields, 0, named, order)
        body = {"__slots__": (), "_size_": record.size, "_fields_": tuple(order), "_record_": record, **named}
        record.python = type(name, (Struct,), body)
    made: type[Struct] = record.python
    return made


def _collect(fields: Sequence[Field], offset: int, named: dict[str, Any], order: list[str]) -> None:
    """Descriptors for `fields`, those of anonymous records among them."""
    for field in fields:
        inner = field.type.record
        if field.name is None and inner is not None:
            _collect(inner.fields or (), offset + field.offset, named, order)
        elif field.name is not None:
            named[field.name] = _descriptor(field, offset)
            order.append(field.name)


def _descriptor(field: Field, offset: int) -> Any:
    if field.type.kind in _SCALARS:
        return _core.Member(_op(field.type), offset + field.offset, field.type, field.shift, field.width)
    return _Member(field.type, offset + field.offset)


class _Member:
    """A pointer, record or array in a record."""

    __slots__ = ("offset", "type")

    def __init__(self, type_: CType, offset: int) -> None:
        self.type = type_
        self.offset = offset

    def __get__(self, instance: Struct | None, owner: type[Struct]) -> Any:
        return self if instance is None else read_member(instance, self.type, self.offset)

    def __set__(self, instance: Struct, value: Any) -> None:
        write_member(instance, self.type, self.offset, value)


@functools.lru_cache(maxsize=4096)
def _class_of(type_: CType, identity: int, length: int) -> type[Any]:
    del identity  # records of one spelling are different types
    if type_.kind in _SEQUENCES:
        element = type_.target
        assert element is not None
        body = {"__slots__": (), "_size_": length * element.bytes, "_length_": length, "_element_": element}
        return type("Array", (Array,), body)
    return type("Box", (Box,), {"__slots__": (), "_size_": type_.size, "_type_": type_})


def class_of(type_: CType, length: int | None = None) -> type[Any]:
    """The class of values of `type_`; `length` is that of an array which does not say its own."""
    if type_.kind is Kind.RECORD and type_.record is not None:
        return record_class(type_.record)
    if type_.kind in {Kind.VOID, Kind.FUNCTION}:
        raise ValueError(f"there is no value of {type_}")
    innermost: CType | None = type_
    while innermost is not None and innermost.record is None:
        innermost = innermost.target
    record = innermost.record if innermost is not None else None
    return _class_of(type_, id(record), length if length is not None else type_.length or 0)


def _op(type_: CType) -> int:
    from latebind.ffi.program import op_of  # late: it asks for the classes of records

    return op_of(type_)


# members ----------------------------------------------------------------------------------------------------------


def read_member(memory: _core.Memory, type_: CType, offset: int) -> Any:
    """The value of `type_` at `offset` bytes into `memory`: a record or array as a view of it, all else as it is."""
    if type_.kind in _AGGREGATES:
        return _core.memory_part(class_of(type_), memory, offset, type_.bytes)
    return _core.memory_load(memory, _op(type_), offset, None)


def write_member(memory: _core.Memory, type_: CType, offset: int, value: Any) -> None:
    """Store `value` there. Raises TypeError, ValueError and OverflowError, as a call does for an argument."""
    if type_.kind in _AGGREGATES:
        fill(_core.memory_part(class_of(type_), memory, offset, type_.bytes), value)
    elif type_.kind in {Kind.POINTER, Kind.TEXT}:
        from latebind.ffi.convert import stored

        address, keep = stored(type_, value)
        _core.memory_store(memory, _op(type_), offset, type_, address)
        _core.memory_keep(memory, _core.memory_address(memory) + offset, keep)
    else:
        _core.memory_store(memory, _op(type_), offset, type_, value)


def fill(memory: Any, value: Any) -> None:
    """Let a record or array be what `value` is: another of its type, its fields (a dict or tuple), or its elements."""
    if isinstance(value, type(memory)):
        _core.memory_copy(memory, value)
    elif isinstance(memory, Struct):
        if isinstance(value, dict):
            made = type(memory)(**value)
        elif isinstance(value, tuple | list):
            made = type(memory)(*value)
        else:
            raise TypeError(f"expected a {memory._record_.spelling}, not {type(value).__name__}")
        _core.memory_copy(memory, made)
    else:
        _fill_array(memory, value)


def _fill_array(array: Array, value: Any) -> None:
    element = array._element_
    if isinstance(value, str) and element.size == 1:
        value = value.encode()
    if isinstance(value, bytes | bytearray) and element.size == 1:
        if len(value) > len(array):
            raise ValueError(f"{len(value)} bytes do not fit into {len(array)}")
        memoryview(array)[: len(value)] = value
        return
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise TypeError(f"expected a sequence for {element.spelling}[{len(array)}], not {type(value).__name__}")
    if len(value) > len(array):
        raise ValueError(f"{len(value)} elements do not fit into {len(array)}")
    for index, item in enumerate(value):
        array[index] = item


# what users do with values ----------------------------------------------------------------------------------------


def new(type_: str | CType, value: Any = None, *, types: Declarations | None = None) -> Any:
    """A value of a C type in memory of its own, zero unless `value` says otherwise; what a pointer can point to.

    `new("int")` has a `value`; `new("double[3]")`, `new("char[]", "text")` and `new("int[]", [1, 2])` are arrays;
    `new("struct point", (1, 2), types=header)` is a structure. Raises ValueError, TypeError and OverflowError.
    """
    from latebind.ffi.prototype import parse_type

    made = parse_type(type_, types) if isinstance(type_, str) else type_
    if made.kind is Kind.ARRAY and made.length is None:
        if value is None:
            raise ValueError(f"how long shall {made} be? give its elements")
        length = len(value.encode() if isinstance(value, str) else value)
        length += isinstance(value, str | bytes)  # a text and its NUL, as in C
        return class_of(made, length)(value)
    class_ = class_of(made)
    if value is None:
        return class_()
    if made.kind is Kind.RECORD:
        result = class_()
        fill(result, value)
        return result
    return class_(value)


def at(type_: type[V] | CType | str, address: int, keep: object = None, *, types: Declarations | None = None) -> V:
    """The value that lies at an address, for reading and writing. Nothing checks that the memory is there.

    `type_` is a class of a header, or a C type; `keep` is an object that the memory belongs to. Raises ValueError for
    address 0.
    """
    class_ = _class(type_, types)
    made: V = _core.memory_at(class_, address, class_._size_, keep)
    return made


def view(type_: type[V] | CType | str, buffer: Any, offset: int = 0, *, types: Declarations | None = None) -> V:
    """The value that lies in a buffer, without a copy; read-only where that is. Raises ValueError if it is short."""
    class_ = _class(type_, types)
    made: V = _core.memory_view(class_, buffer, offset, class_._size_)
    return made


def _class(type_: Any, types: Declarations | None) -> Any:
    if isinstance(type_, type):
        return type_
    from latebind.ffi.prototype import parse_type

    return class_of(parse_type(type_, types) if isinstance(type_, str) else type_)


@functools.lru_cache(maxsize=256)
def reader(type_: str | CType) -> Callable[[int], Any]:
    """A function from an address to the number, truth value or pointer there, of a C type; `char *` as bytes.

    Nothing checks the address but for 0, which raises ValueError.
    """
    from latebind.ffi.prototype import parse_type

    return _core.reader(_op(parse_type(type_) if isinstance(type_, str) else type_))


def address_of(value: Any) -> int:
    """Where a value of this module, a bound function or a callback is. It is good as long as the value is."""
    if isinstance(value, _core.Memory):
        return _core.memory_address(value)
    address = getattr(value, "address", None)
    if not isinstance(address, int):
        raise TypeError(f"{type(value).__name__} has no address")
    return address


def size_of(value: Any, *, types: Declarations | None = None) -> int:
    """The bytes of a value, of a class, or of a C type."""
    if isinstance(value, _core.Memory):
        return _core.memory_size(value)
    if isinstance(value, str | CType):
        from latebind.ffi.prototype import parse_type

        return (parse_type(value, types) if isinstance(value, str) else value).bytes
    size: int = value._size_
    return size
