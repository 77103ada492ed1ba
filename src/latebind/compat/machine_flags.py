"""What `e_flags` says on each machine, in readelf's words.

A machine's rules are applied in order. A rule looks at some bits and adds the text of the value they have; a single
bit is the rule of two values. Where a machine needs more than that, it has a function of its own below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.elf.header import Header


class Rule(NamedTuple):
    """The bits in `mask`, the text of each value that they can have, and that of any other value."""

    mask: int
    texts: dict[int, str]
    other: str = ""


def _bits(**texts: str) -> tuple[Rule, ...]:
    """A rule for each single bit, as in ``x100=", pic"`` for bit 0x100."""
    return tuple(Rule(int(bit[1:], 16), {int(bit[1:], 16): text}) for bit, text in texts.items())


def _named(start: int, step: int, names: str) -> dict[int, str]:
    """Consecutive values with their names, separated by blanks; ``-`` leaves a value out."""
    return {start + i * step: f", {name}" for i, name in enumerate(names.split()) if name != "-"}


_ARC: Final = (
    Rule(0xFF, {2: ", ARC600", 3: ", ARC700", 4: ", ARC601", 5: ", ARC EM", 6: ", ARC HS"}, ", Unknown ARCompact"),
    Rule(
        0xF00,
        {0: ", (ABI:legacy)", 0x200: ", (ABI:v2)", 0x300: ", v3 no-legacy-syscalls ABI", 0x400: ", v4 ABI"},
        ", unrecognised ARC OSABI flag",
    ),
)
_AVR_VARIANTS: Final = (1, 2, 3, 4, 5, 6, 25, 31, 35, 51, *range(100, 108))
_MIPS_MACHINES: Final = {
    0x81: "3900",
    0x82: "4010",
    0x83: "4100",
    0x85: "4650",
    0x87: "4120",
    0x88: "4111",
    0x8A: "sb1",
    0x8B: "octeon",
    0x8C: "xlr",
    0x8D: "octeon2",
    0x8E: "octeon3",
    0x91: "5400",
    0x92: "5900",
    0x93: "interaptiv-mr2",
    0x98: "5500",
    0x99: "9000",
    0xA0: "loongson-2e",
    0xA1: "loongson-2f",
    0xA2: "gs464",
    0xA3: "gs464e",
    0xA4: "gs264e",
}
_MIPS: Final = (
    *_bits(x1=", noreorder", x2=", pic", x4=", cpic", x10=", ugen_reserved", x20=", abi2", x80=", odk first"),
    *_bits(x100=", 32bitmode", x400=", nan2008", x200=", fp64"),
    Rule(0xFF0000, {0: "", **{k << 16: f", {v}" for k, v in _MIPS_MACHINES.items()}}, ", unknown CPU"),
    Rule(0xF000, {0: "", **_named(0x1000, 0x1000, "o32 o64 eabi32 eabi64")}, ", unknown ABI"),
    *_bits(x8000000=", mdmx", x4000000=", mips16", x2000000=", micromips"),
    Rule(
        0xF0000000,
        _named(0, 0x10000000, "mips1 mips2 mips3 mips4 mips5 mips32 mips64 mips32r2 mips64r2 mips32r6 mips64r6"),
        ", unknown ISA",
    ),
)
_SH_MACHINES: Final = (
    "sh1 sh2 sh3 sh-dsp sh3-dsp sh4al-dsp - sh3e sh4 sh5 sh2e sh4a sh2a - - sh4-nofpu sh4a-nofpu sh4-nommu-nofpu"
    " sh2a-nofpu sh3-nommu sh2a-nofpu-or-sh4-nommu-nofpu sh2a-nofpu-or-sh3-nommu sh2a-or-sh4 sh2a-or-sh3e"
)
_AMDGPU_MODELS: Final = {
    0x20: "600 601 700 701 702 703 704",
    0x28: "801 802 803 810 900 902 904 906 908 909 90c 1010 1011 1012 1030 1031 1032 1033",
    0x3A: "602 705 805 1035 1034 90a 940",
    0x42: "1013",
    0x45: "1036",
}
_V850: Final = (
    Rule(
        0xF0000000,
        {
            0: ", v850",
            0x10000000: ", v850e",
            0x20000000: ", v850e1",
            0x30000000: ", v850e2",
            0x40000000: ", v850e2v3",
            0x60000000: ", v850e3v5",
        },
        ", unknown v850 architecture variant",
    ),
)
_M32R: Final = (Rule(0x30000000, {0: ", m32r"}),)
_PICOJAVA: Final = _bits(x10=", new calling convention", x20=", gnu calling convention")

_RULES: Final[dict[int, tuple[Rule, ...]]] = {
    8: _MIPS,
    10: _MIPS,
    15: (
        Rule(0xFFFF, {0x20B: ", PA-RISC 1.0", 0x210: ", PA-RISC 1.1", 0x214: ", PA-RISC 2.0"}),
        *_bits(x10000=", trapnil", x20000=", ext", x40000=", lsb", x80000=", wide", x100000=", no kabp"),
        *_bits(x400000=", lazyswap"),
    ),
    20: _bits(x80000000=", emb", x10000=", relocatable", x8000=", relocatable-lib"),
    21: (Rule(0x3, _named(1, 1, "abiv1 abiv2 abiv3")),),
    22: _bits(x1=", highgprs"),
    42: (Rule(0x1F, _named(1, 1, _SH_MACHINES), ", unknown ISA"), *_bits(x100=", pic", x8000=", fdpic")),
    43: (
        *_bits(x100=", v8+", x200=", ultrasparcI", x800=", ultrasparcIII", x400=", halr1", x800000=", ledata"),
        Rule(0x3, {0: ", tso", 1: ", pso", 2: ", rmo"}),
    ),
    50: (
        Rule(0x10, {0x10: ", 64-bit"}, ", 32-bit"),
        *_bits(x20=", reduced fp model"),
        Rule(0xC0, {0: "", 0x40: ", constant gp"}, ", no function descriptors, constant gp"),
        *_bits(x100=", absolute"),
    ),
    75: _bits(x1=", non-PIC", x100=", D-Float", x200=", G-Float"),
    83: (
        Rule(0x7F, {number: f", avr:{number}" for number in _AVR_VARIANTS}, ", avr:<unknown>"),
        *_bits(x80=", link-relax"),
    ),
    87: _V850,
    88: _M32R,
    91: _PICOJAVA,
    92: _bits(x1=", no delay"),
    93: _ARC,
    99: _PICOJAVA,
    106: _bits(x1=", PIC", x2=", FDPIC", x10=", code in L1", x20=", data in L1"),
    140: _bits(x1=", relocatable module"),
    173: (
        *_bits(x1=", 64-bit doubles", x2=", dsp", x4=", pid", x8=", RX ABI"),
        Rule(0xC0, {0x40: ", bans String instructions", 0xC0: ", uses String instructions"}),
        *_bits(x100=", V2", x200=", V3"),
    ),
    195: _ARC,
    197: (Rule(0xC, _named(4, 4, "G10 G13 G14")), *_bits(x1=", 64-bit doubles")),
    220: (
        Rule(
            0xFF,
            {1: ", Z80", 2: ", Z180", 3: ", R800", 4: ", EZ80", 5: ", GBZ80", 6: ", Z80N", 0x84: ", EZ80, ADL"},
            ", unknown",
        ),
    ),
    221: (Rule(0x3, {0: "", 2: ", mcm24"}, ", mcm"), *_bits(x4=", gr6")),
    243: (
        *_bits(x1=", RVC", x8=", RVE", x10=", TSO"),
        Rule(0x6, {0: ", soft-float ABI", 2: ", single-float ABI", 4: ", double-float ABI", 6: ", quad-float ABI"}),
    ),
    250: (Rule(0xFFFF00, {0x320000: ", NFP-32xx", 0x600000: ", NFP-6xxx"}),),
    258: (
        Rule(0x7, {1: ", SOFT-FLOAT", 2: ", SINGLE-FLOAT", 3: ", DOUBLE-FLOAT"}),
        Rule(0xC0, {0: ", OBJ-v0", 0x40: ", OBJ-v1"}),
    ),
    0x5441: (
        Rule(
            0xFF000000,
            _named(0x1000000, 0x1000000, "fr500 fr300 simple tomcat fr400 fr550 fr405 fr450") | {0: ""},
            ", fr???",
        ),
    ),
    0x9041: _M32R,
    0x9080: _V850,
}
"""`e_machine` → rules, for machines that need nothing else."""


def _apply(rules: tuple[Rule, ...], flags: int) -> str:
    return "".join(rule.texts.get(flags & rule.mask, rule.other) for rule in rules)


# machines whose bits depend on one another ----------------------------------------------------------------------

_ARM_SORTED: Final = {0x4: ", sorted symbol tables"}
_ARM_ENDIAN: Final = {0x400000: ", LE8", 0x800000: ", BE8"}
_ARM_EABIS: Final[dict[int, tuple[str, dict[int, str] | None]]] = {
    0: (
        ", GNU EABI",
        {
            0x4: ", interworking enabled",
            0x8: ", uses APCS/26",
            0x10: ", uses APCS/float",
            0x40: ", 8 bit structure alignment",
            0x80: ", uses new ABI",
            0x100: ", uses old ABI",
            0x200: ", software FP",
            0x400: ", VFP",
            0x800: ", Maverick FP",
        },
    ),
    1: (", Version1 EABI", _ARM_SORTED),
    2: (
        ", Version2 EABI",
        {**_ARM_SORTED, 0x8: ", dynamic symbols use segment index", 0x10: ", mapping symbols precede others"},
    ),
    3: (", Version3 EABI", None),  # whose other bits are not looked at
    4: (", Version4 EABI", _ARM_ENDIAN),
    5: (", Version5 EABI", {0x200: ", soft-float ABI", 0x400: ", hard-float ABI", **_ARM_ENDIAN}),
}


def _arm(header: Header) -> str:
    """ARM: the upper byte is the EABI's version, which says what the other bits mean (ARM ELF, "ELF header")."""
    text = _apply(_bits(x1=", relocatable executable", x20=", position independent"), header.flags)
    name, meanings = _ARM_EABIS.get(header.flags >> 24, (", <unrecognized EABI>", {}))
    text += name
    rest = header.flags & 0xFFFFFF & ~0x21
    unknown = False
    for position in range(24) if meanings is not None else ():
        bit = rest & 1 << position
        if bit:
            text += (meanings or {}).get(bit, "")
            unknown = unknown or bit not in (meanings or {})
    return text + (", <unknown>" if unknown else "")


