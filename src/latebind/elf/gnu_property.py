"""GNU property notes (.note.gnu.property): what code in the file needs or can do, as the linker merged it.

Linux gABI extension, "Program property"; x86-64 psABI, "Program property"; the AArch64 and RISC-V ELF documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from latebind.elf.header import EM_386, EM_AARCH64, EM_X86_64

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf.bytesource import ByteSource
    from latebind.elf.note import Note

_ISA: Final = {0x1: "x86-64-baseline", 0x2: "x86-64-v2", 0x4: "x86-64-v3", 0x8: "x86-64-v4"}
_FEATURE_2: Final = {
    0x1: "x86", 0x2: "x87", 0x4: "MMX", 0x8: "XMM", 0x10: "YMM", 0x20: "ZMM", 0x40: "FXSR", 0x80: "XSAVE",
    0x100: "XSAVEOPT", 0x200: "XSAVEC", 0x400: "TMM", 0x800: "MASK",
}  # fmt: skip
_X86: Final = {
    0xC0000002: ("X86_FEATURE_1_AND", {0x1: "IBT", 0x2: "SHSTK", 0x4: "LAM_U48", 0x8: "LAM_U57"}),
    0xC0008001: ("X86_FEATURE_2_NEEDED", _FEATURE_2),
    0xC0008002: ("X86_ISA_1_NEEDED", _ISA),
    0xC0010001: ("X86_FEATURE_2_USED", _FEATURE_2),
    0xC0010002: ("X86_ISA_1_USED", _ISA),
}
_BY_MACHINE: Final[dict[int, dict[int, tuple[str, dict[int, str]]]]] = {
    EM_386: _X86,
    EM_X86_64: _X86,
    EM_AARCH64: {0xC0000000: ("AARCH64_FEATURE_1_AND", {0x1: "BTI", 0x2: "PAC", 0x4: "GCS"})},
    243: {0xC0000000: ("RISCV_FEATURE_1_AND", {0x1: "CFI_LP_UNLABELED", 0x2: "CFI_SS"})},
}
_GENERIC: Final[dict[int, tuple[str, dict[int, str]]]] = {
    1: ("STACK_SIZE", {}),
    2: ("NO_COPY_ON_PROTECTED", {}),
    0xB0008000: ("1_NEEDED", {0x1: "INDIRECT_EXTERN_ACCESS"}),
}


@dataclass(frozen=True, slots=True)
class GnuProperty:
    """One property: its number `type`, its `name`, its `value`, and the names of the value's bits where it has bits."""

    type: int
    name: str
    value: int
    bits: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {' '.join(self.bits)}" if self.bits else f"{self.name}: {self.value:#x}"


def read_properties(source: ByteSource, note: Note, machine: int | None = None) -> tuple[GnuProperty, ...]:
    """The properties of one PROPERTY_TYPE_0 note; `machine` is the file's own where it is not given."""
    if machine is None:
        (machine,) = source.unpack("H", 18, "e_machine")
    return tuple(_properties(source, note.desc, machine))


def _properties(source: ByteSource, desc: bytes, machine: int) -> Iterator[GnuProperty]:
    order: Literal["little", "big"] = "little" if source.little else "big"
    names = _GENERIC | _BY_MACHINE.get(machine, {})
    at = 0
    while at + 8 <= len(desc):
        kind = int.from_bytes(desc[at : at + 4], order)
        size = int.from_bytes(desc[at + 4 : at + 8], order)
        if size > len(desc) - at - 8:
            raise source.malformed(f"a GNU property of {size} bytes reaches beyond its note")
        if size > 8:
            raise source.malformed(f"GNU property {kind:#x} has {size} bytes; none is longer than a word")
        value = int.from_bytes(desc[at + 8 : at + 8 + size], order)
        name, bits = names.get(kind, (f"{kind:#x}", {}))
        unknown = value & ~sum(bits) if bits else 0
        texts = [text for bit, text in bits.items() if value & bit] + ([f"{unknown:#x}"] if unknown else [])
        yield GnuProperty(kind, name, value, tuple(texts))
        at += 8 + (size + source.word - 1) // source.word * source.word
