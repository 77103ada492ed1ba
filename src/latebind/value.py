"""Small immutable values for the modules that every command imports.

A `Value` is what a frozen, slotted dataclass is. It exists because importing `dataclasses` takes longer than a whole
`latebind deps /bin/ls` (it imports `inspect`, `ast` and `re`); where start-up does not count, a dataclass it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Self


assign = object.__setattr__
"""Sets a field all the same: for the constructor of a value that is made so often that `Value._set` is too slow."""


class Value:
    """A frozen value: its fields are its `__slots__`, named and ordered as its constructor's parameters."""

    __slots__: tuple[str, ...] = ()

    def _set(self, *values: object) -> None:
        """Give the fields their values, in order; for constructors."""
        for name, value in zip(self.__slots__, values, strict=True):
            assign(self, name, value)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__slots__])

    def replaced(self, **changes: object) -> Self:
        """The same value with some fields changed."""
        return type(self)(**{**dict(zip(self.__slots__, self._values(), strict=True)), **changes})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self._values())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")


def _made_again(kind: type[Value], values: tuple[object, ...]) -> Value:
    """What `pickle` and `copy` call."""
    value = kind.__new__(kind)
    value._set(*values)  # noqa: SLF001  (this is its constructor)
    return value
