"""What aarch64's static relocations ask for (ELF for the Arm 64-bit Architecture, 5.7), and its few bits of code.

Most of them are fields of instructions. An address takes two: a page (adrp) and the low 12 bits in it. What only a
program can use (local-exec TLS, absolute moves) is known by name and refused.
"""

from __future__ import annotations

import struct
from typing import Final

from latebind.linkplan.static.machine import HANDLE, Code, Compute, Dynamic, Form, Rule, Target

_ADR_PAGE, _ADD_LOW, _GOT_PAGE, _GOT_LOW = 275, 277, 311, 312


def _low(name: str, compute: Compute, scale: int = 0) -> Rule:
    return Rule(name, compute, 4, None, Form.LOW, scale)


RULES: Final = {
    0: Rule("R_AARCH64_NONE", Compute.NOTHING, 0),
    256: Rule("R_AARCH64_NONE", Compute.NOTHING, 0),
    257: Rule("R_AARCH64_ABS64", Compute.ABSOLUTE, 8, None),
    258: Rule("R_AARCH64_ABS32", Compute.ABSOLUTE, 4, None),
    259: Rule("R_AARCH64_ABS16", Compute.ABSOLUTE, 2, None),
    260: Rule("R_AARCH64_PREL64", Compute.RELATIVE, 8, None),
    261: Rule("R_AARCH64_PREL32", Compute.RELATIVE, 4),
    262: Rule("R_AARCH64_PREL16", Compute.RELATIVE, 2),
    **{n: Rule(f"R_AARCH64_MOVW_UABS_G{n - 263 >> 1}", Compute.ABSOLUTE, 4, None, Form.LOW) for n in range(263, 270)},
    273: Rule("R_AARCH64_LD_PREL_LO19", Compute.RELATIVE, 4, form=Form.JUMP_19),
    274: Rule("R_AARCH64_ADR_PREL_LO21", Compute.RELATIVE, 4, form=Form.NEAR),
    _ADR_PAGE: Rule("R_AARCH64_ADR_PREL_PG_HI21", Compute.RELATIVE, 4, form=Form.PAGE),
    276: Rule("R_AARCH64_ADR_PREL_PG_HI21_NC", Compute.RELATIVE, 4, None, Form.PAGE),
    _ADD_LOW: _low("R_AARCH64_ADD_ABS_LO12_NC", Compute.RELATIVE),
    278: _low("R_AARCH64_LDST8_ABS_LO12_NC", Compute.RELATIVE),
    279: Rule("R_AARCH64_TSTBR14", Compute.CALL, 4, form=Form.JUMP_14),
    280: Rule("R_AARCH64_CONDBR19", Compute.CALL, 4, form=Form.JUMP_19),
    282: Rule("R_AARCH64_JUMP26", Compute.CALL, 4, form=Form.JUMP_26),
    283: Rule("R_AARCH64_CALL26", Compute.CALL, 4, form=Form.JUMP_26),
    284: _low("R_AARCH64_LDST16_ABS_LO12_NC", Compute.RELATIVE, 1),
    285: _low("R_AARCH64_LDST32_ABS_LO12_NC", Compute.RELATIVE, 2),
    286: _low("R_AARCH64_LDST64_ABS_LO12_NC", Compute.RELATIVE, 3),
    299: _low("R_AARCH64_LDST128_ABS_LO12_NC", Compute.RELATIVE, 4),
    307: Rule("R_AARCH64_GOTREL64", Compute.FROM_GOT, 8, None),
    308: Rule("R_AARCH64_GOTREL32", Compute.FROM_GOT, 4),
    309: Rule("R_AARCH64_GOT_LD_PREL19", Compute.SLOT, 4, form=Form.JUMP_19),
    _GOT_PAGE: Rule("R_AARCH64_ADR_GOT_PAGE", Compute.SLOT, 4, form=Form.PAGE),
    _GOT_LOW: _low("R_AARCH64_LD64_GOT_LO12_NC", Compute.SLOT, 3),
    313: Rule("R_AARCH64_LD64_GOTPAGE_LO15", Compute.SLOT, 4, None, Form.GOT_LOW, 3),
    314: Rule("R_AARCH64_PLT32", Compute.CALL, 4),
    315: Rule("R_AARCH64_GOTPCREL32", Compute.SLOT, 4),
    512: Rule("R_AARCH64_TLSGD_ADR_PREL21", Compute.TLS_PAIR, 4, form=Form.NEAR),
    513: Rule("R_AARCH64_TLSGD_ADR_PAGE21", Compute.TLS_PAIR, 4, form=Form.PAGE),
    514: _low("R_AARCH64_TLSGD_ADD_LO12_NC", Compute.TLS_PAIR),
    541: Rule("R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21", Compute.TLS_SLOT, 4, form=Form.PAGE),
    542: _low("R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC", Compute.TLS_SLOT, 3),
    543: Rule("R_AARCH64_TLSIE_LD_GOTTPREL_PREL19", Compute.TLS_SLOT, 4, form=Form.JUMP_19),
    **{n: Rule("R_AARCH64_TLSLE_…", Compute.TLS_STATIC, 4, None, Form.LOW) for n in (*range(544, 560), 570, 571)},
    560: Rule("R_AARCH64_TLSDESC_LD_PREL19", Compute.TLS_DESCRIPTOR, 4, form=Form.JUMP_19),
    561: Rule("R_AARCH64_TLSDESC_ADR_PREL21", Compute.TLS_DESCRIPTOR, 4, form=Form.NEAR),
    562: Rule("R_AARCH64_TLSDESC_ADR_PAGE21", Compute.TLS_DESCRIPTOR, 4, form=Form.PAGE),
    563: _low("R_AARCH64_TLSDESC_LD64_LO12", Compute.TLS_DESCRIPTOR, 3),
    564: _low("R_AARCH64_TLSDESC_ADD_LO12", Compute.TLS_DESCRIPTOR),
    569: Rule("R_AARCH64_TLSDESC_CALL", Compute.NOTHING, 0),
}


