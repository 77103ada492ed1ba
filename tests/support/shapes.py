"""Random shapes of structures and unions as C text, and random values for them."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

from latebind.ffi import Kind
from latebind.ffi.values import class_of

if TYPE_CHECKING:
    from latebind.ffi import CType
    from latebind.ffi.ctype import Field, Record

SCALARS: tuple[str, ...] = (
    "char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long", "unsigned long",
    "float", "float", "float", "double", "double", "_Bool", "void *", "long double", "float _Complex",
    "double _Complex", "__int128",
)  # fmt: skip
VECTORS = {"v4f": ("float", 16), "v2f": ("float", 8), "v2d": ("double", 16), "v16c": ("signed char", 16)}
TYPEDEFS = "".join(
    f"typedef {element} {name} __attribute__((vector_size({size})));\n" for name, (element, size) in VECTORS.items()
)
"""What stands before shapes with attributes."""
BIT_FIELDS = ("int", "unsigned", "short", "unsigned char", "long", "unsigned long", "_Bool")


class Shapes:
    """Makes shapes from a seed: the same ones each time; `attributes` also packed and aligned ones, and vectors."""

    def __init__(self, seed: int, *, attributes: bool = False) -> None:
        self.dice = random.Random(seed)
        self.attributes = attributes
        self.scalars = SCALARS + tuple(VECTORS) if attributes else SCALARS

    def record(self, name: str, depth: int = 0) -> str:
        """The description of a structure, or now and then a union, called `name`."""
        dice = self.dice
        kind = "union" if dice.random() < (0.3 if depth else 0.15) else "struct"
        members = "".join(self._member(f"m{number}", depth) for number in range(dice.choice((1, 1, 2, 2, 3, 3, 4, 6))))
        attribute = self._attribute("packed", "aligned(8)", "packed, aligned(4)", "aligned(32)")
        return f"{kind} {attribute}{name} {{ {members}}}"

    def _attribute(self, *choices: str) -> str:
        """Now and then one of them."""
        if not self.attributes or self.dice.random() < 0.8:
            return ""
        return f"__attribute__(({self.dice.choice(choices)})) "

    def _member(self, name: str, depth: int) -> str:
        dice = self.dice
        luck = dice.random()
        behind = self._attribute("packed", "aligned(2)", "aligned(16)", "packed, aligned(2)")
        if luck < 0.12:
            type_ = dice.choice(BIT_FIELDS)
            most = {"_Bool": 1, "unsigned char": 8, "short": 16, "long": 64, "unsigned long": 64}.get(type_, 32)
            gap = dice.choice(("", "", "", "int : 0; "))
            return f"{gap}{type_} {name} : {dice.randint(1, most)} {behind}; "
        if luck < 0.22 and depth < 2:
            return f"{self.record('', depth + 1)} {name} {behind}; "
        if luck < 0.27 and depth < 2:  # anonymous
            inner = self.record("", depth + 1).replace(" m", f" {name}_m").replace("*m", f"*{name}_m")
            return f"{inner}; "
        bound = f"[{dice.randint(1, 3)}]" if luck < 0.42 else ""
        type_ = dice.choice(self.scalars)
        return f"{type_}{'' if type_.endswith('*') else ' '}{name}{bound} {behind}; "


def random_value(dice: random.Random, type_: CType, width: int = 0) -> Any:
    """A value that `type_`, or a bit-field of it, can hold and that compares equal to itself."""
    made: Any = dice.randint(1, 2**48)  # an address
    if type_.record is not None:
        made = class_of(type_)()
        fill_record(dice, type_.record, made)
    elif type_.kind in {Kind.ARRAY, Kind.VECTOR} and type_.target is not None:
        made = [random_value(dice, type_.target) for _ in range(type_.length or 0)]
    elif type_.kind is Kind.BOOL:
        made = dice.random() < 0.5
    elif type_.kind is Kind.INTEGER:
        bits = width or type_.size * 8
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if type_.signed else (0, (1 << bits) - 1)
        made = dice.choice((low, high, 0, dice.randint(low, high), dice.randint(low, high)))
    elif type_.kind is Kind.FLOATING:
        made = dice.choice((0.0, -1.5, dice.uniform(-1e6, 1e6), dice.uniform(-1, 1)))
        made = made if type_.size != 4 else struct.unpack("f", struct.pack("f", made))[0]
    elif type_.kind is Kind.COMPLEX:
        made = complex(*(dice.randint(-1000, 1000) / 8 for _ in range(2)))
    return made


def fill_record(dice: random.Random, record: Record, value: Any) -> None:
    """Random values for every field; of a union only for the widest, which leaves no byte of it undefined."""
    fields = record.fields or ()
    if record.is_union:
        fields = (max(fields, key=lambda f: f.width or f.type.bytes * 8),)
    for field in (f for f in fields if f.name is not None or not f.width):
        _fill_field(dice, field, value)


def _fill_field(dice: random.Random, field: Field, value: Any) -> None:
    if field.name is None:
        assert field.type.record is not None
        fill_record(dice, field.type.record, value)  # its fields are reached through the outer value
    else:
        setattr(value, field.name, random_value(dice, field.type, field.width))


def same(type_: CType, one: Any, other: Any) -> bool:
    """Whether two values agree in every field (padding is nobody's business; of a union, in its widest member)."""
    if type_.kind is not Kind.RECORD:
        if not _plain(type_):
            return all(same(type_.target, a, b) for a, b in zip(one, other, strict=True) if type_.target is not None)
        return bool(list(one) == list(other) if type_.kind in {Kind.ARRAY, Kind.VECTOR} else one == other)
    assert type_.record is not None
    fields = type_.record.fields or ()
    if type_.record.is_union:
        fields = (max(fields, key=lambda f: f.width or f.type.bytes * 8),)
    return all(
        same(f.type, one, other) if f.name is None else same(f.type, getattr(one, f.name), getattr(other, f.name))
        for f in fields
    )


def _plain(type_: CType) -> bool:
    return type_.kind is not Kind.ARRAY or (type_.target is not None and type_.target.kind is not Kind.RECORD)
