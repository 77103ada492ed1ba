"""What tests have to know about the machine that they run on: names, numbers and compiler options of one CPU.

`HERE` is this machine's row. Relocation types go by generic names: ``HERE.type("jump_slot")`` is the number and
``HERE.name("jump_slot")`` the psABI's name.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine.

    `number` is e_machine, `linker` the name of glibc's dynamic linker, `first_version` its oldest symbol version,
    `relocations` the dynamic relocation types by generic name. `integers` is the number of registers for integer
    arguments, `float_register` the constraint letter for floating point in GNU C's assembly, and `tls_dialects` the
    compiler's options for __tls_get_addr and for TLS descriptors.
    """

    number: int
    linker: str
    first_version: str
    relocations: dict[str, tuple[int, str]]
    integers: int
    float_register: str
    tls_dialects: tuple[str, str]
    pack: tuple[str, ...]
    """The compiler's options for DT_RELR."""
    narrow: tuple[tuple[int, int], ...]
    """Relocation types for absolute addresses of four bytes, each with a value that becomes 0x8000_0000."""

    def type(self, generic: str) -> int:
        """The number of a relocation type."""
        return self.relocations[generic][0]

    def name(self, generic: str) -> str:
        """The psABI's name of a relocation type."""
        return self.relocations[generic][1]


X86_64: Final = Machine(
    62,
    "ld-linux-x86-64.so.2",
    "GLIBC_2.2.5",
    {
        "none": (0, "R_X86_64_NONE"), "absolute": (1, "R_X86_64_64"), "relative_to_place_4": (2, "R_X86_64_PC32"),
        "relative_to_place_8": (24, "R_X86_64_PC64"), "copy": (5, "R_X86_64_COPY"), "slot": (6, "R_X86_64_GLOB_DAT"),
        "jump_slot": (7, "R_X86_64_JUMP_SLOT"), "relative": (8, "R_X86_64_RELATIVE"),
        "tls_module": (16, "R_X86_64_DTPMOD64"), "tls_static": (18, "R_X86_64_TPOFF64"),
        "tls_descriptor": (36, "R_X86_64_TLSDESC"), "resolver": (37, "R_X86_64_IRELATIVE"),
        "refused": (33, "R_X86_64_SIZE64"),
    },
    6,
    "x",
    ("-mtls-dialect=gnu", "-mtls-dialect=gnu2"),
    ("-Wl,-z,pack-relative-relocs",),
    ((10, 0x8000_0000), (11, -0x8000_0000 % 2**64)),  # R_X86_64_32, R_X86_64_32S
)  # fmt: skip

AARCH64: Final = Machine(
    183,
    "ld-linux-aarch64.so.1",
    "GLIBC_2.17",
    {
        "none": (0, "R_AARCH64_NONE"), "absolute": (257, "R_AARCH64_ABS64"),
        "relative_to_place_4": (261, "R_AARCH64_PREL32"), "relative_to_place_8": (260, "R_AARCH64_PREL64"),
        "copy": (1024, "R_AARCH64_COPY"), "slot": (1025, "R_AARCH64_GLOB_DAT"),
        "jump_slot": (1026, "R_AARCH64_JUMP_SLOT"), "relative": (1027, "R_AARCH64_RELATIVE"),
        "tls_module": (1028, "R_AARCH64_TLS_DTPMOD64"), "tls_static": (1030, "R_AARCH64_TLS_TPREL64"),
        "tls_descriptor": (1031, "R_AARCH64_TLSDESC"), "resolver": (1032, "R_AARCH64_IRELATIVE"),
        "refused": (259, "R_AARCH64_ABS16"),
    },
    8,
    "w",
    ("-mtls-dialect=trad", "-mtls-dialect=desc"),
    ("-fuse-ld=lld", "-Wl,--pack-dyn-relocs=relr"),  # GNU ld does it from version 2.44 on
    ((258, 0x8000_0000),),  # R_AARCH64_ABS32
)  # fmt: skip

HERE: Final = AARCH64 if platform.machine() == "aarch64" else X86_64
"""The machine that the tests run on."""
ELSEWHERE: Final = X86_64 if HERE is AARCH64 else AARCH64
"""Another one."""
