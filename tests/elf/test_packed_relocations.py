"""Android's APS2 and CREL: the tables unpack to what was packed, and bad ones are diagnosed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import MalformedElf
from latebind.elf import read
from latebind.linkplan.resolve import references
from support.image import Image


def sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        done = (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def uleb(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def crel(entries: list[tuple[int, int, int, int]], shift: int = 0) -> bytes:
    """A CREL table of (place, type, symbol, addend); places ascend."""
    out = bytearray(uleb(len(entries) << 3 | 4 | shift))
    before = (0, 0, 0, 0)
    for place, kind, symbol, addend in entries:
        distance = place - before[0] >> shift
        flags = (symbol != before[2]) | (kind != before[1]) << 1 | (addend != before[3]) << 2
        if distance < 16:
            out.append(distance << 3 | flags)
        else:
            out.append((distance & 15) << 3 | flags | 0x80)
            out += uleb(distance >> 4)
        for now, then in ((symbol, before[2]), (kind, before[1]), (addend, before[3])):
            if now != then:
                out += sleb(now - then)
        before = (place, kind, symbol, addend)
    return bytes(out)


def android(*numbers: int) -> Image:
    image = Image()
    image.symbol("callee")
    table = b"APS2" + b"".join(map(sleb, numbers))
    image.tags += [(0x60000011, image.add(table)), (0x60000012, len(table))]
    image.add(bytes(4096))  # packed entries must have room for the places that they name
    return image


def test_a_group_shares_what_its_flags_say() -> None:
    jump_slot = 1 << 32 | 7
    relocations = read(
        android(
            5, 0x1000,
            2, 1 | 2 | 4 | 8, 8, 8, 0x40,  # info, distance and (signed, added) addend shared
            2, 1 | 8, jump_slot, 16, -1, 4, 3,  # only the info shared
            1, 2, 4, jump_slot,  # a distance shared, no addend
        ).build()
    ).relocations  # fmt: skip
    assert [(r.offset, r.type_name, r.symbol, r.addend) for r in relocations] == [
        (0x1008, "R_X86_64_RELATIVE", 0, 0x40),
        (0x1010, "R_X86_64_RELATIVE", 0, 0x40),
        (0x1020, "R_X86_64_JUMP_SLOT", 1, 0x3F),
        (0x1024, "R_X86_64_JUMP_SLOT", 1, 0x42),
        (0x1028, "R_X86_64_JUMP_SLOT", 1, 0),
    ]


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ((1 << 50, 0, 1 << 50, 7, 8, 8), "claims"),
        ((3, 0, 4, 3, 8, 8), "group of 4 entries where 3 are left"),
        ((3, 0, 0, 3), "group of 0 entries"),
        ((-1, 0), "claims -1"),
        ((4, 0, 4, 3), "cut off"),
    ],
)
def test_bad_groups_are_diagnosed(numbers: tuple[int, ...], what: str) -> None:
    elf = read(android(*numbers).build())
    with pytest.raises(MalformedElf, match=what):
        assert elf.relocations


def test_a_number_without_an_end_is_diagnosed() -> None:
    image = Image()
    image.tags += [(0x60000011, image.add(b"APS2" + b"\x80" * 1000)), (0x60000012, 1004)]
    with pytest.raises(MalformedElf, match="more than 64 bits"):
        assert read(image.build()).relocations


entry = st.tuples(st.integers(0, 2**20), st.integers(0, 300), st.integers(0, 5000), st.integers(-(2**40), 2**40))


@given(st.lists(entry, max_size=30), st.integers(0, 3))
def test_crel_unpacks_what_was_packed(entries: list[tuple[int, int, int, int]], shift: int) -> None:
    packed = sorted((place << shift, kind, symbol, addend) for place, kind, symbol, addend in entries)
    image = Image(kind=1)
    image.section(".crel.text", 0x40000014, crel(packed, shift))
    (group,) = read(image.build(dynamic=False, headers=True)).section_relocations
    assert [(r.offset, r.type, r.symbol, r.addend) for r in group.entries] == packed


def test_dynamic_crel_needs_no_size() -> None:
    image = Image()
    image.symbol("callee")
    image.tags.append((0x40000026, image.add(crel([(0x40, 7, 1, 0)]))))
    (found,) = read(image.build()).relocations
    assert (found.offset, found.type_name, found.symbol, found.addend) == (0x40, "R_X86_64_JUMP_SLOT", 1, 0)


def test_a_plan_sees_the_references_of_packed_relocations() -> None:
    elf = read(android(2, 0x1000, 2, 1 | 8, 1 << 32 | 7, 8, 0, 8, 0).build())
    assert references(elf) == [(1, 7)]


def test_crel_that_claims_too_much_is_diagnosed() -> None:
    image = Image(kind=1)
    image.section(".crel.text", 0x40000014, uleb(1 << 40))
    with pytest.raises(MalformedElf, match="claims"):
        assert read(image.build(dynamic=False, headers=True)).section_relocations
