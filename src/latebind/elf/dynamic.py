"""The dynamic section (gABI, "Dynamic Section"): the instructions that a file leaves for the dynamic linker."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from latebind.elf import numbers
from latebind.elf.bytesource import ByteSource, StringTable
from latebind.elf.names import DYNAMIC_FLAGS, DYNAMIC_FLAGS_1, DYNAMIC_TAGS
from latebind.elf.processor_names import DYNAMIC_TAGS_OF
from latebind.elf.segment import PT_DYNAMIC, AddressMap, Segment

DT_NULL, DT_NEEDED, DT_PLTRELSZ, DT_PLTGOT, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA = range(8)
DT_RELASZ, DT_RELAENT, DT_STRSZ, DT_SYMENT, DT_INIT, DT_FINI, DT_SONAME, DT_RPATH = range(8, 16)
DT_SYMBOLIC, DT_REL, DT_RELSZ, DT_RELENT, DT_PLTREL, DT_DEBUG, DT_TEXTREL, DT_JMPREL = range(16, 24)
DT_BIND_NOW, DT_INIT_ARRAY, DT_FINI_ARRAY, DT_INIT_ARRAYSZ, DT_FINI_ARRAYSZ, DT_RUNPATH, DT_FLAGS = range(24, 31)
DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ, DT_SYMTAB_SHNDX, DT_RELRSZ, DT_RELR, DT_RELRENT = range(32, 38)
DT_GNU_HASH, DT_VERSYM, DT_RELACOUNT, DT_RELCOUNT, DT_FLAGS_1 = (
    0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFF9, 0x6FFFFFFA, 0x6FFFFFFB,
)  # fmt: skip
DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF

DT_ANDROID_REL, DT_ANDROID_RELSZ, DT_ANDROID_RELA, DT_ANDROID_RELASZ = 0x6000000F, 0x60000010, 0x60000011, 0x60000012
DT_ANDROID_RELR, DT_ANDROID_RELRSZ, DT_CREL = 0x6FFFE000, 0x6FFFE001, 0x40000026
DT_MIPS_SYMTABNO, DT_MIPS_LOCAL_GOTNO, DT_MIPS_GOTSYM = 0x70000011, 0x7000000A, 0x70000013

DF_SYMBOLIC, DF_TEXTREL, DF_BIND_NOW, DF_STATIC_TLS = 0x2, 0x4, 0x8, 0x10
DF_1_NODEFLIB = numbers.DF_1_NODEFLIB
DF_1_NOW, DF_1_NODELETE, DF_1_NOOPEN, DF_1_PIE = 0x1, 0x8, 0x40, 0x08000000

# Also AUXILIARY, USED and FILTER, CONFIG, DEPAUDIT and AUDIT.
_LOWEST_PROCESSOR_TAG = 0x60000000  # DT_LOOS; what is below means the same everywhere
_STRING_TAGS = frozenset(
    {DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH, 0x7FFFFFFD, 0x7FFFFFFE, 0x7FFFFFFF, 0x6FFFFEFA, 0x6FFFFEFB, 0x6FFFFEFC}
)


@dataclass(frozen=True, slots=True)
class DynamicEntry:
    """One entry: its tag, its raw value, and the string that the value points to where the tag means a string.

    `machine` says what a processor-specific tag means.
    """

    tag: int
    value: int
    string: str | None = None
    machine: int = 0

    @property
    def tag_name(self) -> str:
        """``"NEEDED"``, ``"FLAGS_1"``, …."""
        own = DYNAMIC_TAGS_OF.get(self.machine, {}) if self.tag >= _LOWEST_PROCESSOR_TAG else {}
        return own.get(self.tag) or DYNAMIC_TAGS.get(self.tag, f"{self.tag:#x}")


@dataclass(frozen=True)
class Dynamic:
    """The dynamic section: the entries up to DT_NULL, and the questions that a linker asks of them."""

    entries: tuple[DynamicEntry, ...] = ()
    strings: StringTable | None = field(default=None, repr=False)

    @cached_property
    def values(self) -> dict[int, int]:
        """Tag → value; as in ld.so, the last entry of a tag counts."""
        return {e.tag: e.value for e in self.entries}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """DT_NEEDED names in file order."""
        return tuple(e.string or "" for e in self.entries if e.tag == DT_NEEDED)

    def _string(self, tag: int) -> str | None:
        return next((e.string for e in reversed(self.entries) if e.tag == tag), None)

    @cached_property
    def soname(self) -> str | None:
        """DT_SONAME."""
        return self._string(DT_SONAME)

    @cached_property
    def rpath(self) -> str | None:
        """DT_RPATH, or None where DT_RUNPATH makes it void (gABI, "Shared Object Dependencies")."""
        return None if DT_RUNPATH in self.values else self._string(DT_RPATH)

    @cached_property
    def runpath(self) -> str | None:
        """DT_RUNPATH."""
        return self._string(DT_RUNPATH)

    @property
    def flags(self) -> int:
        """DT_FLAGS, with the older single-purpose tags folded in."""
        values = self.values
        old = (
            (DF_SYMBOLIC if DT_SYMBOLIC in values else 0)
            | (DF_TEXTREL if DT_TEXTREL in values else 0)
            | (DF_BIND_NOW if DT_BIND_NOW in values else 0)
        )
        return values.get(DT_FLAGS, 0) | old

    @property
    def flags_1(self) -> int:
        """DT_FLAGS_1."""
        return self.values.get(DT_FLAGS_1, 0)

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Every flag that is set, as ``DF_…`` and ``DF_1_…``."""
        return tuple(
            [f"DF_{name}" for bit, name in DYNAMIC_FLAGS.items() if self.flags & bit]
            + [f"DF_1_{name}" for bit, name in DYNAMIC_FLAGS_1.items() if self.flags_1 & bit]
        )


def read_dynamic(source: ByteSource, segments: tuple[Segment, ...], addresses: AddressMap, machine: int = 0) -> Dynamic:
    """The dynamic section found through PT_DYNAMIC; an empty one where the file is static."""
    segment = next((s for s in segments if s.type == PT_DYNAMIC), None)
    if segment is None or not segment.filesz:
        return Dynamic()
    size = 16 if source.is64 else 8
    pairs: list[tuple[int, int]] = []
    for tag, value in source.records(
        "QQ" if source.is64 else "II", segment.offset, segment.filesz // size, "dynamic section"
    ):
        if tag == DT_NULL:
            break
        pairs.append((tag, value))
    values = dict(pairs)
    strings = None
    if DT_STRTAB in values and values.get(DT_STRSZ):
        strings = StringTable(source, addresses.offset(values[DT_STRTAB], "DT_STRTAB"), values[DT_STRSZ])
    entries = tuple(
        DynamicEntry(tag, value, strings[value] if strings is not None and tag in _STRING_TAGS else None, machine)
        for tag, value in pairs
    )
    return Dynamic(entries, strings)
