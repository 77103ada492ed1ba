"""The packed plan: what the C core executes. Mirrors src/core/plan.h, which is the definition.

`LAYOUTS` states each record as (field, `struct` code); tests/linkplan/test_format.py compiles plan.h and compares
every size and offset with it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from latebind._core import pack_plan
from latebind.elf import Elf
from latebind.elf import dynamic as dyn
from latebind.elf.segment import PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_RELRO, PT_LOAD, Segment
from latebind.errors import MalformedElf, Unsupported
from latebind.linkplan.machines import MACHINES, UNKNOWN
from latebind.linkplan.roles import Role
from latebind.linkplan.table import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linkplan.plan import LinkPlan, PlannedObject
    from latebind.linkplan.resolve import type_of_job

MAGIC: Final = b"LBPLAN\r\n"
VERSION: Final = 2
NO_STRING: Final = 0xFFFFFFFF
NO_OBJECT: Final = 0xFFFFFFFF
PAGE: Final = 4096  # the smallest page of every machine that the core runs on

ROLE_NUMBERS: Final = {Role.RESIDENT: 0, Role.SYSTEM: 1, Role.OWN: 2}
OBJECT_TEXTREL, OBJECT_STATIC_TLS, OBJECT_ROOT, OBJECT_NODELETE, OBJECT_LAZY, OBJECT_GIVES_TLS = 1, 2, 4, 8, 16, 32
OBJECT_FRAMES_SOUND, OBJECT_BRANCH_TARGETS = 64, 128


def _range(name: str) -> tuple[tuple[str, str], ...]:
    return ((f"{name}.address", "Q"), (f"{name}.size", "Q"))


def _table(name: str) -> tuple[tuple[str, str], ...]:
    return ((f"{name}.offset", "I"), (f"{name}.count", "I"))


LAYOUTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "lb_plan_header": (
        ("magic", "8s"), ("version", "I"), ("machine", "H"), ("elf_class", "B"), ("elf_data", "B"), ("size", "Q"),
        *_table("objects"), *_table("segments"), *_table("bindings"), *_table("order"), *_table("strings"),
    ),
    "lb_plan_object": (
        ("role", "I"), ("flags", "I"), ("soname", "I"), ("path", "I"),
        ("device", "Q"), ("inode", "Q"), ("file_size", "Q"), ("mtime_ns", "Q"), ("build_id", "I"), ("reserved", "I"),
        ("low", "Q"), ("span", "Q"), ("align", "Q"),
        ("first_segment", "I"), ("segments", "I"), ("first_binding", "I"), ("bindings", "I"),
        *_range("relr"), *_range("rela"), *_range("jmprel"),
        *_range("symtab"), *_range("strtab"), *_range("program_headers"), ("dynamic", "Q"), ("pltgot", "Q"),
        *_range("init_array"), *_range("fini_array"), ("init", "Q"), ("fini", "Q"),
        *_range("relro"), *_range("eh_frame_header"), *_range("tls_image"), ("tls_size", "Q"), ("tls_align", "Q"),
    ),
    "lb_plan_segment": (
        ("address", "Q"), ("file_offset", "Q"), ("file_size", "Q"), ("memory_size", "Q"),
        ("protection", "I"), ("reserved", "I"),
    ),
    "lb_plan_binding": (("symbol", "I"), ("kind", "I"), ("object", "I"), ("reserved", "I"), ("value", "Q")),
}  # fmt: skip

_STRUCTS: Final = {name: struct.Struct("<" + "".join(code for _, code in fields)) for name, fields in LAYOUTS.items()}


# The parts of an object's record that the plan adds to what the file says.
_IDENTITY: Final = struct.Struct("<IIIIQQQQII")  # role … build_id, reserved
_SLICES: Final = struct.Struct("<IIII")  # first_segment, segments, first_binding, bindings
_SLICES_AT: Final = struct.calcsize("<IIIIQQQQIIQQQ")
_SLICES_END: Final = _SLICES_AT + _SLICES.size
_SEGMENT_SIZE: Final = _STRUCTS["lb_plan_segment"].size
_MARKED: Final = {number for number, row in MACHINES.items() if row.branch_targets is not None}
_NOT_MAPPED: Final = bytes(_STRUCTS["lb_plan_object"].size - _IDENTITY.size)


def record_size(name: str) -> int:
    """The packed size of one record, in bytes."""
    return _STRUCTS[name].size


def _record(name: str, fields: dict[str, int | bytes]) -> bytes:
    values = [fields.pop(key, 0) for key, _ in LAYOUTS[name]]
    if fields:
        raise KeyError(f"{name} has no field {sorted(fields)}")
    return _STRUCTS[name].pack(*values)


class _Strings:
    """The string table being built: each text once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[str, int] = {}

    def add(self, text: str | None) -> int:
        if text is None:
            return NO_STRING
        at = self._known.get(text)
        if at is None:
            at = self._known[text] = len(self.data)
            self.data += text.encode("utf-8", "surrogateescape") + b"\0"
        return at


