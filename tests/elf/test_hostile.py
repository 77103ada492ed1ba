"""Small files that ask for much: each is answered or diagnosed in time and memory that grow with the file alone.

Every table that a file can make overlap, loop or explode has its attack here; the numbers are chosen so that a reader
that trusts them would need minutes or gigabytes.
"""

from __future__ import annotations

import struct
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from latebind import LatebindError, MalformedElf
from latebind.elf import dynamic as dyn
from latebind.elf import read, read_archive
from latebind.linkplan import make_plan
from latebind.linkplan.table import symbol_table
from support.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.elf import Elf

SECONDS = 8.0  # of processor time, with the allocator traced, which costs a factor of five
MEMORY_FACTOR = 400  # bytes of Python objects for one byte of the file: a relocation of two bytes is one object


def bounded(data: bytes, ask: Callable[[Elf], object]) -> None:
    """`ask` answers or is diagnosed, within the bounds."""
    tracemalloc.start()
    start = time.process_time()
    try:
        elf = read(data, name="hostile.so")
        ask(elf)
    except MalformedElf as e:
        assert e.file == "hostile.so"
    finally:
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < MEMORY_FACTOR * len(data) + (4 << 20)


def long_strings(count: int = 3000, length: int = 60_000) -> Image:
    """`count` symbols whose names are the suffixes of one string of `length` bytes."""
    image = Image()
    image.string(b"a" * length)
    image.symbols += [(1 + n, 0x40, 0, 0x12, 1) for n in range(count)]
    return image


def test_names_that_are_suffixes_of_one_another() -> None:
    data = long_strings().build()
    bounded(data, lambda elf: elf.symbols)
    with pytest.raises(MalformedElf, match="overlap again and again"):
        assert read(data).symbols


def test_names_that_are_suffixes_of_one_another_in_the_core() -> None:
    image = long_strings()
    rows = image.relocations([(0x40, 6, n, 0) for n in range(1, len(image.symbols))])
    image.tags += [(dyn.DT_RELA, image.add(rows)), (dyn.DT_RELASZ, len(rows))]
    bounded(image.build(), lambda elf: make_plan(elf).bindings_of(0))


def test_one_chain_for_all_symbols_and_a_reference_to_each() -> None:
    image = Image()
    for n in range(12_000):
        image.symbol(f"a{n}", 0x40)
    rows = image.relocations([(0x40, 6, n, 0) for n in range(1, 12_000)])
    image.tags += [(dyn.DT_RELA, image.add(rows)), (dyn.DT_RELASZ, len(rows))]
    bounded(image.build(), lambda elf: make_plan(elf).bindings_of(0))


def test_a_table_of_zero_bytes_as_strings() -> None:
    image = Image(strings=bytearray(4 << 20))
    image.symbols += [(n, 0x40, 0, 0x12, 1) for n in range(100)]
    bounded(image.build(), lambda elf: elf.symbols)


@pytest.mark.parametrize("count", [1 << 31, (1 << 32) - 1])
def test_a_hash_table_that_claims_billions_of_symbols(count: int) -> None:
    image = Image(sysv_hash=False)
    image.tags.append((dyn.DT_HASH, image.add(image.pack("IIII", 1, count, 1, 0))))
    with pytest.raises(MalformedElf, match="symbol table"):
        assert read(image.build()).symbols


def test_a_hash_chain_that_cycles_and_claims_billions_of_symbols() -> None:
    # Found by the fuzzer: one look-up walked the cycle as often as the table claims to have symbols.
    image = Image(sysv_hash=False)
    image.symbol("a")
    image.tags.append((dyn.DT_HASH, image.add(image.pack("IIIII", 1, 0xFFFFFFFF, 1, 0, 1))))
    start = time.process_time()
    assert symbol_table(read(image.build())).find("b") is None
    assert time.process_time() - start < SECONDS


def test_a_gnu_hash_chain_as_long_as_the_file() -> None:
    image = Image(sysv_hash=False)
    image.tags.append((dyn.DT_GNU_HASH, image.add(image.pack("IIIIQI", 1, 1, 1, 0, 0, 1) + bytes(2 << 20))))
    bounded(image.build(), lambda elf: elf.symbols)


def versions(tag: int, count: int, record: bytes) -> bytes:
    image = Image()
    image.string("V")
    image.tags += [(tag, image.add(record)), (tag + 1, count)]
    return image.build()


def test_version_needs_that_overlap() -> None:
    # Each record starts a byte after the one before and has 65535 names of its own: 4 billion names in 64 KiB.
    data = versions(dyn.DT_VERNEED, 1 << 20, bytes([1, 0, 255, 255]) + bytes([1, 0, 0, 0]) * 16384)
    bounded(data, lambda elf: elf.version_needs)
    bounded(data, make_plan)


def test_version_definitions_that_overlap() -> None:
    data = versions(dyn.DT_VERDEF, 1 << 20, bytes([1, 0, 0, 0, 1, 0, 255, 255]) + bytes([1, 0, 0, 0]) * 16384)
    bounded(data, lambda elf: elf.version_definitions)
    bounded(data, make_plan)


def test_version_indexes_that_rise_one_by_one() -> None:
    image = Image()
    name = image.string("V")
    records = b"".join(
        image.pack("HHHHIII", 1, 0, n, 1, n, 20, 28) + image.pack("II", name, 0) for n in range(2, 32768)
    )
    image.tags += [(dyn.DT_VERDEF, image.add(records)), (dyn.DT_VERDEFNUM, 32766)]
    bounded(image.build(), make_plan)


