"""What x86-64's static relocations ask for (System V psABI, AMD64 supplement, table 4.9), and its few bits of code."""

from __future__ import annotations

from typing import Final

from latebind.linkplan.static.machine import HANDLE, Code, Compute, Dynamic, Rule, Target

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

PC32, GOTPCREL = 2, 9  # for the linker's own code below

CALL_ENTRY: Final = bytes.fromhex(
    "f30f1efa"  # endbr64
    "ff2500000000"  # jmp *slot(%rip)
    "660f1f440000"  # nopw 0(%rax,%rax): fills up
)
CALL_ENTRY_SLOT: Final = 6
"""Where the distance to the slot stands in a PLT entry; it counts from the end of those four bytes."""


def _fill_entry(code: bytearray, offset: int, address: int, slot: int) -> None:
    place = slice(offset + CALL_ENTRY_SLOT, offset + CALL_ENTRY_SLOT + 4)
    code[place] = (slot - (address + CALL_ENTRY_SLOT + 4)).to_bytes(4, "little", signed=True)


FINALIZE: Final = Code(
    bytes.fromhex(
        "f30f1efa"  # endbr64
        "488d3d00000000"  # lea __dso_handle(%rip), %rdi
        "ff2500000000"  # jmp *__cxa_finalize@GOTPCREL(%rip)
    ),
    ((7, PC32, HANDLE), (13, GOTPCREL, "__cxa_finalize")),
)
LIBC_PARTS: Final = {
    "atexit": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d1500000000"  # lea __dso_handle(%rip), %rdx
            "31f6"  # xor %esi, %esi
            "ff2500000000"  # jmp *__cxa_atexit@GOTPCREL(%rip)
        ),
        ((7, PC32, HANDLE), (15, GOTPCREL, "__cxa_atexit")),
    ),
    "at_quick_exit": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d3500000000"  # lea __dso_handle(%rip), %rsi
            "ff2500000000"  # jmp *__cxa_at_quick_exit@GOTPCREL(%rip)
        ),
        ((7, PC32, HANDLE), (13, GOTPCREL, "__cxa_at_quick_exit")),
    ),
    "pthread_atfork": Code(
        bytes.fromhex(
            "f30f1efa"  # endbr64
            "488d0d00000000"  # lea __dso_handle(%rip), %rcx
            "ff2500000000"  # jmp *__register_atfork@GOTPCREL(%rip)
        ),
        ((7, PC32, HANDLE), (13, GOTPCREL, "__register_atfork")),
    ),
}


def _is_call(code: bytes | bytearray, offset: int) -> bool:
    """Old compilers mark calls as R_X86_64_PC32, like references to data."""
    if offset >= 1 and code[offset - 1] in {0xE8, 0xE9}:  # call, jmp
        return True
    return offset >= 2 and code[offset - 2] == 0x0F and code[offset - 1] & 0xF0 == 0x80  # jcc


X86_64: Final = Target(
    number=62,
    page=4096,
    rules=RULES,
    dynamic=Dynamic(
        absolute=1, relative=8, irelative=37, slot=6, tls_module=16, tls_offset=17, tls_static={4: 23, 8: 18},
        tls_descriptor=36, relative_to_place={4: 2, 8: 24},
    ),
    entry=CALL_ENTRY,
    fill_entry=_fill_entry,
    own_addend=-4,
    finalize=FINALIZE,
    libc_parts=LIBC_PARTS,
    pieces_start=bytes.fromhex("f30f1efa4883ec08"),  # endbr64; sub $8, %rsp
    pieces_end=bytes.fromhex("4883c408c3"),  # add $8, %rsp; ret
    no_operation=b"\x90",
    is_call=_is_call,
)  # fmt: skip
