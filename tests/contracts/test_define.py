"""`@contract`: what it reads from a Protocol class, and what it refuses with method and parameter."""
# Without `from __future__ import annotations`: the classes inside the tests refer to names that only they know.

import enum
from collections.abc import Iterator
from dataclasses import InitVar, dataclass
from dataclasses import field as dataclass_field
from typing import Annotated, Any, Optional, Protocol

import pytest

from latebind import ContractError
from latebind.contracts import Handle, Int32, Parameter, contract, contract_of, layout_digest, quick
from latebind.contracts.annotation import UnsupportedAnnotation, kind_of, result_kind_of
from latebind.contracts.types import (
    BOOL,
    INT32,
    INT64,
    Bytes,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Text,
)


@contract("acme.everything", version="2.1.0-rc.1")
class Everything(Protocol):
    """All there is."""

    def scalars(self, a: bool, b: Int32, c: float = 0.5) -> int:  # noqa: FBT001 - a type to be tested
        """Line one.

        Line two.
        """
        ...

    def texts(self, s: str, *, b: bytes = b"x") -> list[str]: ...

    @quick
    def numbers(self, n: list[Int32]) -> None:
        pass

    def twice(self, s: str) -> str:
        return s * 2


def test_the_model_holds_everything_that_the_class_says() -> None:
    found = contract_of(Everything)
    assert (found.id, str(found.version), found.name, found.doc) == (
        "acme.everything",
        "2.1.0-rc.1",
        "Everything",
        "All there is.",
    )
    scalars, texts, numbers, _ = found.methods
    assert [(p.name, p.kind) for p in scalars.parameters[:2]] == [("a", BOOL), ("b", INT32)]
    assert scalars.parameters[2].default == 0.5
    assert scalars.result == INT64
    assert scalars.doc == "Line one.\n\nLine two."
    assert texts.parameters[1] == Parameter("b", Bytes(), required=False, default=b"x", keyword_only=True)
    assert texts.result == ListOf(Text())
    assert numbers.parameters[0].kind == ListOf(INT32)
    assert numbers.result == Nothing()


def test_only_a_body_that_does_something_is_a_default_body() -> None:
    assert [m.name for m in contract_of(Everything).methods if m.body] == ["twice"]


def test_quick_is_a_mark_on_a_method() -> None:
    assert [m.name for m in contract_of(Everything).methods if m.quick] == ["numbers"]


def test_the_class_stays_usable_as_a_type() -> None:
    class Real:
        def twice(self, s: str) -> str:
            return s

    assert isinstance(Everything, type)
    assert Everything.twice(Real(), "a") == "aa"  # type: ignore[arg-type]


def test_methods_are_inherited_from_other_protocols() -> None:
    class Base(Protocol):
        def first(self) -> int: ...

    @contract("a.b", version="1.0.0")
    class Derived(Base, Protocol):
        def second(self) -> int: ...

    assert [m.name for m in contract_of(Derived).methods] == ["first", "second"]


def test_a_class_without_the_decorator_is_a_type_error() -> None:
    class Sub(Everything, Protocol): ...

    for other in (int, Sub, 3):
        with pytest.raises(TypeError, match="is not a contract"):
            contract_of(other)


@pytest.mark.parametrize(
    ("annotation", "what"),
    [(dict[str, int], "dict"), (Any, "Any"), (int | str, "a union is X"), (None | int | str, "a union is X"),
     (list, "list"),
     (list[bytes], "list of bytes"), (list[list[int]], r"list of list\[int64\]"), (object, "object"),
     (complex, "complex"),
     (Annotated[set[int], 3], "set"), (bytearray, "bytearray")],
)  # fmt: skip
def test_another_type_is_refused_with_method_and_parameter(annotation: object, what: str) -> None:
    def method(self: object, wrong: object) -> None: ...

    method.__annotations__["wrong"] = annotation
    cls = type("Wrong", (Protocol,), {"method": method, "_is_protocol": True})
    with pytest.raises(ContractError, match=what) as caught:
        contract("a.wrong", version="1.0.0")(cls)
    assert (caught.value.contract, caught.value.method, caught.value.parameter) == ("a.wrong", "method", "wrong")
    assert "supported are bool, int" in str(caught.value)