def _m68k(header: Header) -> str:
    """68k: an older core, or a ColdFire with its instruction set and multiplier."""
    flags = header.flags
    core = {0x1000000: ", m68000", 0x810000: ", cpu32", 0x2000000: ", fido_a"}.get(flags & 0x3810000)
    if core is not None:
        return core
    isa = {
        1: "A, nodiv", 2: "A", 3: "A+", 4: "B, nousp", 5: "B", 6: "C", 7: "C, nodiv",
    }.get(flags & 0xF, "unknown")  # fmt: skip
    multiplier = {0: "", 0x10: ", mac", 0x20: ", emac", 0x30: ", emac_b"}[flags & 0x30]
    return f", cf, isa {isa}{', float' if flags & 0x40 else ''}{multiplier}"


_MSP430_VARIANTS: Final = {
    0x0B: "MSP430x11",
    0x0C: "MSP430x12",
    0x0D: "MSP430x13",
    0x0E: "MSP430x14",
    0x0F: "MSP430x15",
    0x10: "MSP430x16",
    0x1F: "MSP430x31",
    0x20: "MSP430x32",
    0x21: "MSP430x33",
    0x29: "MSP430x41",
    0x2A: "MSP430x42",
    0x2B: "MSP430x43",
    0x2C: "MSP430x44",
    0x2D: "MSP430X",
    0x6E: "MSP430x11x1 ",
}