def pack(plan: LinkPlan) -> bytes:
    """`plan` as one block for the core. Raises `Unsupported` for a file whose relocations have no addends (REL)."""
    return pack_with_targets(plan)[0]


def pack_with_targets(plan: LinkPlan) -> tuple[bytes, list[set[int]]]:
    """The same, and what each object that is mapped is bound to: the indexes of objects; nothing for the others."""
    strings = _Strings()
    static_tls, gives_tls = plan.needs_static_tls(), plan.gives_tls()
    objects: list[bytes] = []
    segments: list[bytes] = []
    jobs: list[type_of_job | None] = []
    originals: dict[int, set[int]] = {}
    segment_row = 0
    for item in plan.objects:
        index, elf = item.index, item.elf
        flags = _flags(item) | (OBJECT_LAZY if plan.lazy and plan.is_lazy(item) else 0)
        if index in static_tls:
            flags |= OBJECT_STATIC_TLS
        if index in gives_tls:
            flags |= OBJECT_GIVES_TLS
        objects.append(_IDENTITY.pack(*_identity(item, flags, strings)))
        if item.present or item.role is not Role.OWN:
            objects.append(_NOT_MAPPED)
            jobs.append(None)
            continue
        patches, originals[index] = plan.patches_of(index)
        jobs.append(plan.bound(index).job(patches))
        record, loads = _layout(elf)
        count = len(loads) // _SEGMENT_SIZE
        objects += (record[_IDENTITY.size : _SLICES_AT], _SLICES.pack(segment_row, count, 0, 0), record[_SLICES_END:])
        segments.append(loads)
        segment_row += count
    order = struct.pack(f"<{len(plan.init_order)}I", *plan.init_order)
    file = plan.root.elf.summary
    machine = file.machine, file.elf_class, file.data
    packed, targets = pack_plan(machine, b"".join(objects), b"".join(segments), tuple(jobs), order, strings.data)
    for index, found in originals.items():
        targets[index] |= found
    return packed, targets


def with_sound_frames(packed: bytes | memoryview, indexes: Iterable[int]) -> bytes:
    """The packed plan with a note that the .eh_frame sections of objects `indexes` need not be walked again."""
    fields = [name for name, _ in LAYOUTS["lb_plan_header"]]
    objects = _STRUCTS["lb_plan_header"].unpack_from(packed)[fields.index("objects.offset")]
    changed = bytearray(packed)
    for index in indexes:
        at = objects + index * record_size("lb_plan_object") + 4  # `flags` is the second word
        struct.pack_into("<I", changed, at, struct.unpack_from("<I", changed, at)[0] | OBJECT_FRAMES_SOUND)
    return bytes(changed)


def _identity(item: PlannedObject, flags: int, strings: _Strings) -> tuple[int, ...]:
    """The first fields of an object's record, to its build-id."""
    elf = item.elf
    summary, plain, add = elf.summary, layout_of(elf), strings.add
    build_id = plain.build_id.hex() if plain is not None and plain.build_id else elf.build_id
    device, inode, size, mtime = summary.identity or (0, 0, 0, 0)
    soname, path = add(summary.soname), add(item.path if summary.identity is not None else None)
    return ROLE_NUMBERS[item.role], flags, soname, path, device, inode, size, mtime, add(build_id), 0


def _layout(elf: Elf) -> tuple[bytes, bytes]:
    """The record of an object that is mapped, as far as its file says, and those of its segments."""
    plain = layout_of(elf)
    if plain is not None:
        return plain.record, plain.segments
    loads = [s for s in elf.segments if s.type == PT_LOAD]
    return _record("lb_plan_object", _mapping(elf, loads) | _tables(elf)), b"".join([_segment(s) for s in loads])


def _flags(item: PlannedObject) -> int:
    d = item.elf.summary
    flags = OBJECT_ROOT if item.index == 0 else 0
    if d.flags & dyn.DF_TEXTREL:
        flags |= OBJECT_TEXTREL
    if d.flags_1 & dyn.DF_1_NODELETE:
        flags |= OBJECT_NODELETE
    if d.machine in _MARKED and item.role is Role.OWN and _marks_branch_targets(item.elf):
        flags |= OBJECT_BRANCH_TARGETS
    return flags


