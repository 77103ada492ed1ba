"""Packed plans made by hand, for tests of the core alone: a test can also say what the planner never would.

    a = own(path)                                    # what the file says: segments, tables, symbols
    image, libc = run([a, resident("libc.so.6")])    # binds by name in the given order, packs and executes
    function(image, a, "twice", c_int, c_int)(21)

The little ELF reader here is independent of `latebind.elf` on purpose, and knows 64-bit little-endian files only.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from latebind import _core
from latebind.linkplan.format import LAYOUTS, VERSION
from support.machine import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RESIDENT, SYSTEM, OWN = range(3)
WEAK_UNDEFINED, DATA, FUNCTION, IFUNC, TLS, ABSOLUTE, HOOK, UNRESOLVED = range(8)
TEXTREL, STATIC_TLS = 1, 2
NO_STRING: Final = 0xFFFFFFFF
PAGE: Final = os.sysconf("SC_PAGESIZE")

_PT_LOAD, _PT_DYNAMIC, _PT_TLS, _PT_GNU_EH_FRAME, _PT_GNU_RELRO = 1, 2, 7, 0x6474E550, 0x6474E552
_DT: Final = {
    "rela": (7, 8), "jmprel": (23, 2), "relr": (36, 35), "init_array": (25, 27), "fini_array": (26, 28)
}  # fmt: skip
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_INIT, _DT_FINI, _DT_TEXTREL, _DT_FLAGS, _DT_GNU_HASH = (
    4, 5, 6, 12, 13, 22, 30, 0x6FFFFEF5
)  # fmt: skip
_KINDS: Final = {6: TLS, 10: IFUNC, 2: FUNCTION}


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A dynamic symbol: `kind` is the binding kind that a reference to it gets."""

    name: str
    value: int
    size: int
    kind: int
    weak: bool
    defined: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """What a reference binds to."""

    kind: int
    object: int = 0xFFFFFFFF
    value: int = 0


@dataclass
class PlanObject:
    """One object of a plan; every field may be changed before it is packed."""

    fields: dict[str, int]
    source: int | bytes | bytearray | memoryview | str | tuple[int, int, int | None]
    segments: list[dict[str, int]] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    references: set[int] = field(default_factory=set)
    find: Callable[[str], Binding | None] = lambda _name: None

    def symbol(self, name: str) -> Symbol:
        """Its definition of `name`."""
        return next(s for s in self.symbols if s.name == name and s.defined)


class File:
    """The parts of an ELF file that a plan is made of."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        assert data[:6] == b"\x7fELF\x02\x01"
        start, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
        self.segments = []
        for i in range(count):
            kind, flags, offset, vaddr, _, filesz, memsz, align = struct.unpack_from("<II6Q", data, start + 56 * i)
            self.segments.append(Segment(kind, flags, offset, vaddr, filesz, memsz, align))
        at = self.segment(_PT_DYNAMIC)
        assert at is not None
        pairs = [struct.unpack_from("<qQ", data, at.offset + i) for i in range(0, at.file_size, 16)]
        self.dynamic: dict[int, int] = dict(pairs[: [tag for tag, _ in pairs].index(0)])

    def segment(self, kind: int) -> Segment | None:
        """The first segment of a type."""
        return next((s for s in self.segments if s.type == kind), None)

    def offset(self, address: int) -> int:
        """Where a virtual address is in the file."""
        load = next(s for s in self.segments if s.type == _PT_LOAD and 0 <= address - s.address < s.file_size)
        return load.offset + address - load.address

    def range(self, name: str) -> tuple[int, int]:
        """(address, size) of one of the dynamic section's tables; (0, 0) where absent."""
        place, size = _DT[name]
        return (self.dynamic[place], self.dynamic[size]) if self.dynamic.get(size) else (0, 0)

    def relocations(self) -> list[tuple[int, int, int, int]]:
        """(offset in the file, type, symbol, addend) of every RELA and JMPREL record."""
        found = []
        for name in ("rela", "jmprel"):
            address, size = self.range(name)
            first = self.offset(address) if size else 0
            for at in range(first, first + size, 24):
                _, info, addend = struct.unpack_from("<QQq", self.data, at)
                found.append((at, info & 0xFFFFFFFF, info >> 32, addend))
        return found

    def symbols(self) -> list[Symbol]:
        """The dynamic symbols that a hash table or a relocation mentions, by index."""
        count = max((self._hashed(), *(symbol + 1 for _, _, symbol, _ in self.relocations())))
        first, names = self.offset(self.dynamic[_DT_SYMTAB]), self.offset(self.dynamic[_DT_STRTAB])
        found = []
        for i in range(count):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, first + 24 * i)
            text = self.data[names + name : self.data.index(b"\0", names + name)].decode()
            kind = ABSOLUTE if section == 0xFFF1 else _KINDS.get(info & 15, DATA)
            found.append(Symbol(text, value, size, kind, weak=info >> 4 == 2, defined=section != 0))
        return found

    def _hashed(self) -> int:
        """One more than the largest symbol index: DT_HASH's chain count, or the end of DT_GNU_HASH's last chain."""
        if _DT_HASH in self.dynamic:
            return int(struct.unpack_from("<I", self.data, self.offset(self.dynamic[_DT_HASH]) + 4)[0])
        at = self.offset(self.dynamic[_DT_GNU_HASH])
        buckets, first, bloom, _ = struct.unpack_from("<4I", self.data, at)
        at += 16 + 8 * bloom
        last = max(struct.unpack_from(f"<{buckets}I", self.data, at))
        if last < first:
            return int(first)
        while not struct.unpack_from("<I", self.data, at + 4 * (buckets + last - first))[0] & 1:
            last += 1
        return int(last + 1)


