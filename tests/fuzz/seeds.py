"""What the fuzzers start from: small files, made by hand, that together hold every table that latebind reads.

`seeds.py FOLDER` writes them to FOLDER/elf, and to FOLDER/match the same files as the C target takes them: behind a
header that says where their tables are (tests/fuzz/match_target.c). FOLDER/tools has the small ones behind each byte
that stands for an action of tools_target.py.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from latebind.elf import dynamic as dyn
from latebind.elf import read
from support.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.elf import Elf

_ACTIONS = 14  # as many as tools_target.py has; test_targets.py compares
_SMALL = 16384

_REAL = (
    "/usr/lib/x86_64-linux-gnu/crti.o",
    "/usr/lib/x86_64-linux-gnu/libdl.so.2",
    "/usr/lib/x86_64-linux-gnu/libz.so.1",
)


def shared_object(bits: int, *, little: bool, machine: int) -> bytes:
    """A shared object with symbols, versions, every kind of relocation table, an init array, a GOT and notes."""
    image = Image(bits, little, machine)
    word = bits // 8
    image.symbol("one", 0x440, size=8)
    image.symbol("two", info=0x20, section=0)
    image.symbol("three", 0x450, info=0x11)
    slots = image.add(image.words(*range(16)))
    rela = image.relocations([(slots, 6, 1, 0), (slots + word, 8, 0, 0x440), (slots + 2 * word, 7, 2, 0)])
    relr = image.words(slots + 4 * word, 0b10111)
    aps2 = b"APS2" + bytes([2, 8, 2, 1, 8, 8, 8])
    image.tags += [
        (dyn.DT_RELA, image.add(rela)), (dyn.DT_RELASZ, len(rela)), (dyn.DT_RELR, image.add(relr)),
        (dyn.DT_RELRSZ, len(relr)), (dyn.DT_ANDROID_REL, image.add(aps2)), (dyn.DT_ANDROID_RELSZ, len(aps2)),
        (dyn.DT_CREL, image.add(bytes([2 << 3 | 4, 0x0F, 1, 6, 1, 0x40]) + bytes(8))), (dyn.DT_PLTGOT, slots),
        (dyn.DT_INIT_ARRAY, slots), (dyn.DT_INIT_ARRAYSZ, 4 * word), (dyn.DT_FINI, 0x440),
        (dyn.DT_SONAME, image.string("libseed.so")), (dyn.DT_NEEDED, image.string("libother.so")),
    ]  # fmt: skip
    _versions(image)
    _notes(image)
    image.section(".got", 1, (slots, 8 * word), flags=3)
    image.section(".plt", 1, b"\xff\x25\xfa\xff\xff\xff\x68\x00" + bytes(8), flags=6)
    return image.build(headers=True)


def _versions(image: Image) -> None:
    own, old, theirs = (image.string(name) for name in ("libseed.so", "SEED_1", "OTHER_2"))
    file = image.string("libother.so")
    verdef = image.pack("HHHHIII", 1, 1, 1, 1, 7, 20, 28) + image.pack("II", own, 0)
    verdef += image.pack("HHHHIII", 1, 0, 2, 2, 8, 20, 0) + image.pack("IIII", old, 8, own, 0)
    verneed = image.pack("HHIII", 1, 1, file, 16, 0) + image.pack("IHHII", 9, 0, 3, theirs, 0)
    image.tags += [
        (dyn.DT_VERSYM, image.add(image.pack("4H", 0, 2, 3, 0x8002))),
        (dyn.DT_VERDEF, image.add(verdef)), (dyn.DT_VERDEFNUM, 2),
        (dyn.DT_VERNEED, image.add(verneed)), (dyn.DT_VERNEEDNUM, 1),
    ]  # fmt: skip


def _notes(image: Image) -> None:
    notes = image.note(b"GNU", 1, image.pack("4I", 0, 3, 2, 0)) + image.note(b"GNU", 3, b"\x12\x34")
    notes += image.note(b"GNU", 5, image.pack("IIII", 0xC0000002, 4, 3, 0))
    notes += image.note(b"FDO", 0x407C0C0A, b'[{"soname":["a"]}]') + image.note(b"latebind", 1, b"seed\x001.0\0")
    image.segments.append((4, image.add(notes), len(notes), len(notes)))


def gnu_hash() -> bytes:
    """A shared object whose symbols are found through DT_GNU_HASH."""
    image = Image(sysv_hash=False)
    for name in ("one", "two", "three"):
        image.symbol(name, 0x440)
    table = image.pack("IIIIQ", 1, 1, 1, 6, 0xFFFFFFFFFFFFFFFF) + image.pack(
        "4I", 1, 0x0B887686, 0x0B88A9A8, 0x10F2A44B
    )
    image.tags.append((dyn.DT_GNU_HASH, image.add(table)))
    return image.build()


def relocatable(bits: int, *, little: bool) -> bytes:
    """A relocatable file with symbols, relocations and compressed sections."""
    image = Image(bits, little, kind=1)
    image.symbol("one", 4)
    strings = image.section(".strtab", 3, bytes(image.strings))
    table = image.section(".symtab", 2, image.symbol_table(), link=strings, info=1)
    image.section(".rela.text", 4, image.relocations([(4, 2, 1, -4)]), link=table, info=1)
    image.section(".crel.text", 0x40000014, bytes([1 << 3 | 4, 0x0F, 1, 2, 1]), link=table, info=1)
    head = image.pack("IIQQ", 1, 0, 100, 1) if bits == 64 else image.pack("III", 1, 100, 1)
    image.section(".debug_info", 1, head + zlib.compress(bytes(100)), flags=0x800)
    return image.build(dynamic=False, headers=True)


def core() -> bytes:
    """A core file of one thread."""
    image = Image(kind=4)
    notes = image.note(b"CORE", 1, bytes(336)) + image.note(b"CORE", 6, image.words(6, 4096, 0, 0))
    notes += image.note(b"CORE", 0x46494C45, image.words(1, 4096, 0, 8192, 0) + b"/bin/x\0")
    notes += image.note(b"CORE", 3, bytes(136)) + image.note(b"CORE", 0x53494749, bytes(128))
    image.segments.append((4, image.add(notes), len(notes), 0))
    return image.build(dynamic=False)


def elf_seeds() -> Iterator[tuple[str, bytes]]:
    """(name, file) of every seed for the reader of ELF files."""
    for bits, little, machine in (
        (64, True, 62),
        (32, True, 3),
        (64, False, 22),
        (32, False, 8),
        (64, True, 183),
        (64, True, 8),
    ):
        yield f"shared-{bits}-{'le' if little else 'be'}-{machine}", shared_object(bits, little=little, machine=machine)
    yield "gnu-hash", gnu_hash()
    for bits, little in ((64, True), (32, False)):
        yield f"relocatable-{bits}", relocatable(bits, little=little)
    yield "core", core()
    yield "archive", b"!<arch>\n" + b"%-48s%-10d`\n" % (b"one.o/", 64) + core()[:64]
    for path in _REAL:
        if Path(path).exists():
            yield Path(path).name, Path(path).read_bytes()


def match_seed(elf: Elf) -> bytes:
    """`elf` behind the header that tells the C target where its tables are."""
    values = elf.dynamic.values

    def offset(tag: int) -> int:
        return elf.addresses.offset(values[tag], "") if tag in values else (1 << 64) - 1

    tables = (
        offset(dyn.DT_SYMTAB), offset(dyn.DT_STRTAB), values.get(dyn.DT_STRSZ, 0), offset(dyn.DT_GNU_HASH),
        offset(dyn.DT_HASH), offset(dyn.DT_VERSYM), offset(dyn.DT_VERDEF), values.get(dyn.DT_VERDEFNUM, 0),
        offset(dyn.DT_VERNEED), values.get(dyn.DT_VERNEEDNUM, 0),
    )  # fmt: skip
    relocations = [(t.offset, t.size, int(t.has_addend)) for t in elf.relocation_tables if t.tag != "RELR"][:2]
    relocations += [(0, 0, 0)] * (2 - len(relocations))
    swap = elf.source.little != (sys.byteorder == "little")
    numbers = (*tables, *(n for table in relocations for n in table))
    return struct.pack("=BB6x16Q", elf.source.is64, swap, *numbers) + bytes(elf.data)


def main(folder: Path) -> None:
    """Write all seeds."""
    for kind in ("elf", "match", "tools"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, data in elf_seeds():
        (folder / "elf" / name).write_bytes(data)
        for action in range(_ACTIONS if len(data) < _SMALL else 0):
            (folder / "tools" / f"{name}-{action}").write_bytes(bytes([action]) + data)
        if not data.startswith(b"!<arch>"):
            elf = read(data, name=name)
            if elf.is_dynamic:
                (folder / "match" / name).write_bytes(match_seed(elf))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