def refused(source: str) -> ContractError:
    """The error that defining a contract of this body raises."""
    names: dict[str, object] = {"Protocol": Protocol, "contract": contract, "Iterator": Iterator}
    body = "".join(f"    {line}\n" for line in source.splitlines())
    with pytest.raises(ContractError) as caught:
        exec(f"@contract('a.b', version='1.0.0')\nclass C(Protocol):\n{body}", names)  # noqa: S102 - our own text
    return caught.value


@pytest.mark.parametrize(
    ("source", "what", "method", "parameter"),
    [
        ("def m(self, *a: int) -> int: ...", "variable number", "m", "a"),
        ("def m(self, **a: int) -> int: ...", "variable number", "m", "a"),
        ("def m(self, a) -> int: ...", "has no type", "m", "a"),
        ("def m(self, a: int): ...", "result has no type", "m", None),
        ("def m(self) -> dict: ...", "the result: the type dict", "m", None),
        ("def m(self, a: None) -> int: ...", "not supported", "m", "a"),
        ("def m(self, a: 'Nope') -> int: ...", "unknown name Nope", "m", None),
        ("def m(self, a: int = 'x') -> int: ...", "default does not have its type", "m", "a"),
        ("def m(self, a: int = 1 << 63) -> int: ...", "outside of int64", "m", "a"),
        ("async def m(self) -> int: ...", "async", "m", None),
        ("def m() -> int: ...", "self first", "m", None),
        ("@property\ndef m(self) -> int: ...", "not a property", "m", None),
        ("@staticmethod\ndef m(a: int) -> int: ...", "not a staticmethod", "m", None),
        ("def _m(self) -> int: ...", "private", "_m", None),
        ("def größe(self) -> int: ...", "ASCII", "größe", None),
        ("x: int", "no attributes", "x", None),
    ],
)
def test_what_c_cannot_express_is_refused(source: str, what: str, method: str, parameter: str | None) -> None:
    error = refused(source)
    assert what in error.what
    assert (error.method, error.parameter) == (method, parameter)


@pytest.mark.parametrize("wrong", ["", "tokenizer", "Acme.x", "acme.", "a..b", "a.1b", "a-b.c"])
def test_an_id_is_lower_case_words_with_dots(wrong: str) -> None:
    class C(Protocol): ...

    with pytest.raises(ContractError, match="an id is"):
        contract(wrong, version="1.0.0")(C)


def test_a_contract_needs_a_version_and_a_protocol() -> None:
    class C(Protocol): ...

    class Plain: ...

    with pytest.raises(ContractError, match="not a version"):
        contract("a.b", version="1.0")(C)
    with pytest.raises(ContractError, match="not a Protocol"):
        contract("a.b", version="1.0.0")(Plain)


def test_the_digest_covers_names_and_types_and_nothing_else() -> None:
    def digest(source: str) -> str:
        names: dict[str, object] = {"Protocol": Protocol, "contract": contract}
        exec(f"@contract('a.b', version='1.0.0')\nclass C(Protocol):\n{source}", names)  # noqa: S102 - our own text
        return layout_digest(contract_of(names["C"]))

    base = digest("    def m(self, a: int) -> str: ...\n    def n(self) -> None: ...")
    assert base == digest("    def n(self) -> None: ...\n    def m(self, b: int = 3) -> str:\n        'Doc.'")
    assert base != digest("    def m(self, a: float) -> str: ...\n    def n(self) -> None: ...")
    assert base != digest("    def m(self, a: int) -> str: ...")
    assert base == "d40c734e0227091d", "the digest changed: plugins in the field would no longer be recognised"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = -1


@dataclass
class Point:
    """A place."""

    x: int
    y: Int32 = 0
    tags: list[str] = dataclass_field(default_factory=list)


def kind(annotation: object) -> Any:
    return kind_of(annotation)


def test_enums_are_numbered_unless_they_have_numbers() -> None:
    assert kind(Color).members == (("RED", 0), ("BLUE", 1))
    assert kind(Level).members == (("LOW", -1),)
    assert kind(Color).name == "enum[Color]"


