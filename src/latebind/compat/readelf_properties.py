"""What GNU program properties say, in readelf's words: NT_GNU_PROPERTY_TYPE_0 in `readelf -n`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.raw.property import read_properties

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File
    from latebind.elf.raw.property import Property

_LOPROC, _LOUSER = 0xC0000000, 0xE0000000
_UINT32_AND, _UINT32_OR = range(0xB0000000, 0xB0008000), range(0xB0008000, 0xB0010000)
_STACK_SIZE, _NO_COPY_ON_PROTECTED, _1_NEEDED = 1, 2, 0xB0008000
_X86: Final = frozenset({3, 6, 62})
_EM_AARCH64: Final = 183
_AARCH64_FEATURE_1_AND: Final = 0xC0000000

_ISA: Final = "x86-64-baseline x86-64-v2 x86-64-v3 x86-64-v4".split()
_FEATURE_1: Final = "IBT SHSTK LAM_U48 LAM_U57".split()
_FEATURE_2: Final = "x86 x87 MMX XMM YMM ZMM FXSR XSAVE XSAVEOPT XSAVEC TMM MASK".split()
_COMPAT_ISA: Final = (
    "i486 586 686 SSE SSE2 SSE3 SSSE3 SSE4_1 SSE4_2 AVX AVX2 AVX512F AVX512CD AVX512ER AVX512PF AVX512VL AVX512DQ"
    " AVX512BW"
).split()
_COMPAT_2_ISA: Final = (
    "CMOV SSE SSE2 SSE3 SSSE3 SSE4_1 SSE4_2 AVX AVX2 FMA AVX512F AVX512CD AVX512ER AVX512PF AVX512VL AVX512DQ AVX512BW"
    " AVX512_4FMAPS AVX512_4VNNIW AVX512_BITALG AVX512_IFMA AVX512_VBMI AVX512_VBMI2 AVX512_VNNI AVX512_BF16"
).split()

# type: (label, names of the bits, whether no bit at all has a text too)
_X86_PROPERTIES: Final = {
    0xC0000000: ("x86 ISA used", _COMPAT_ISA, False),
    0xC0000001: ("x86 ISA needed", _COMPAT_ISA, False),
    0xC0000002: ("x86 feature", _FEATURE_1, True),
    0xC0008000: ("x86 ISA needed", _COMPAT_2_ISA, True),
    0xC0008001: ("x86 feature needed", _FEATURE_2, True),
    0xC0008002: ("x86 ISA needed", _ISA, False),
    0xC0010000: ("x86 ISA used", _COMPAT_2_ISA, True),
    0xC0010001: ("x86 feature used", _FEATURE_2, True),
    0xC0010002: ("x86 ISA used", _ISA, False),
}


def properties_text(file: File, desc: bytes) -> str:
    """The properties in a note's description: one line where lines may be wide, else one line for each."""
    word = 8 if file.is64 else 4
    if len(desc) < 8 or len(desc) % word:
        return f"      Properties: <corrupt GNU_PROPERTY_TYPE, size = {len(desc):#x}>\n"
    separator = ", " if file.options.wide else "\n\t"
    texts = []
    read = 0
    for found in read_properties(desc, is64=file.is64, little=file.source.little):
        if not found.complete:
            texts.append(f"<corrupt type ({found.type:#x}) datasz: {found.size:#x}>\n")
            break
        read += 8 + (found.size + word - 1) // word * word
        texts.append(_property_text(file, found))
    else:
        if read < len(desc):
            texts.append(f"<corrupt descsz: {len(desc):#x}>\n")
    return f"      Properties: {separator.join(texts)}\n"


def _number(file: File, data: bytes) -> int:
    return int.from_bytes(data, "little" if file.source.little else "big")


def _bits(names: list[str], mask: int) -> str:
    return ", ".join(
        names[i] if i < len(names) else f"<unknown: {1 << i:x}>" for i in range(mask.bit_length()) if mask >> i & 1
    )


def _property_text(file: File, found: Property) -> str:
    kind, size, data = found
    wrong_size = f"<corrupt length: {_alternate(size)}> "
    if file.machine in _X86 and kind in _X86_PROPERTIES:
        label, names, says_none = _X86_PROPERTIES[kind]
        if size != 4:
            return f"{label}: {wrong_size}"
        mask = _number(file, data)
        return f"{label}: {_bits(names, mask) or ('<None>' if says_none else '')}"
    if file.machine == _EM_AARCH64 and kind == _AARCH64_FEATURE_1_AND:
        return "AArch64 feature: " + (wrong_size if size != 4 else _bits(["BTI", "PAC"], _number(file, data)))
    return _common_text(file, found, wrong_size)


def _common_text(file: File, found: Property, wrong_size: str) -> str:
    kind, size, data = found
    if kind == _STACK_SIZE:
        fits = size == (8 if file.is64 else 4)
        return "stack size: " + (_alternate(_number(file, data)) if fits else wrong_size)
    if kind == _NO_COPY_ON_PROTECTED:
        return "no copy on protected " + (wrong_size if size else "")
    if kind == _1_NEEDED:
        return "1_needed: " + (wrong_size if size != 4 else _bits(["indirect external access"], _number(file, data)))
    if kind in _UINT32_AND or kind in _UINT32_OR:
        label = "UINT32_AND" if kind in _UINT32_AND else "UINT32_OR"
        return f"{label} ({kind:#x}): {wrong_size if size != 4 else _alternate(_number(file, data))}"
    origin = "unknown" if kind < _LOPROC else "processor-specific" if kind < _LOUSER else "application-specific"
    return f"<{origin} type {_alternate(kind)} data: {data.hex(' ')}{' ' if data else ''}>"


def _alternate(number: int) -> str:
    """C's ``%#x``: no prefix before zero."""
    return f"{number:#x}" if number else "0"
