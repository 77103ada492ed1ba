"""A contract with every kind of type, and names that are words of one language or another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Protocol

import latebind
from latebind import Float32, Int8, Int16, UInt64


class Order(Enum):
    """An enumeration of texts: numbered from 0."""

    AS_FOUND = "found"
    BY_LENGTH = "length"


class Level(IntEnum):
    """An enumeration of numbers: they are kept."""

    LOW = -5
    HIGH = 1 << 30


@dataclass
class Token:
    """One token and where it begins."""

    text: str
    start: int = 0


@dataclass(frozen=True)
class Everything:
    """A record of everything."""

    tiny: Int8
    text: str
    token: Token
    data: bytes
    numbers: list[Int16]
    words: list[str]
    tokens: list[Token]
    orders: list[Order]
    order: Order = Order.BY_LENGTH
    level: Level = Level.LOW
    score: Float32 | None = None
    inner: Token | None = None
    many: list[Token] | None = None
    flags: list[bool] = field(default_factory=list)


@dataclass
class Context:
    """Has the name of a type that plugins in C++ and Rust know as another one, and keywords for its fields."""

    match: int
    delete: bool


@latebind.contract("test.cursor", version="0.2.0")
class Cursor(latebind.Handle, Protocol):
    """A handle that a handle answers."""

    def position(self) -> int: ...


@latebind.contract("test.counter", version="1.0.0")
class Counter(latebind.Handle, Protocol):
    """A handle."""

    def feed(self, text: str) -> int:
        """Number of tokens in `text`."""
        ...

    def words(self) -> Iterator[Token]: ...

    def disclose(self) -> None:
        """Its name ends as that of what closes it."""
        ...

    def cursor(self) -> Cursor | None: ...


@latebind.contract("test.kinds", version="1.2.0")
class Kinds(Protocol):
    r"""Has "quotes", a back\slash and the end of a comment */ within."""

    def nothing(self) -> None: ...

    @latebind.quick
    def numbers(self, a: bool, b: Int8, c: UInt64, d: Float32, e: float, f: int = -1) -> float:  # noqa: FBT001
        """Many a number, "quoted".

        And another line \\.
        """
        ...

    def text(self, text: str, class_: str = 'a"b\n{}%s@ID@', *, theData: bytes = b"\0") -> str: ...  # noqa: N803

    def data(self, self_: bytes, fn: Level = Level.HIGH) -> bytes: ...

    def lists(
        self,
        some: list[int],
        truths: list[bool],
        words: list[str],
        orders: list[Order],
        tokens: list[Token],
        records: list[Everything],
    ) -> list[Everything]: ...

    def texts(self, texts: list[str] | None = None) -> list[str]: ...

    def record(
        self,
        everything: Everything,
        order: Order = Order.AS_FOUND,
        far: float = float("inf"),
        token: Token = Token("x"),  # noqa: B008
    ) -> Everything: ...

    def maybe(
        self,
        number: int | None,
        text: str | None,
        data: bytes | None,
        order: Order | None,
        token: Token | None,
        tokens: list[Token] | None,
        numbers: list[Float32] | None = None,
    ) -> Token | None: ...

    def context(self, this: Context, crate: list[Context] | None = None) -> Context: ...

    def counter(self, start: int = 0) -> Counter: ...

    def cursor(self) -> Cursor | None: ...

    def words(self, text: str) -> Iterator[str]: ...

    def orders(self) -> Iterator[Order]: ...

    def records(self) -> Iterator[Everything]: ...

    def perhaps(self) -> Iterator[int | None]: ...

    def first(self, text: str, order: Order = Order.AS_FOUND) -> Token | None:
        """A plugin may leave this out."""
        return Token(text, int(order is Order.BY_LENGTH))

    def more(self, text: str) -> Iterator[str]:
        """And this."""
        return self.words(text)


@latebind.contract("test.other", version="1.0.0")
class Other(Protocol):
    """Has one method that `Kinds` has as well, and one of its own."""

    def nothing(self) -> None: ...

    def shorten(self, token: Token) -> Token: ...


@latebind.contract("test.clash", version="1.0.0")
class Clash(Protocol):
    """Has a method that `Kinds` has with another type, and the same handle."""

    def nothing(self) -> int: ...


@latebind.contract("test.opener", version="1.0.0")
class Opener(Protocol):
    """Answers a handle that `Kinds` answers, too."""

    def cursor_of(self, text: str) -> Cursor: ...


@latebind.contract("test.log", version="1.0.0")
class HostLog(Protocol):
    """A service."""

    def info(self, text: str, token: Token | None = None) -> None: ...


@latebind.contract("test.empty", version="1.0.0")
class Empty(Protocol):
    """Has no method."""


class NoContract:
    """Only a class."""