def test_a_dataclass_is_its_fields() -> None:
    found = kind(Point)
    assert [(f.name, f.kind, f.required, f.default) for f in found.fields] == [
        ("x", INT64, True, None), ("y", INT32, False, 0), ("tags", ListOf(Text()), False, []),
    ]  # fmt: skip
    assert found.doc == "A place."
    assert found.name == "record[Point{x:int64,y:int32,tags:list[str]}]"


def test_optional_values_lists_and_iterators() -> None:
    assert kind(Optional[int]) == kind(int | None) == OptionalOf(INT64)  # noqa: UP045 - both spellings
    assert kind(list[Point]).element == kind(Point)
    assert kind(list[Color] | None).name == "optional[list[enum[Color]]]"
    assert result_kind_of(Iterator[Point]) == IteratorOf(kind(Point))
    assert result_kind_of(Everything) == HandleTo(contract_of(Everything))
    assert result_kind_of(Everything | None) == OptionalOf(HandleTo(contract_of(Everything)))


class Empty(enum.Enum):
    pass


class Combined(enum.Flag):
    A = 1


class Huge(enum.IntEnum):
    A = 1 << 31


class Foreign(enum.Enum):
    GRÖSSE = 1  # noqa: PLC2401 - that is the point


@dataclass
class Nobody:
    pass


@dataclass
class Endless:
    again: "list[Endless]"


@dataclass
class Hidden:
    _x: int


@dataclass
class Later:
    x: int = dataclass_field(init=False, default=0)


@dataclass
class Initial:
    x: InitVar[int]
    y: int


@dataclass
class Odd:
    x: set[int]


@dataclass
class Unknown:
    x: "Nope"  # type: ignore[name-defined]  # noqa: F821 - that is the point


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        (Empty, "has no members"), (Combined, "is a Flag"), (Huge, "does not fit 32 bits"),
        (Foreign, "Foreign.GRÖSSE: the name becomes a C name"), (Nobody, "has no fields"),
        (Endless, "Endless.again: the dataclass Endless contains itself"),
        (Hidden, "Hidden._x: the name becomes a C name"), (Later, "Later.x is not given to __init__"),
        (Initial, "has an InitVar"), (Odd, "Odd.x: the type set"), (Unknown, "the unknown name Nope"),
        (Everything, "the contract Everything can be a method's result"),
        (Iterator[int], "can be a method's result"), (list[int | None], r"a list of optional\[int64\]"),
        (list[Everything], "can be a method's result"),
    ],
)  # fmt: skip
def test_enums_and_dataclasses_that_c_cannot_have(annotation: object, what: str) -> None:
    with pytest.raises(UnsupportedAnnotation, match=what):
        kind_of(annotation)


def test_two_types_of_one_name_are_refused() -> None:
    other: Any = dataclass(type("Point", (), {"__annotations__": {"z": int}}))

    def method(self: object, a: Point, b: object) -> None: ...

    method.__annotations__["b"] = other
    cls = type("Wrong", (Protocol,), {"method": method, "_is_protocol": True})
    with pytest.raises(ContractError, match="two different types are called Point"):
        contract("a.wrong", version="1.0.0")(cls)


def test_two_functions_of_one_c_name_are_refused() -> None:
    assert "the C name a_b_lines_next would stand for two things" in str(
        refused("def lines(self) -> Iterator[str]: ...\ndef lines_next(self) -> str: ...")
    )


def test_the_close_of_a_handle_takes_nothing() -> None:
    @contract("a.handle", version="1.0.0")
    class Held(Protocol):
        def close(self, how: int) -> None: ...

    def method(self: object) -> object: ...

    method.__annotations__["return"] = Held
    cls = type("Opens", (Protocol,), {"method": method, "_is_protocol": True})
    with pytest.raises(ContractError, match="of a handle takes nothing and answers None"):
        contract("a.opens", version="1.0.0")(cls)


def test_with_is_for_handles_and_no_part_of_a_contract() -> None:
    @contract("a.handle", version="1.0.0")
    class Held(Handle, Protocol):
        def read(self) -> int: ...

    assert [m.name for m in contract_of(Held).methods] == ["read"]