def _code(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


_LANDING_PAD: Final = 0xD503245F  # bti c
_ENTRY: Final = _code(
    _LANDING_PAD,
    0x90000010,  # adrp x16, slot
    0xF9400211,  # ldr x17, [x16, :lo12:slot]
    0xD61F0220,  # br x17
)


def _fill_entry(code: bytearray, offset: int, address: int, slot: int) -> None:
    pages = (slot >> 12) - (address + 4 >> 12)
    adrp = 0x90000010 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    code[offset + 4 : offset + 12] = _code(adrp, 0xF9400211 | (slot & 0xFFF) >> 3 << 10)


def _with_handle(function: str, register: int, *more: int) -> Code:
    """Code that goes on to `function` with the handle in `register`."""
    words = (
        _LANDING_PAD,
        0x90000000 | register,  # adrp xN, __dso_handle
        0x91000000 | register << 5 | register,  # add xN, xN, :lo12:__dso_handle
        *more,
        0x90000010,  # adrp x16, :got:function
        0xF9400210,  # ldr x16, [x16, :got_lo12:function]
        0xD61F0200,  # br x16
    )
    at = 4 * (3 + len(more))
    return Code(
        _code(*words),
        ((4, _ADR_PAGE, HANDLE), (8, _ADD_LOW, HANDLE), (at, _GOT_PAGE, function), (at + 4, _GOT_LOW, function)),
    )


AARCH64: Final = Target(
    number=183,
    page=65536,
    rules=RULES,
    dynamic=Dynamic(
        absolute=257, relative=1027, irelative=1032, slot=1025, tls_module=1028, tls_offset=1029, tls_static={8: 1030},
        tls_descriptor=1031, relative_to_place={4: 261, 8: 260},
    ),
    entry=_ENTRY,
    fill_entry=_fill_entry,
    own_addend=0,
    finalize=_with_handle("__cxa_finalize", 0),
    libc_parts={
        "atexit": _with_handle("__cxa_atexit", 2, 0xD2800001),  # mov x1, #0
        "at_quick_exit": _with_handle("__cxa_at_quick_exit", 1),
        "pthread_atfork": _with_handle("__register_atfork", 3),
    },
    pieces_start=_code(_LANDING_PAD, 0xA9BF7BFD, 0x910003FD),  # bti c; stp x29, x30, [sp, #-16]!; mov x29, sp
    pieces_end=_code(0xA8C17BFD, 0xD65F03C0),  # ldp x29, x30, [sp], #16; ret
    no_operation=_code(0xD503201F),  # nop
    is_call=lambda _code, _offset: False,  # the relocation types say so
)  # fmt: skip
