"""`readelf -d`: the dynamic section. What it says is noted in any case: other tables are found through it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from latebind.compat.readelf_file import ELFOSABI_SOLARIS
from latebind.compat.readelf_names import DYNAMIC_TAGS, MACHINE_DYNAMIC_TAGS, SOLARIS_DYNAMIC_TAGS
from latebind.compat.text import c_string
from latebind.elf import dynamic as dt
from latebind.elf.raw.hash import gnu_chain_lengths
from latebind.elf.raw.symbol import read_symbol_rows
from latebind.elf.segment import PT_LOAD
from latebind.elf.symbolhash import count_from_gnu_hash, count_from_sysv_hash
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.compat.readelf_file import File

DT_SYMINSZ, DT_SYMINENT, DT_SYMINFO = 0x6FFFFDFE, 0x6FFFFDFF, 0x6FFFFEFF
_DT_GNU_PRELINKED, _DT_GNU_FLAGS_1, _DT_FEATURE, _DT_POSFLAG_1 = 0x6FFFFDF5, 0x6FFFFDF4, 0x6FFFFDFC, 0x6FFFFDFD
_DT_USED: Final = 0x7FFFFFFE
_DT_MIPS_XHASH: Final = 0x70000036
_EM_MIPS, _EM_MIPS_RS3_LE, _EM_AARCH64 = 8, 10, 183
_SAME_MACHINE: Final = {_EM_MIPS_RS3_LE: _EM_MIPS}

_DF: Final = {0x1: "ORIGIN", 0x2: "SYMBOLIC", 0x4: "TEXTREL", 0x8: "BIND_NOW", 0x10: "STATIC_TLS"}
_DF_1: Final = (
    "NOW GLOBAL GROUP NODELETE LOADFLTR INITFIRST NOOPEN ORIGIN DIRECT TRANS INTERPOSE NODEFLIB NODUMP CONFALT"
    " ENDFILTEE DISPRELDNE DISPRELPND NODIRECT IGNMULDEF NOKSYMS NOHDR EDITED NORELOC SYMINTPOSE GLOBAUDIT SINGLETON"
    " STUB PIE KMOD WEAKFILTER NOCOMMON"
).split()
_MIPS_FLAGS: Final = (
    "QUICKSTART NOTPOT NO_LIBRARY_REPLACEMENT NO_MOVE SGI_ONLY GUARANTEE_INIT DELTA_C_PLUS_PLUS GUARANTEE_START_INIT"
    " PIXIE DEFAULT_DELAY_LOAD REQUICKSTART REQUICKSTARTED CORD NO_UNRES_UNDEF RLD_ORDER_SAFE"
).split()

# DT_PLTPADSZ, DT_MOVEENT, DT_MOVESZ, DT_GNU_CONFLICTSZ, DT_GNU_LIBLISTSZ
_GNU_SIZES: Final = frozenset({0x6FFFFDF9, 0x6FFFFDFA, 0x6FFFFDFB, 0x6FFFFDF6, 0x6FFFFDF7})
_SIZES: Final = _GNU_SIZES | {
    dt.DT_PLTRELSZ, dt.DT_RELASZ, dt.DT_STRSZ, dt.DT_RELSZ, dt.DT_RELAENT, dt.DT_RELRENT, dt.DT_RELRSZ, dt.DT_SYMENT,
    dt.DT_RELENT, dt.DT_PREINIT_ARRAYSZ, dt.DT_INIT_ARRAYSZ, dt.DT_FINI_ARRAYSZ,
}  # fmt: skip
_COUNTS: Final = frozenset({dt.DT_VERDEFNUM, dt.DT_VERNEEDNUM, dt.DT_RELACOUNT, dt.DT_RELCOUNT})
_NAMES: Final = {
    dt.DT_NEEDED: "Shared library",
    dt.DT_SONAME: "Library soname",
    dt.DT_RPATH: "Library rpath",
    dt.DT_RUNPATH: "Library runpath",
}
_LIBRARIES: Final = {
    0x7FFFFFFD: "Auxiliary library",
    0x7FFFFFFF: "Filter library",
    0x6FFFFEFA: "Configuration file",
    0x6FFFFEFB: "Dependency audit library",
    0x6FFFFEFC: "Audit library",
}


def tag_name(file: File, tag: int) -> str:
    """What readelf calls the dynamic tag in this file."""
    if (name := DYNAMIC_TAGS.get(tag)) is not None:
        return name
    machine = _SAME_MACHINE.get(file.machine, file.machine)
    tables = [MACHINE_DYNAMIC_TAGS.get(machine, {})]
    if file.os_abi == ELFOSABI_SOLARIS:
        tables.append(SOLARIS_DYNAMIC_TAGS)
    for table in tables:
        if tag in table:
            return table[tag]
    if 0x70000000 <= tag <= 0x7FFFFFFF:
        return f"Processor Specific: {tag:x}"
    if 0x6000000D <= tag <= 0x6FFFF000:
        return f"Operating System specific: {tag:x}"
    return f"<unknown>: {tag:x}"


def show_dynamic(file: File) -> bool:
    """Print the dynamic section if asked; in any case keep what it says. False where it cannot be read."""
    wanted = file.options.dynamic
    assert file.dynamic_place is not None, "the program headers were looked through"
    offset, size = file.dynamic_place
    if size <= 1:
        if wanted:
            file.out.write("\nThere is no dynamic section in this file.\n")
        return True
    rows = file.dynamic_rows()
    if rows is None:
        return False
    file.dynamic_info = dict(rows)  # the last entry of a tag counts
    if not _find_symbols(file):
        return False
    _find_strings(file)
    if wanted:
        if offset:
            entries = "entry" if len(rows) == 1 else "entries"
            file.out.write(f"\nDynamic section at offset {offset:#x} contains {len(rows)} {entries}:\n")
        file.out.write("  Tag        Type                         Name/Value\n")
        file.out.write("".join(_line(file, tag, value) for tag, value in rows))
    return True


def _line(file: File, tag: int, value: int) -> str:
    name = tag_name(file, tag)
    # At least one blank: C's %*s with a negative width pads on the right of the one it prints.
    gap = (19 if file.is64 else 27) - len(name)
    return f" 0x{file.address_form % tag} ({name}){' ' * max(abs(gap), 1)}{_value(file, tag, value)}\n"


def _string(file: File, value: int) -> str | None:
    strings = file.dynamic_strings
    return c_string(strings, value) if strings is not None and value < len(strings) else None


def _value(file: File, tag: int, value: int) -> str:
    if tag in _SIZES or tag in _COUNTS:
        return f"{value} (bytes)" if tag in _SIZES else f"{value}"
    if tag in _NAMES:
        return _name_value(file, tag, value)
    if tag in _LIBRARIES:
        name = _string(file, value)
        return f"{_LIBRARIES[tag]}: " + (f"0x{value:x}" if name is None else f"[{name}]")
    if (own := _OWN_VALUES.get(tag)) is not None:
        return own(file, value)
    if (machine := _MACHINE_VALUES.get(file.machine)) is not None and 0x70000000 <= tag <= 0x7FFFFFFF:
        return machine(file, tag, value)
    return f"0x{value:x}"


def _name_value(file: File, tag: int, value: int) -> str:
    name = _string(file, value)
    if name is None:
        return f"0x{value:x}"
    program = " program interpreter" if tag == dt.DT_NEEDED and name == file.interpreter else ""
    return f"{_NAMES[tag]}: [{name}]{program}"


def _df(_: File, value: int) -> str:
    return " ".join(_DF.get(1 << i, "unknown") for i in range(value.bit_length()) if value >> i & 1)


def _set(names: list[str], value: int) -> str:
    """``Flags:`` with the names of the bits that are set; what has no name follows as a number."""
    if not value:
        return "Flags: None"
    known = [name for i, name in enumerate(names) if value >> i & 1]
    rest = value >> len(names) << len(names)
    return "Flags: " + " ".join([*known, f"{rest:x}"] if rest else known)


def _time(value: int) -> datetime | None:
    """A number of seconds since 1970 as a date; None where it lies outside of the calendar."""
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=value)
    except OverflowError:
        return None


def _prelinked(_: File, value: int) -> str:
    time = _time(value)
    return f"<corrupt time val: {value:x}" if time is None else f"{time:%Y-%m-%dT%H:%M:%S}"


def _used(file: File, value: int) -> str:
    name = _string(file, value)
    return f"Not needed object: [{name}]" if name else f"0x{value:x}"


_OWN_VALUES: Final[dict[int, Callable[[File, int], str]]] = {
    dt.DT_FLAGS: _df,
    dt.DT_FLAGS_1: lambda _, value: _set(_DF_1, value),
    _DT_GNU_FLAGS_1: lambda _, value: _set(["UNIQUE"], value),
    _DT_FEATURE: lambda _, value: _set(["PARINIT", "CONFEXP"], value),
    _DT_POSFLAG_1: lambda _, value: _set(["LAZYLOAD", "GROUPPERM"], value),
    dt.DT_PLTREL: tag_name,
    dt.DT_BIND_NOW: lambda _file, _value: "",
    _DT_GNU_PRELINKED: _prelinked,
    _DT_USED: _used,
}

# Tags of MIPS whose value is a plain number.
_MIPS_COUNTS: Final = frozenset(
    {
        0x70000001, 0x7000000A, 0x7000000B, 0x70000010, 0x70000011, 0x70000012, 0x70000014, 0x70000018, 0x7000001A,
        0x7000001C, 0x7000001E, 0x70000021, 0x7000002F,
    }
)  # fmt: skip


def _mips(file: File, tag: int, value: int) -> str:
    if tag == 0x70000005:  # DT_MIPS_FLAGS
        return " ".join(n for i, n in enumerate(_MIPS_FLAGS) if value >> i & 1) if value else "NONE"
    if tag == 0x70000004:  # DT_MIPS_IVERSION
        name = _string(file, value)
        return "Interface Version: " + (f"<corrupt: {value:x}>" if name is None else name)
    if tag == 0x70000002:  # DT_MIPS_TIME_STAMP
        time = _time(value)
        return "Time Stamp: " + ("<corrupt>" if time is None else f"{time:%Y-%m-%dT%H:%M:%S}")
    return f"{value}" if tag in _MIPS_COUNTS else f"0x{value:x}"


def _aarch64(_: File, tag: int, value: int) -> str:
    return "" if tag in (0x70000001, 0x70000003) else f"0x{value:x}"  # BTI_PLT and PAC_PLT are flags


_MACHINE_VALUES: Final[dict[int, Callable[[File, int, int], str]]] = {
    _EM_MIPS: _mips,
    _EM_MIPS_RS3_LE: _mips,
    _EM_AARCH64: _aarch64,
}


# what other tables need ----------------------------------------------------------------------------------------


def gnu_hash_address(file: File) -> int:
    """The address of the GNU hash table, or of MIPS's variant of it; 0 for none."""
    info = file.dynamic_info
    mips = info.get(_DT_MIPS_XHASH, 0) if file.machine in (_EM_MIPS, _EM_MIPS_RS3_LE) else 0
    return mips or info.get(dt.DT_GNU_HASH, 0)


