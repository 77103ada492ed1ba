"""The ELF objects in the memory of a running process: which there are, and what one of them says there.

Only reading, through /proc/PID/maps and /proc/PID/mem; the process is not stopped. An object's file may be gone or
replaced, and an object may never have been a file (the vDSO, what a loader placed there): what counts is that a
mapping starts with ELF's magic number. The image put together here has each segment at its file offset, so all of
`latebind.elf` reads it as it reads a file. What the dynamic linker wrote is seen as it is, but for the addresses in
the dynamic section, which glibc makes absolute: those are made relative again.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

from latebind.elf import dynamic as dyn
from latebind.elf.bytesource import ByteSource, RuntimeAddress
from latebind.elf.header import Header, read_header
from latebind.elf.segment import PT_DYNAMIC, PT_LOAD, Segment, read_segments
from latebind.errors import MalformedElf, NotFound, SystemFailure, Tried, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT: Final = 1 << 30  # bytes of one object that are copied out of the process
_CHUNK: Final = 1 << 20
_MAPS_LINE: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ *(.*)")
# The tags that glibc relocates in place (elf/get-dynamic-info.h).
_RELOCATED_TAGS: Final = frozenset({
    dyn.DT_HASH, dyn.DT_PLTGOT, dyn.DT_STRTAB, dyn.DT_SYMTAB, dyn.DT_RELA, dyn.DT_REL, dyn.DT_JMPREL, dyn.DT_RELR,
    dyn.DT_VERSYM, dyn.DT_GNU_HASH, dyn.DT_VERDEF, dyn.DT_VERNEED, dyn.DT_INIT, dyn.DT_FINI, dyn.DT_INIT_ARRAY,
    dyn.DT_FINI_ARRAY, dyn.DT_PREINIT_ARRAY,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MappedObject:
    """One object in a process: the address of its ELF header, the end of its last mapping, and what maps calls it."""

    start: RuntimeAddress
    end: RuntimeAddress
    path: str


@dataclass(frozen=True, slots=True)
class _Mapping:
    start: int
    end: int
    access: str
    offset: int
    path: str


def mapped_objects(pid: int) -> tuple[MappedObject, ...]:
    """The ELF objects that a linker has mapped in process `pid`, ordered by address.

    Raises `NotFound` where there is no such process and `SystemFailure` where the system does not let us read it.
    """
    mappings = _mappings(pid)
    with _Memory(pid) as memory:
        starts = [n for n, m in enumerate(mappings) if m.access[0] == "r" and memory.holds_object(m.start)]
    found = []
    for n, following in pairwise([*starts, len(mappings)]):
        own = [m for m in mappings[n:following] if m.path == mappings[n].path] if mappings[n].path else [mappings[n]]
        if len(own) == 1 and not {"w", "x"} & set(own[0].access):
            continue  # a file that somebody reads, and not an object that a linker has mapped
        name = mappings[n].path or "[anonymous]"
        found.append(MappedObject(RuntimeAddress(own[0].start), RuntimeAddress(own[-1].end), name))
    return tuple(found)


def read_image(pid: int, address: int) -> bytes:
    """The object whose ELF header is at `address` in process `pid`, as a file would hold it, without its sections.

    Raises `MalformedElf` where there is no ELF object, `Unsupported` for one of more than a gigabyte, `NotFound` and
    `SystemFailure` as `mapped_objects` does.
    """
    name = f"process {pid} at {address:#x}"
    with _Memory(pid) as memory:
        header, source = read_header(name, memory.read(address, 64))
        table = memory.read(address + header.phoff, header.phnum * header.phentsize)
        start = bytes(source.take(0, 64 if source.is64 else 52, "ELF header"))
        front = ByteSource(
            name, start.ljust(header.phoff, b"\0")[: header.phoff] + table, is64=source.is64, little=source.little
        )
        segments = read_segments(front, header)
        loads = [s for s in segments if s.type == PT_LOAD and s.filesz]
        size = max((s.offset + s.filesz for s in loads), default=0)
        if size > _LIMIT or sum(s.filesz for s in loads) > _LIMIT:
            raise Unsupported(name, f"its image has {size} bytes, more than the limit of {_LIMIT}")
        first = next((s for s in loads if s.offset == 0), None)
        if first is None:
            raise MalformedElf(name, None, "no loaded segment holds the ELF header")
        bias = address - first.vaddr
        image = bytearray(size)
        for segment in loads:
            image[segment.offset : segment.offset + segment.filesz] = memory.read(bias + segment.vaddr, segment.filesz)
    _drop_unloaded_sections(image, header, source)
    _unrelocate(image, source, segments, bias)
    return bytes(image)


def _drop_unloaded_sections(image: bytearray, header: Header, source: ByteSource) -> None:
    """Section headers are rarely loaded; then the file says that it has none."""
    if header.shoff + header.shnum * header.shentsize <= len(image):
        return
    word = "Q" if source.is64 else "I"
    struct.pack_into(source.prefix + word, image, 40 if source.is64 else 32, 0)
    struct.pack_into(source.prefix + "HH", image, 60 if source.is64 else 48, 0, 0)


def _unrelocate(image: bytearray, source: ByteSource, segments: tuple[Segment, ...], bias: int) -> None:
    """Take `bias` off the addresses in the dynamic section that lie where the object was placed."""
    segment = next((s for s in segments if s.type == PT_DYNAMIC), None)
    loads = [s for s in segments if s.type == PT_LOAD]
    if segment is None or not loads or bias == 0:
        return
    low, high = min(s.vaddr for s in loads) + bias, max(s.vaddr + s.memsz for s in loads) + bias
    form = struct.Struct(source.prefix + ("QQ" if source.is64 else "II"))
    for at in range(segment.offset, min(segment.offset + segment.filesz, len(image)) - form.size + 1, form.size):
        tag, value = form.unpack_from(image, at)
        if tag == dyn.DT_NULL:
            return
        if tag in _RELOCATED_TAGS and low <= value < high:
            form.pack_into(image, at, tag, value - bias)


def _mappings(pid: int) -> list[_Mapping]:
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
            return list(_parse_maps(maps.read()))
    except OSError as e:
        raise _failure(pid, "open", e) from e


def _parse_maps(text: str) -> Iterator[_Mapping]:
    for line in text.splitlines():
        match = _MAPS_LINE.fullmatch(line)
        if match:
            start, end, access, offset, path = match.groups()
            # maps writes a line feed in a name as \012
            yield _Mapping(int(start, 16), int(end, 16), access, int(offset, 16), path.replace("\\012", "\n"))


def _failure(pid: int, operation: str, error: OSError) -> NotFound | SystemFailure:
    if isinstance(error, (FileNotFoundError, ProcessLookupError)):
        return NotFound(f"process {pid}", None, (Tried(f"/proc/{pid}", "no such process"),))
    return SystemFailure(operation, error.errno or 0, f"/proc/{pid}")


class _Memory:
    """The memory of one process, opened for reading."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        try:
            self._fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise _failure(pid, "open", e) from e

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def holds_object(self, address: int) -> bool:
        """Whether an ELF object starts there; no for memory that cannot be read, as the kernel's [vvar].

        The magic number alone is not enough: ld.so keeps a copy of the first bytes to compare with.
        """
        try:
            start = os.pread(self._fd, 64, address)
            if len(start) < 64 or start[:4] != b"\x7fELF":
                return False
            header, _ = read_header("", start)
        except (OSError, OverflowError, MalformedElf):
            return False
        return header.version == 1 and header.phnum > 0 and header.phentsize == (56 if header.bits == 64 else 32)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`."""
        parts = []
        while size > 0:
            try:
                part = os.pread(self._fd, min(size, _CHUNK), address)
            except (OSError, OverflowError) as e:
                raise MalformedElf(f"process {self._pid}", None, f"no readable memory at {address:#x}") from e
            if not part:
                raise MalformedElf(f"process {self._pid}", None, f"no memory at {address:#x}: has the process ended?")
            parts.append(part)
            address, size = address + len(part), size - len(part)
        return b"".join(parts)
