"""What differs between machines when objects are linked: what a static relocation asks for, and a few bits of code.

A rule says which of the generic computations a relocation type is, and in which form the value is written. The names
are the psABIs': S is the symbol, A the addend, P the place, L the symbol's PLT entry, G its slot in the GOT, Z its
size, and B the address at which the result is loaded. x86_64.py and aarch64.py hold a `Target` each,
targets.py has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Compute(Enum):
    """What a relocation's value is."""

    NOTHING = auto()
    ABSOLUTE = auto()  # B + S + A
    RELATIVE = auto()  # S + A - P
    CALL = auto()  # L + A - P
    SLOT = auto()  # G + A - P: the slot holds the symbol's address
    SLOT_FROM_GOT = auto()  # G + A - GOT
    FROM_GOT = auto()  # S + A - GOT
    CALL_FROM_GOT = auto()  # L + A - GOT
    GOT = auto()  # GOT + A - P
    SIZE = auto()  # Z + A
    TLS_PAIR = auto()  # G + A - P: two slots, module and offset (general dynamic)
    TLS_MODULE = auto()  # the same with the own module and 0 (local dynamic)
    TLS_OFFSET = auto()  # S + A in its block
    TLS_SLOT = auto()  # G + A - P: the slot holds the offset from the thread pointer (initial exec)
    TLS_STATIC = auto()  # S + A from the thread pointer, in the code itself (local exec)
    TLS_DESCRIPTOR = auto()  # G + A - P: two slots, a function and its argument


class Form(Enum):
    """How a value is written. All but the first are fields of fixed-width instructions."""

    WORD = auto()  # little-endian bytes
    PAGE = auto()  # the distance in pages of 4 KiB, in an adrp
    NEAR = auto()  # the distance in bytes, in an adr
    LOW = auto()  # the low 12 bits of the target, not of the distance
    GOT_LOW = auto()  # the distance from the page where the GOT starts
    JUMP_26 = auto()  # the distance in instructions: b, bl
    JUMP_19 = auto()  # conditional branches, and loads of literals
    JUMP_14 = auto()  # tbz, tbnz


class Rule(NamedTuple):
    """One relocation type. `signed` None: any value of that many bits will do. `scale`: LOW counts in 1 << scale."""

    name: str
    compute: Compute
    width: int
    signed: bool | None = True
    form: Form = Form.WORD
    scale: int = 0


class Code(NamedTuple):
    """Code of the linker's own. `references` are (offset, relocation type, symbol)."""

    code: bytes
    references: tuple[tuple[int, int, str], ...]


HANDLE: Final = "__dso_handle"
"""The symbol whose address names an object: whose destructors are meant (Itanium C++ ABI, 3.3.5)."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic relocation types that the result contains; widths in bytes."""

    absolute: int
    relative: int
    irelative: int
    slot: int
    tls_module: int
    tls_offset: int
    tls_static: dict[int, int]
    tls_descriptor: int
    relative_to_place: dict[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """A machine. `page` is what its segments are aligned to, in bytes.

    `entry` is a PLT entry's code; `fill_entry` puts into the one at an offset the way from its address to a slot's.
    `own_addend` is the addend of references in `finalize` and `libc_parts`.

    `finalize` is what crtbegin.o brings into a library that a compiler links: destructors that were registered for
    this object run when it is unloaded. `libc_parts` is what glibc keeps in libc_nonshared.a, which every shared object
    gets a copy of: it tells whose the functions are. .init and .fini are one function each, made of pieces;
    `pieces_start` and `pieces_end` are its ends, which crti.o and crtn.o bring, and `no_operation` fills gaps.

    `is_call` tells whether four bytes are the target of a call or a jump, so that a PLT entry will do, where the
    relocation type does not say so.
    """

    number: int
    page: int
    rules: dict[int, Rule]
    dynamic: Dynamic
    entry: bytes
    fill_entry: Callable[[bytearray, int, int, int], None]
    own_addend: int
    finalize: Code
    libc_parts: dict[str, Code]
    pieces_start: bytes
    pieces_end: bytes
    no_operation: bytes
    is_call: Callable[[bytes | bytearray, int], bool]
