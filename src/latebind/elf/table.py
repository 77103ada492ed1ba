"""Long tables of small records, kept as columns: what `Elf.symbols` and `Elf.relocations` are.

A library has tens of thousands of symbols and hundreds of thousands of relocations. As one object each they cost
more memory than the file, and Python's garbage collector walks over all of them again and again while they are made.
Kept as columns of plain numbers they cost what they cost in the file; a record is made when it is looked at.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar, cast, overload

Record = TypeVar("Record", bound=tuple[Any, ...])


class Table(Sequence[Record]):
    """An immutable sequence of `record` (a named tuple class) over `columns`, one for each of its fields."""

    __slots__ = ("_columns", "_make", "_record")

    def __init__(self, record: type[Record], columns: tuple[Sequence[Any], ...]) -> None:
        self._record = record
        self._columns = columns
        # What `record._make` does, without a frame of Python code for each record.
        self._make = cast("Callable[[Iterable[Any]], Record]", partial(tuple.__new__, record))

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Record]:
        return map(self._make, zip(*self._columns, strict=True))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Table[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Table[Record]:
        if isinstance(index, slice):
            return Table(self._record, tuple(column[index] for column in self._columns))
        return self._make([column[index] for column in self._columns])

    def __add__(self, other: Table[Record]) -> Table[Record]:
        if not len(self):
            return other
        return self if not len(other) else joined(self._record, (self, other))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Table, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<Table of {len(self)} {self._record.__name__}>"

    def column(self, field: str) -> Sequence[Any]:
        """All values of one field, as ``symbols.column("name")``: the quickest way to look for something."""
        fields: tuple[str, ...] = self._record._fields  # type: ignore[attr-defined]  # every named tuple has them
        return self._columns[fields.index(field)]


def joined(record: type[Record], tables: Sequence[Table[Record]]) -> Table[Record]:
    """`tables` one after the other as one table."""
    if len(tables) == 1:
        return tables[0]
    if not tables:
        width = len(record._fields)  # type: ignore[attr-defined]  # every named tuple has them
        return Table(record, ((),) * width)
    columns = zip(*(t._columns for t in tables), strict=True)  # noqa: SLF001  (tables know each other)
    return Table(record, tuple(_concatenated(parts) for parts in columns))


def _concatenated(parts: tuple[Sequence[Any], ...]) -> Sequence[Any]:
    """One column; an array where all parts are arrays of one kind, because that is the smallest."""
    if all(isinstance(part, array) for part in parts) and len({part.typecode for part in parts}) == 1:  # type: ignore[attr-defined]  # arrays have one
        total = array(parts[0].typecode)  # type: ignore[attr-defined]  # arrays have one
        for part in parts:
            total.extend(part)
        return total
    return list(chain.from_iterable(parts))