def own(path: Path, *, data: bytes | None = None) -> PlanObject:
    """The object that `path` (or `data`) describes, to be mapped; its file stays open until the process ends."""
    elf = File(path.read_bytes() if data is None else data)
    loads = [s for s in elf.segments if s.type == _PT_LOAD]
    low = loads[0].address & -PAGE
    high = -(-(loads[-1].address + loads[-1].memory_size) // PAGE) * PAGE
    textrel = _DT_TEXTREL in elf.dynamic or elf.dynamic.get(_DT_FLAGS, 0) & 4
    fields = {
        "role": OWN, "flags": TEXTREL if textrel else 0, "soname": NO_STRING, "path": NO_STRING, "build_id": NO_STRING,
        "low": low, "span": high - low, "align": max(PAGE, *(s.align for s in loads)),
        "init": elf.dynamic.get(_DT_INIT, 0), "fini": elf.dynamic.get(_DT_FINI, 0),
    }  # fmt: skip
    for name in _DT:
        fields[f"{name}.address"], fields[f"{name}.size"] = elf.range(name)
    for name, kind in (("relro", _PT_GNU_RELRO), ("eh_frame_header", _PT_GNU_EH_FRAME), ("tls_image", _PT_TLS)):
        if (s := elf.segment(kind)) is not None:
            fields[f"{name}.address"] = s.address
            fields[f"{name}.size"] = s.file_size if kind == _PT_TLS else s.memory_size
            if kind == _PT_TLS:
                fields |= {"tls_size": s.memory_size, "tls_align": s.align}
    segments = [
        {"address": s.address, "file_offset": s.offset, "file_size": s.file_size, "memory_size": s.memory_size,
         "protection": s.flags & 7}
        for s in loads
    ]  # fmt: skip
    source = os.open(path, os.O_RDONLY) if data is None else data
    references = {symbol for _, _, symbol, _ in elf.relocations() if symbol}
    return PlanObject(fields, source, segments, elf.symbols(), references)


Place: TypeAlias = tuple[int, int, int | None]
"""(base, TLS module or 0, offset from the thread pointer or None) of an object in the process."""


def present(source: Place, find: Callable[[str], Binding | None], role: int = RESIDENT) -> PlanObject:
    """An object that is in the process already; `find` gives a name's binding, with any object index."""
    names = dict.fromkeys(("soname", "path", "build_id"), NO_STRING)
    return PlanObject({"role": role, **names}, source, find=find)


def resident(name: str) -> PlanObject:
    """The system linker's object whose path ends with `name`; its TLS block is asked for."""
    path, base = next((path, base) for path, base, *_ in _core.link_map() if path.endswith(name))
    symbols = {s.name: s for s in File(Path(path).read_bytes()).symbols() if s.defined}

    def find(wanted: str) -> Binding | None:
        s = symbols.get(wanted)
        return None if s is None else Binding(s.kind, value=s.value)

    return present((base, *_core.tls_of(base)), find)


def bind(objects: Sequence[PlanObject], at: PlanObject, hooks: Sequence[str] = ()) -> dict[int, Binding]:
    """Each symbol that the tables of `at` refer to, bound by name: to a hook, else to the first object that has it."""
    bound = {}
    for index in sorted(at.references):
        symbol = at.symbols[index]
        missing = Binding(WEAK_UNDEFINED if symbol.weak else UNRESOLVED)
        bound[index] = Binding(HOOK, value=hooks.index(symbol.name)) if symbol.name in hooks else missing
        for i, other in enumerate(objects if symbol.name not in hooks else ()):
            found = other.find(symbol.name)
            here = [s for s in other.symbols if s.name == symbol.name and s.defined]
            if here or found is not None:
                kind, value = (here[0].kind, here[0].value) if here else (found.kind, found.value)  # type: ignore[union-attr]
                bound[index] = Binding(kind, i, value)
                break
    return bound


def _record(name: str, fields: Mapping[str, Any]) -> bytes:
    unknown = set(fields) - {key for key, _ in LAYOUTS[name]}
    assert not unknown, f"{name} has no field {unknown}"
    values = [fields.get(key, b"" if code.endswith("s") else 0) for key, code in LAYOUTS[name]]
    return struct.pack("<" + "".join(code for _, code in LAYOUTS[name]), *values)


def pack(
    objects: Sequence[PlanObject],
    bindings: Sequence[Mapping[int, Binding]] | None = None,
    *,
    hooks: Sequence[str] = (),
    order: Sequence[int] | None = None,
    header: Mapping[str, Any] | None = None,
) -> bytes:
    """The packed plan. `bindings`: per object, symbol index → binding (default: `bind`); `header`: fields to change."""
    bound = bindings if bindings is not None else [bind(objects, o, hooks) for o in objects]
    packed = bytearray()
    segments: list[dict[str, int]] = []
    rows: list[dict[str, int]] = []
    for o, own_bindings in zip(objects, bound, strict=True):
        slices = {"first_segment": len(segments), "segments": len(o.segments),
                  "first_binding": len(rows), "bindings": len(own_bindings)}  # fmt: skip
        packed += _record("lb_plan_object", slices | o.fields)
        segments += o.segments
        rows += [{"symbol": i, "kind": b.kind, "object": b.object, "value": b.value} for i, b in own_bindings.items()]
    places = range(len(objects)) if order is None else order
    parts = {
        "objects": (bytes(packed), len(objects)),
        "segments": (b"".join(_record("lb_plan_segment", s) for s in segments), len(segments)),
        "bindings": (b"".join(_record("lb_plan_binding", r) for r in rows), len(rows)),
        "order": (b"".join(struct.pack("<I", i) for i in places), len(places)),
        "strings": (b"libtest.so\0", 11),
    }
    fields: dict[str, Any] = {
        "magic": b"LBPLAN\r\n",
        "version": VERSION,
        "machine": HERE.number,
        "elf_class": 2,
        "elf_data": 1,
    }
    body = b""
    start = len(_record("lb_plan_header", {}))
    for name, (data, count) in parts.items():
        body += bytes(-len(body) % 8)
        fields |= {f"{name}.offset": start + len(body), f"{name}.count": count}
        body += data
    fields["size"] = start + len(body)
    return _record("lb_plan_header", fields | dict(header or {})) + body


def run(
    objects: Sequence[PlanObject], *, hooks: Mapping[str, int] | None = None, **options: Any
) -> tuple[_core.Object, ...]:
    """Pack and execute; the images of the objects that were mapped, in order."""
    named = dict(hooks or {})
    plan = pack(objects, hooks=list(named), **options)
    arrived = _core.execute(plan, [o.source for o in objects], list(named.values()))
    images = [one for one in arrived if not isinstance(one, tuple)]
    assert [image is None for image in images] == [isinstance(o.source, tuple) for o in objects]
    return tuple(image for image in images if image is not None)


def address(image: _core.Object, o: PlanObject, name: str) -> int:
    """The runtime address of an object's own symbol."""
    return (image.base + o.symbol(name).value) % 2**64


def function(image: _core.Object, o: PlanObject, name: str, *types: Any) -> Callable[..., Any]:
    """Its symbol as a C function: result type first (default `int(void)`)."""
    return ctypes.CFUNCTYPE(*(types or (ctypes.c_int,)))(address(image, o, name))


def protection(at: int) -> str:
    """The permissions of the page at a runtime address, as /proc/self/maps has them; '' where nothing is mapped."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        first, _, end = line.split()[0].partition("-")
        if int(first, 16) <= at < int(end, 16):
            return line.split()[1]
    return ""