def has_mips_hash(file: File) -> bool:
    """Whether the GNU hash table is MIPS's variant of it."""
    return file.machine in (_EM_MIPS, _EM_MIPS_RS3_LE) and bool(file.dynamic_info.get(_DT_MIPS_XHASH))


def _find_symbols(file: File) -> bool:
    """The dynamic symbols of a file without section headers, when they are asked for (-D)."""
    if file.dynamic_symbols is not None or not file.options.use_dynamic or file.options.dynamic_symbols:
        return True
    info = file.dynamic_info
    address, entry = info.get(dt.DT_SYMTAB, 0), info.get(dt.DT_SYMENT, 0)
    count = _symbol_count(file)
    if not count or not address or not entry:
        return True
    for s in file.segments:
        if s.type == PT_LOAD and s.vaddr & -s.align <= address < s.vaddr + s.filesz:
            offset = address - s.vaddr + s.offset
            if file.take(offset, count * entry, "symbols") is None:
                file.out.error("Corrupt DT_SYMTAB dynamic entry")
                return False
            file.dynamic_symbols = read_symbol_rows(file.source, offset, count)
            break
    return True


def _symbol_count(file: File) -> int:
    count = 0
    if address := file.dynamic_info.get(dt.DT_HASH, 0):
        try:
            count = count_from_sysv_hash(file.source, file.offset_of(address, 16))
        except MalformedElf as error:
            file.out.error(str(error))
    if (address := gnu_hash_address(file)) and not has_mips_hash(file):
        try:
            at = file.offset_of(address, 16)
            if any(gnu_chain_lengths(file.source, at)):
                count = max(count, count_from_gnu_hash(file.source, at) or 0)
        except MalformedElf as error:
            file.out.error(str(error))
    return count


def _find_strings(file: File) -> None:
    """The dynamic strings, of a file whose section .dynstr did not give them already."""
    info = file.dynamic_info
    address, size = info.get(dt.DT_STRTAB, 0), info.get(dt.DT_STRSZ, 0)
    if file.dynamic_strings is not None or not address or not size:
        return
    file.dynamic_strings = file.take(file.offset_of(address, size), size, "dynamic string table")
    if file.dynamic_strings is None:
        file.out.error("Corrupt DT_STRTAB dynamic entry")