def _msp430(header: Header) -> str:
    text = f": architecture variant: {_MSP430_VARIANTS.get(header.flags & 0xFF, ': unknown')}"
    return text + (": unknown extra flag bits also present" if header.flags & ~0xFF else "")


def _amdgpu(header: Header) -> str:
    """AMD GPU: the model, and two features whose encoding changed with version 4 of the HSA ABI."""
    hsa = header.os_abi == 64
    if hsa and header.abi_version < 1:
        return ""  # version 2 had other flags
    models = {start + i: name for start, names in _AMDGPU_MODELS.items() for i, name in enumerate(names.split())}
    number, rest = header.flags & 0xFF, header.flags & ~0xFF
    text = f", gfx{models[number]}" if number in models else f", <unknown AMDGPU GPU type: {number:#x}>"
    if number == 0:
        text = ", <unknown AMDGPU GPU type: 0>"
    if hsa and header.abi_version != 1:
        states = ("", " any", " off", " on")
        for name, shift in (("xnack", 8), ("sramecc", 10)):
            state = states[rest >> shift & 3]
            text += f", {name}{state}" if state else ""
        rest &= ~0xF00
    else:
        text += _apply(_bits(x100=", xnack on", x200=", sramecc on"), rest)
        rest &= ~0x300
    return text + (f", unknown flags bits: {rest:#x}" if rest else "")


_OWN: Final[dict[int, Callable[[Header], str]]] = {4: _m68k, 40: _arm, 105: _msp430, 224: _amdgpu}


def machine_flags(header: Header) -> str:
    """What follows the number of `e_flags`; nothing where no flag is set or the machine defines none."""
    if not header.flags:
        return ""
    own = _OWN.get(header.machine)
    return own(header) if own is not None else _apply(_RULES.get(header.machine, ()), header.flags)
