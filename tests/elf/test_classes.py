"""Both classes and byte orders, on files made by hand."""

from __future__ import annotations

import pytest

from latebind.elf import read
from latebind.elf.relocation import relocation_name
from latebind.linkplan.resolve import references
from latebind.linkplan.table import symbol_table
from support.image import Image

EVERY = pytest.mark.parametrize(("bits", "little"), [(32, True), (32, False), (64, True), (64, False)])


@EVERY
def test_symbols_and_relocations_read_the_same(bits: int, *, little: bool) -> None:
    image = Image(bits, little, machine=22)
    image.symbol("one", 0x1000, size=7)
    two = image.symbol("two", info=0x20, section=0)
    place = image.add(image.words(5))
    rows = image.relocations([(place, 10, two, 0), (place + 8, 12, 0, -3)])
    image.tags += [(7, image.add(rows)), (8, len(rows))]
    elf = read(image.build())
    assert elf.header.bits == bits
    assert [(s.name, s.value, s.size, s.binding_name, s.defined) for s in elf.symbols[1:]] == [
        ("one", 0x1000, 7, "GLOBAL", True),
        ("two", 0, 0, "WEAK", False),
    ]
    assert [(r.offset, r.type_name, r.symbol, r.addend) for r in elf.relocations] == [
        (place, "R_390_GLOB_DAT", 2, 0),
        (place + 8, "R_390_RELATIVE", 0, -3),
    ]


@EVERY
def test_rel_has_no_addends(bits: int, *, little: bool) -> None:
    image = Image(bits, little, machine=20)
    rows = image.relocations([(0x40, 22, 0, 0), (0x48, 1, 1, 0)], addends=False)
    image.symbol("x")
    image.tags += [(17, image.add(rows)), (18, len(rows))]
    elf = read(image.build())
    assert [(r.offset, r.type_name, r.symbol, r.addend) for r in elf.relocations] == [
        (0x40, "R_PPC_RELATIVE", 0, None),
        (0x48, "R_PPC_ADDR32", 1, None),
    ]


@EVERY
def test_relr_names_words(bits: int, *, little: bool) -> None:
    image = Image(bits, little)
    word = bits // 8
    start = image.add(bytes(64 * word))
    packed = image.words(start, 0b1011, 1 << (bits - 1) | 1)
    image.tags += [(36, image.add(packed)), (35, len(packed))]
    places = read(image.build()).relocations.column("offset")
    assert list(places) == [start, start + word, start + 3 * word, start + word + 2 * (bits - 1) * word - word]


@EVERY
def test_sections_and_their_names(bits: int, *, little: bool) -> None:
    image = Image(bits, little)
    image.section(".data.one", 1, b"abc", flags=3)
    elf = read(image.build(headers=True))
    section = elf.section(".data.one")
    assert section is not None
    assert (section.size, section.flags, elf.section_contents(section)) == (3, 3, b"abc")
    assert elf.sections[-1].name == ".shstrtab"


def test_the_64_bit_hash_table_of_s390x_has_wide_entries() -> None:
    image = Image(64, little=False, machine=22, sysv_hash=False)
    image.symbol("wide", 0x10)
    image.tags.append((4, image.add(image.pack("5Q", 1, 2, 1, 0, 0))))
    elf = read(image.build())
    assert [s.name for s in elf.symbols] == ["", "wide"]
    assert elf.hash_tables[0].lengths == ((1, 1),)
    found = symbol_table(elf).find("wide")
    assert found is not None
    assert found[2] == 1


@pytest.mark.parametrize("little", [True, False])
def test_64_bit_mips_packs_three_types_into_one_relocation(*, little: bool) -> None:
    image = Image(64, little, machine=8)
    symbol = image.symbol("global")
    info = image.pack("IBBBB", symbol, 0, 0, 18, 3)
    image.tags += [(17, image.add(image.words(0x80) + info)), (18, 16)]
    elf = read(image.build())
    (entry,) = elf.relocations
    assert (entry.symbol, entry.type_name) == (symbol, "R_MIPS_REL32/R_MIPS_64")
    assert references(elf) == [(symbol, entry.type)]


def test_a_section_number_beyond_16_bits_comes_from_the_index_table() -> None:
    image = Image()
    image.symbol("far", section=0xFFFF)
    image.tags.append((34, image.add(image.pack("II", 0, 70000))))
    assert read(image.build()).symbols[1].section == 70000


def test_processor_specific_numbers_are_named_by_machine() -> None:
    tags = [(0x70000001, 1)]
    names = {}
    for machine in (8, 183, 62):
        image = Image(machine=machine, tags=list(tags))
        names[machine] = read(image.build()).dynamic.entries[0].tag_name
    assert names == {8: "MIPS_RLD_VERSION", 183: "AARCH64_BTI_PLT", 62: "X86_64_PLTSZ"}


@pytest.mark.parametrize(
    ("machine", "number", "name"),
    [
        (62, 7, "R_X86_64_JUMP_SLOT"),
        (62, 43, "R_X86_64_CODE_4_GOTPCRELX"),
        (3, 7, "R_386_JUMP_SLOT"),
        (183, 1026, "R_AARCH64_JUMP_SLOT"),
        (40, 22, "R_ARM_JUMP_SLOT"),
        (243, 5, "R_RISCV_JUMP_SLOT"),
        (21, 21, "R_PPC64_JMP_SLOT"),
        (22, 11, "R_390_JMP_SLOT"),
        (8, 127, "R_MIPS_JUMP_SLOT"),
        (258, 5, "R_LARCH_JUMP_SLOT"),
        (43, 0x521, "R_SPARC_OLO10"),
        (62, 999, "type 999 of machine 62"),
    ],
)
def test_relocations_are_named_by_machine(machine: int, number: int, name: str) -> None:
    assert relocation_name(machine, number) == name
