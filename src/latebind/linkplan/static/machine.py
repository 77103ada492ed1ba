"""What x86-64's static relocations ask for (System V psABI, AMD64 supplement, table 4.9), and its few bits of code.

S is the symbol, A the addend, P the place, L the symbol's PLT entry, G its slot in the GOT, Z its size, and B the
address at which the result is loaded. A rule says which of the generic computations a type is, and how wide.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple


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


class Rule(NamedTuple):
    """One relocation type. `signed` None: any value of that many bits will do."""

    name: str
    compute: Compute
    width: int
    signed: bool | None = True


RULES: Final = {
    0: Rule("R_X86_64_NONE", Compute.NOTHING, 0),
    1: Rule("R_X86_64_64", Compute.ABSOLUTE, 8, None),
    2: Rule("R_X86_64_PC32", Compute.RELATIVE, 4),
    4: Rule("R_X86_64_PLT32", Compute.CALL, 4),
    9: Rule("R_X86_64_GOTPCREL", Compute.SLOT, 4),
    10: Rule("R_X86_64_32", Compute.ABSOLUTE, 4, signed=False),
    11: Rule("R_X86_64_32S", Compute.ABSOLUTE, 4),
    12: Rule("R_X86_64_16", Compute.ABSOLUTE, 2, None),
    13: Rule("R_X86_64_PC16", Compute.RELATIVE, 2),
    14: Rule("R_X86_64_8", Compute.ABSOLUTE, 1, None),
    15: Rule("R_X86_64_PC8", Compute.RELATIVE, 1),
    17: Rule("R_X86_64_DTPOFF64", Compute.TLS_OFFSET, 8, None),
    18: Rule("R_X86_64_TPOFF64", Compute.TLS_STATIC, 8, None),
    19: Rule("R_X86_64_TLSGD", Compute.TLS_PAIR, 4),
    20: Rule("R_X86_64_TLSLD", Compute.TLS_MODULE, 4),
    21: Rule("R_X86_64_DTPOFF32", Compute.TLS_OFFSET, 4),
    22: Rule("R_X86_64_GOTTPOFF", Compute.TLS_SLOT, 4),
    23: Rule("R_X86_64_TPOFF32", Compute.TLS_STATIC, 4),
    24: Rule("R_X86_64_PC64", Compute.RELATIVE, 8, None),
    25: Rule("R_X86_64_GOTOFF64", Compute.FROM_GOT, 8, None),
    26: Rule("R_X86_64_GOTPC32", Compute.GOT, 4),
    27: Rule("R_X86_64_GOT64", Compute.SLOT_FROM_GOT, 8, None),
    28: Rule("R_X86_64_GOTPCREL64", Compute.SLOT, 8, None),
    29: Rule("R_X86_64_GOTPC64", Compute.GOT, 8, None),
    31: Rule("R_X86_64_PLTOFF64", Compute.CALL_FROM_GOT, 8, None),
    32: Rule("R_X86_64_SIZE32", Compute.SIZE, 4, signed=False),
    33: Rule("R_X86_64_SIZE64", Compute.SIZE, 8, None),
    34: Rule("R_X86_64_GOTPC32_TLSDESC", Compute.TLS_DESCRIPTOR, 4),
    35: Rule("R_X86_64_TLSDESC_CALL", Compute.NOTHING, 0),
    41: Rule("R_X86_64_GOTPCRELX", Compute.SLOT, 4),
    42: Rule("R_X86_64_REX_GOTPCRELX", Compute.SLOT, 4),
}

# Dynamic relocation types, which the result contains.
R_64, R_PC32, R_GLOB_DAT, R_RELATIVE, R_PC64 = 1, 2, 6, 8, 24
R_DTPMOD64, R_DTPOFF64, R_TPOFF64, R_TPOFF32, R_TLSDESC, R_IRELATIVE = 16, 17, 18, 23, 36, 37

R_GOTPCREL = 9  # static, for the linker's own code below

CALL_ENTRY: Final = bytes.fromhex(
    "f30f1efa"  # endbr64
    "ff2500000000"  # jmp *slot(%rip)
    "660f1f440000"  # nopw 0(%rax,%rax): fills up
)
CALL_ENTRY_SLOT: Final = 6
"""Where the distance to the slot stands in a PLT entry; it counts from the end of those four bytes."""


class Code(NamedTuple):
    """Code of the linker's own. `references` are (offset, relocation type, symbol); each counts from 4 bytes on."""

    code: bytes
    references: tuple[tuple[int, int, str], ...]


HANDLE: Final = "__dso_handle"
"""The symbol whose address names an object: whose destructors are meant (Itanium C++ ABI, 3.3.5)."""

FINALIZE: Final = Code(
    bytes.fromhex(
        "f30f1efa"  # endbr64
        "488d3d00000000"  # lea __dso_handle(%rip), %rdi
        "ff2500000000"  # jmp *__cxa_finalize@GOTPCREL(%rip)
    ),
    ((7, R_PC32, HANDLE), (13, R_GOTPCREL, "__cxa_finalize")),
)
"""What crtbegin.o brings into a library that a compiler links: destructors that were registered for this object run
when it is unloaded."""

# What glibc keeps in libc_nonshared.a, which every shared object gets a copy of: it tells whose the functions are.
LIBC_PARTS: Final = {
    "atexit": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d1500000000"  # lea __dso_handle(%rip), %rdx
            "31f6"  # xor %esi, %esi
            "ff2500000000"  # jmp *__cxa_atexit@GOTPCREL(%rip)
        ),
        ((7, R_PC32, HANDLE), (15, R_GOTPCREL, "__cxa_atexit")),
    ),
    "at_quick_exit": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d3500000000"  # lea __dso_handle(%rip), %rsi
            "ff2500000000"  # jmp *__cxa_at_quick_exit@GOTPCREL(%rip)
        ),
        ((7, R_PC32, HANDLE), (13, R_GOTPCREL, "__cxa_at_quick_exit")),
    ),
    "pthread_atfork": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d0d00000000"  # lea __dso_handle(%rip), %rcx
            "ff2500000000"  # jmp *__register_atfork@GOTPCREL(%rip)
        ),
        ((7, R_PC32, HANDLE), (13, R_GOTPCREL, "__register_atfork")),
    ),
}

# .init and .fini are one function each, made of pieces; these are its ends, which crti.o and crtn.o bring.
PIECES_START: Final = bytes.fromhex("f30f1efa4883ec08")  # endbr64; sub $8, %rsp
PIECES_END: Final = bytes.fromhex("4883c408c3")  # add $8, %rsp; ret
NO_OPERATION: Final = b"\x90"  # nop, between pieces


def is_call(code: bytes | bytearray, offset: int) -> bool:
    """Whether the four bytes at `offset` are the target of a call or a jump, so that a PLT entry will do.

    Old compilers mark calls as R_X86_64_PC32, like references to data.
    """
    if offset >= 1 and code[offset - 1] in {0xE8, 0xE9}:  # call, jmp
        return True
    return offset >= 2 and code[offset - 2] == 0x0F and code[offset - 1] & 0xF0 == 0x80  # jcc
