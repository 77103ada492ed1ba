"""The record of a kept plan: what a `PreparedPlan` says besides its packed block, as bytes (src/core/kept.h).

Written here, once for each plan; read by the core, at every load.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from latebind._core import prepared
from latebind.elf.file import FileIdentity
from latebind.linkplan.prepared import PreparedObject, PreparedPlan
from latebind.linkplan.roles import Role

if TYPE_CHECKING:
    from latebind._core import FileMapping

MAKERS: Final = (PreparedPlan, PreparedObject, FileIdentity, tuple(Role))
"""What the core makes a plan of."""

_HEADER: Final = struct.Struct("<4I")
_OBJECT: Final = struct.Struct("<4q8I")
_NUMBERS: Final = {role: number for number, role in enumerate(Role)}
_NO_IDENTITY: Final = FileIdentity(0, 0, 0, 0)
_PRESENT, _GIVES_TLS, _NODELETE, _HAS_IDENTITY = 1, 2, 4, 8


def write_record(plan: PreparedPlan) -> bytes:
    """The record of `plan`. Raises ValueError for a number that is no object's index."""
    try:
        parts = [_HEADER.pack(len(plan.objects), len(plan.scope), len(plan.init_order), plan.closure_size)]
        parts += [_numbers(plan.scope), _numbers(plan.init_order), *map(_object, plan.objects)]
    except struct.error as e:
        raise ValueError(f"a plan with a number that is no index: {e}") from e
    return b"".join(parts)


def read_record(record: memoryview | bytes, packed: memoryview | bytes | FileMapping) -> PreparedPlan:
    """The plan of a record and of its packed block. Raises ValueError, saying what is wrong with the record."""
    return prepared(record, packed, MAKERS)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _object(item: PreparedObject) -> bytes:
    name, path, uniques = _text(item.name), _text(item.path), [_text(name) for _, name in item.unique]
    flags = item.present * _PRESENT | item.gives_tls * _GIVES_TLS | item.nodelete * _NODELETE
    flags |= (item.identity is not None) * _HAS_IDENTITY
    sizes = len(name), len(path), len(item.needs), len(item.holds), len(uniques), 0
    pairs = [number for (owner, _), name in zip(item.unique, uniques, strict=True) for number in (owner, len(name))]
    fixed = _OBJECT.pack(*(item.identity or _NO_IDENTITY), _NUMBERS[item.role], flags, *sizes)
    return b"".join([fixed, name, path, _numbers(item.needs), _numbers(item.holds), _numbers(tuple(pairs)), *uniques])
