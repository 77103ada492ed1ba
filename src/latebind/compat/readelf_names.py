"""What readelf calls the types of sections and segments and the tags of the dynamic section.

The names are those of `latebind.elf` (names.py, processor_names.py): less what binutils 2.40 does not know yet, plus
what only it has, in its spelling. Each kind has the names for every machine first, then those of a machine (by
`e_machine`), then those of Solaris.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.elf.names import DYNAMIC_TAGS as _DYNAMIC_TAGS
from latebind.elf.names import SECTION_TYPES as _SECTION_TYPES
from latebind.elf.names import SEGMENT_TYPES as _SEGMENT_TYPES
from latebind.elf.processor_names import DYNAMIC_TAGS_OF, SECTION_TYPES_OF, SEGMENT_TYPES_OF

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def _as_readelf(
    names: Mapping[int, str], later: Collection[int] = (), own: Mapping[int, str] | None = None
) -> dict[int, str]:
    """`names` without the numbers in `later`, and with readelf's `own`."""
    return {number: name for number, name in names.items() if number not in later} | dict(own or {})


def _as_readelf_of(
    names: Mapping[int, Mapping[int, str]],
    later: Mapping[int, Collection[int]],
    own: Mapping[int, Mapping[int, str]],
) -> dict[int, dict[int, str]]:
    """The same for each machine."""
    return {machine: _as_readelf(table, later.get(machine, ()), own.get(machine)) for machine, table in names.items()}


SECTION_TYPES: Final = _as_readelf(
    _SECTION_TYPES,
    later=[0x40000014, 0x60000001, 0x60000002, *range(0x6FFF4C00, 0x6FFF4C10), 0x6FFFFF00, 0x6FFFFFF8],
    own={
        0x12: "SYMTAB SECTION INDICES",
        0x6FFFFFF0: "VERSYM",
        0x6FFFFFFC: "VERDEF",
        0x6FFFFFFD: "VERDEF",
        0x6FFFFFFE: "VERNEED",
        0x6FFFFFFF: "VERSYM",
    },
)
"""`sh_type` → name, on every machine."""

MACHINE_SECTION_TYPES: Final = _as_readelf_of(
    SECTION_TYPES_OF,
    later={183: [0x70000004], 195: [0x70000001]},
    own={50: {0x78000000: "UNIX - System V", 0x78FFFFFF: "<unknown: ff>"}},  # VMS: the OS/ABI stands in the type
)
"""The same for one machine: `e_machine` → `sh_type` → name."""

SOLARIS_SECTION_TYPES: Final = {
    0x6FFFFFEE: "SUNW_ancillary",
    0x6FFFFFEF: "SUNW_capchain",
    0x6FFFFFF1: "SUNW_symsort",
    0x6FFFFFF2: "SUNW_tlssort",
    0x6FFFFFF3: "SUNW_LDYNSYM",
    0x6FFFFFF4: "SUNW_dof",
    0x6FFFFFF5: "SUNW_cap",
    0x6FFFFFF8: "SUNW_DEBUGSTR",
    0x6FFFFFF9: "SUNW_DEBUG",
    0x6FFFFFFA: "SUNW_move",
    0x6FFFFFFB: "SUNW_COMDAT",
}
"""`sh_type` → name in files of Solaris (`EI_OSABI` 6)."""

SEGMENT_TYPES: Final = _as_readelf(_SEGMENT_TYPES, later=[0x65A3DBE5, 0x65A3DBE8, 0x6FFFFFFA, 0x6FFFFFFB])
"""`p_type` → name, on every machine."""

MACHINE_SEGMENT_TYPES: Final = _as_readelf_of(
    SEGMENT_TYPES_OF,
    later={183: [0x70000001]},
    own={
        8: {0x70000000: "REGINFO", 0x70000001: "RTPROC", 0x70000002: "OPTIONS", 0x70000003: "ABIFLAGS"},
        40: {0x70000001: "EXIDX"},
    },
)
"""The same for one machine: `e_machine` → `p_type` → name."""

SOLARIS_SEGMENT_TYPES: Final = {
    0x6464E550: "PT_SUNW_UNWIND",
    0x6FFFFFF7: "PT_LOSUNW",
    0x6FFFFFFA: "PT_SUNWBSS",
    0x6FFFFFFB: "PT_SUNWSTACK",
    0x6FFFFFFC: "PT_SUNWDTRACE",
    0x6FFFFFFD: "PT_SUNWCAP",
    0x6FFFFFFF: "PT_HISUNW",
}
"""`p_type` → name in files of Solaris (`EI_OSABI` 6)."""

DYNAMIC_TAGS: Final = _as_readelf(
    _DYNAMIC_TAGS,
    later=[0x40000026, *range(0x6000000F, 0x60000013), 0x6FFFE000, 0x6FFFE001, 0x6FFFE003],
    own={0x6FFFFDFC: "FEATURE"},
)
"""`d_tag` → name, on every machine."""

MACHINE_DYNAMIC_TAGS: Final = _as_readelf_of(DYNAMIC_TAGS_OF, later={62: [0x70000000, 0x70000001, 0x70000003]}, own={})
"""The same for one machine: `e_machine` → `d_tag` → name."""

SOLARIS_DYNAMIC_TAGS: Final = {
    0x6000000D: "SUNW_AUXILIARY",
    0x6000000E: "SUNW_RTLDINF",
    0x6000000F: "SUNW_FILTER",
    0x60000010: "SUNW_CAP",
    0x60000011: "SUNW_SYMTAB",
    0x60000012: "SUNW_SYMSZ",
    0x60000013: "SUNW_SORTENT",
    0x60000014: "SUNW_SYMSORT",
    0x60000015: "SUNW_SYMSORTSZ",
    0x60000016: "SUNW_TLSSORT",
    0x60000017: "SUNW_TLSSORTSZ",
    0x60000018: "SUNW_CAPINFO",
    0x60000019: "SUNW_STRPAD",
    0x6000001A: "SUNW_CAPCHAIN",
    0x6000001B: "SUNW_LDMACH",
    0x6000001D: "SUNW_CAPCHAINENT",
    0x6000001F: "SUNW_CAPCHAINSZ",
    0x60000021: "SUNW_PARENT",
    0x60000023: "SUNW_ASLR",
    0x60000025: "SUNW_RELAX",
    0x60000029: "SUNW_NXHEAP",
    0x6000002B: "SUNW_NXSTACK",
    0x70000001: "SPARC_REGISTER",
}
"""`d_tag` → name in files of Solaris (`EI_OSABI` 6)."""
