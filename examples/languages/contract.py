"""A contract that uses what there is: an enum, a dataclass, an optional value, a handle, an iterator."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from latebind import Handle, contract


class Order(Enum):
    """How tokens are sorted."""

    AS_FOUND = 0
    BY_LENGTH = 1


@dataclass
class Token:
    """One token and where it begins."""

    text: str
    start: int


@contract("acme.counter", version="1.0.0")
class Counter(Handle, Protocol):
    """Counts over several texts."""

    def feed(self, text: str) -> int:
        """Number of tokens in `text`."""
        ...

    def total(self) -> int:
        """Number of tokens in all texts so far."""
        ...


@contract("acme.text", version="1.0.0")
class Text(Protocol):
    """Splits text into tokens: runs of anything but spaces."""

    def split(self, text: str, order: Order = Order.AS_FOUND, limit: int | None = None) -> list[Token]:
        """The tokens of `text`, at most `limit` of them."""
        ...

    def longest(self, tokens: list[Token]) -> Token | None:
        """The longest of them, the first of several."""
        ...

    def words(self, text: str) -> Iterator[str]:
        """The tokens one at a time."""
        ...

    def counter(self, start: int = 0) -> Counter:
        """A counter that begins with `start`. It must not be negative."""
        ...


@contract("host.logger", version="1.0.0")
class Logger(Protocol):
    """Writes lines for the operator."""

    def info(self, text: str) -> None:
        """Write one line."""
        ...
