"""Byte text: names as they stand in the file, and the limit on what a hostile string table gives out."""

from __future__ import annotations

import pytest

from latebind.elf.bytesource import ByteSource
from latebind.elf.section import Section
from latebind.elf.symbol_rows import ByteStrings, byte_text
from latebind.errors import MalformedElf


def strings(data: bytes) -> ByteStrings:
    source = ByteSource("file", data, is64=True, little=True)
    section = Section(1, ".strtab", 3, 0, 0, 0, len(data), 0, 0, 1, 0)  # type: ignore[arg-type]  # plain offsets
    return ByteStrings(source, section)


def test_a_name_is_one_character_a_byte() -> None:
    table = strings(b"\0caf\xc3\xa9\0\xff\0")
    assert [table[0], table[1], table[7]] == ["", "caf\xc3\xa9", "\xff"]
    assert byte_text("caf\xe9") == "caf\xc3\xa9"
    assert byte_text("\udcff") == "\xff"


def test_a_name_outside_the_table_is_none() -> None:
    assert strings(b"\0open")[1] is None
    assert strings(b"\0name\0")[6] is None


def test_strings_that_overlap_without_end_are_refused() -> None:
    table = strings(b"x" * (1 << 20) + b"\0")
    with pytest.raises(MalformedElf, match="overlap"):
        list(map(table.__getitem__, range(1 << 10)))