def _marks_branch_targets(elf: Elf) -> bool:
    """Whether the file says that all targets of indirect branches in it are marked."""
    marked = MACHINES.get(elf.summary.machine, UNKNOWN).branch_targets
    if marked is None:
        return False
    try:
        return any(p.type == marked[0] and p.value & marked[1] for p in elf.properties)
    except MalformedElf:
        return False  # a promise that cannot be read was not given: glibc passes over damaged notes too


def _mapping(elf: Elf, loads: list[Segment]) -> dict[str, int | bytes]:
    if not loads:
        raise elf.source.malformed("has no PT_LOAD segment: there is nothing to map")
    align = max(PAGE, *(s.align for s in loads), 0)
    # Whole pages, however large they are where it will be loaded: up to what the file was aligned for.
    page = min(align, MACHINES.get(elf.summary.machine, UNKNOWN).largest_page)
    low = min(s.vaddr for s in loads) & -page
    high = -(-max(s.vaddr + s.memsz for s in loads) // page) * page
    return {"low": low, "span": high - low, "align": align}


def _tables(elf: Elf) -> dict[str, int | bytes]:
    values = elf.dynamic.values
    if values.get(dyn.DT_RELSZ) or values.get(dyn.DT_PLTREL, dyn.DT_RELA) == dyn.DT_REL:
        raise Unsupported(
            elf.path, "uses REL relocations, which this machine's ABI does not", "rebuild it for this machine"
        )
    fields: dict[str, int | bytes] = {"init": values.get(dyn.DT_INIT, 0), "fini": values.get(dyn.DT_FINI, 0)}
    pairs = {
        "relr": (dyn.DT_RELR, dyn.DT_RELRSZ), "rela": (dyn.DT_RELA, dyn.DT_RELASZ),
        "jmprel": (dyn.DT_JMPREL, dyn.DT_PLTRELSZ),
        "init_array": (dyn.DT_INIT_ARRAY, dyn.DT_INIT_ARRAYSZ), "fini_array": (dyn.DT_FINI_ARRAY, dyn.DT_FINI_ARRAYSZ),
    }  # fmt: skip
    for name, (place, length) in pairs.items():
        if values.get(length):
            fields |= {f"{name}.address": values.get(place, 0), f"{name}.size": values[length]}
    if (layout := elf.symbol_layout) is not None:
        fields |= {
            "symtab.address": values[dyn.DT_SYMTAB],
            "symtab.size": layout.length * (24 if elf.source.is64 else 16),
        }
    fields |= {
        "strtab.address": values.get(dyn.DT_STRTAB, 0), "strtab.size": values.get(dyn.DT_STRSZ, 0),
        "pltgot": values.get(dyn.DT_PLTGOT, 0),
    }  # fmt: skip
    fields |= _program_headers(elf)
    for name, kind in (("relro", PT_GNU_RELRO), ("eh_frame_header", PT_GNU_EH_FRAME)):
        if (segment := elf.segment(kind)) is not None:
            fields |= {f"{name}.address": segment.vaddr, f"{name}.size": segment.memsz}
    if (tls := elf.tls) is not None:
        fields |= {
            "tls_image.address": tls.vaddr,
            "tls_image.size": tls.filesz,
            "tls_size": tls.memsz,
            "tls_align": max(tls.align, 1),
        }
    return fields


def _program_headers(elf: Elf) -> dict[str, int | bytes]:
    """Where the program headers and the dynamic section are in memory; nothing for headers that no segment holds."""
    dynamic = elf.segment(PT_DYNAMIC)
    fields: dict[str, int | bytes] = {"dynamic": dynamic.vaddr if dynamic is not None else 0}
    at, size = elf.header.phoff, len(elf.segments) * elf.header.phentsize
    for s in elf.segments:
        if s.type == PT_LOAD and s.offset <= at and at + size <= s.offset + s.filesz:
            fields |= {"program_headers.address": at - s.offset + s.vaddr, "program_headers.size": size}
            break
    return fields


def _segment(s: Segment) -> bytes:
    return _record(
        "lb_plan_segment",
        {
            "address": s.vaddr, "file_offset": s.offset, "file_size": s.filesz, "memory_size": s.memsz,
            "protection": s.flags & (PF_R | PF_W | PF_X),
        },
    )  # fmt: skip