@pytest.mark.parametrize("count", [0xFFFF, 1 << 32])
def test_billions_of_sections(count: int) -> None:
    data = bytearray(Image().build(headers=True))
    (shoff,) = struct.unpack_from("<Q", data, 40)
    if count > 0xFFFF:
        data[60:62] = bytes(2)
        struct.pack_into("<Q", data, shoff + 32, count)
    else:
        struct.pack_into("<H", data, 60, count)
    with pytest.raises(MalformedElf, match="section header table"):
        assert read(bytes(data)).sections


def test_billions_of_segments() -> None:
    data = bytearray(Image().build(headers=True))
    (shoff,) = struct.unpack_from("<Q", data, 40)
    data[56:58] = b"\xff\xff"
    struct.pack_into("<I", data, shoff + 44, 0xFFFFFFFF)
    with pytest.raises(MalformedElf, match="program header table"):
        assert read(bytes(data)).segments


@pytest.mark.parametrize(("kind", "question"), [(2, "dynamic"), (3, "interpreter"), (4, "notes")])
def test_segments_that_reach_beyond_the_file(kind: int, question: str) -> None:
    image = Image()
    image.segments.append((kind, 0x100, 1 << 62, 1 << 62))
    elf = read(image.build(dynamic=False))
    with pytest.raises(MalformedElf, match="beyond the end of the file") as caught:
        getattr(elf, question)
    assert caught.value.offset == 0x100


def many_sections(kind: int, *, flags: int = 0, name: str = "s") -> bytes:
    """2,000 sections of one type over one table of 256 KiB."""
    image = Image(kind=1)
    table = image.add(bytes(1 << 18))
    for _ in range(2000):
        image.section(name, kind, (table, 1 << 18), flags=flags)
    return image.build(dynamic=False, headers=True)


@pytest.mark.parametrize("kind", [4, 9, 19])
def test_relocation_sections_that_overlap(kind: int) -> None:
    bounded(many_sections(kind), lambda elf: elf.section_relocations)


def test_note_sections_that_overlap() -> None:
    bounded(many_sections(7), lambda elf: (elf.notes, elf.section_notes))


def test_note_segments_that_overlap() -> None:
    image = Image()
    notes = image.add(image.note(b"x", 1, b"") * 20_000)
    image.segments += [(4, notes, 16 * 20_000, 0)] * 10
    bounded(image.build(), lambda elf: elf.notes)


def test_symbol_tables_that_overlap() -> None:
    image = Image(kind=1)
    table = image.add(bytes(24 << 12))
    strings = image.section(".strtab", 3, bytes(8))
    for _ in range(300):
        symbols = image.section(".symtab", 2, (table, 24 << 12), link=strings)
        image.section(".rela.x", 4, image.relocations([(0, 1, 1, 0)]), link=symbols)
    bounded(image.build(dynamic=False, headers=True), lambda elf: elf.section_relocations)


def test_relr_bitmaps_that_name_more_places_than_there_are() -> None:
    image = Image()
    packed = image.words(0x400) + b"\xff" * (1 << 18)
    image.tags += [(dyn.DT_RELR, image.add(packed)), (dyn.DT_RELRSZ, len(packed))]
    with pytest.raises(MalformedElf, match="more than the file's"):
        assert read(image.build()).relocations


def test_got_sections_by_the_thousand() -> None:
    image = Image()
    rows = image.relocations([(n, 1, 0, 0) for n in range(5000)])
    image.tags += [(dyn.DT_RELA, image.add(rows)), (dyn.DT_RELASZ, len(rows))]
    for _ in range(5000):
        image.section(".got", 1, (0x400, 1), flags=3)
    bounded(image.build(headers=True), lambda elf: elf.got)


def test_overlapping_loads_by_the_thousand() -> None:
    image = Image()
    data = bytearray(image.build())
    rows = struct.pack("<IIQQQQQQ", 1, 7, 0, 0, 0, len(data), len(data), 8) * 20_000
    struct.pack_into("<Q", data, 32, len(data))
    struct.pack_into("<H", data, 56, 20_000)
    with pytest.raises(MalformedElf, match="PT_LOAD segments overlap"):
        read(bytes(data) + rows).addresses.offset(0, "start")


def test_long_names_in_an_archive_that_overlap() -> None:
    names = b"a" * 200_000 + b"/\n"
    data = b"!<arch>\n" + b"//".ljust(48) + str(len(names)).encode().ljust(10) + b"`\n" + names
    data += b"".join(f"/{n}".encode().ljust(48) + b"0".ljust(10) + b"`\n" for n in range(5000))
    start = time.process_time()
    with pytest.raises(LatebindError):
        read_archive(data)
    assert time.process_time() - start < SECONDS


def test_plt_sections_that_overlap() -> None:
    image = Image()
    image.symbol("callee", section=0)
    slot = image.add(bytes(16))
    rows = image.relocations([(slot, 7, 1, 0)])
    image.tags += [(23, image.add(rows)), (2, len(rows)), (20, 7)]
    code = image.add(b"\xff\x25" * (1 << 16))
    for _ in range(1000):
        image.section(".plt", 1, (code, 1 << 17), flags=6)
    bounded(image.build(headers=True), lambda elf: elf.plt)
