"""Hash statistics against readelf's histogram; broken chains are diagnosed."""

from __future__ import annotations

import re
import subprocess

import pytest

from latebind import MalformedElf
from latebind.elf import read
from latebind.elf.symbolhash import HashTable
from support import needs
from support.image import Image

LIBRARY = "/usr/lib/x86_64-linux-gnu/libz.so.1"


def histogram(path: str) -> dict[int, int]:
    """Chain length → number of buckets, as readelf counts them."""
    command = [needs.program("readelf", "binutils"), "-IW", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {int(n): int(count) for n, count in re.findall(r"^ +(\d+)  (\d+) +\(", text, re.MULTILINE) if int(count)}


def test_the_chains_of_a_gnu_hash_table_are_readelfs() -> None:
    (table,) = read(LIBRARY).hash_tables
    assert dict(table.lengths) == histogram(LIBRARY)
    assert table.longest == max(histogram(LIBRARY))
    assert 0 < table.bloom_fill < 1


def test_average_and_bloom_filter_are_computed_from_the_counts() -> None:
    table = HashTable("GNU_HASH", 4, 3, 1, ((0, 2), (1, 1), (2, 1)), bloom_words=1, bloom_word_bits=64, bloom_bits=16)
    assert table.average == (1 + 1 + 2) / 3
    assert table.bloom_fill == 0.25
    assert table.bloom_passes == 0.0625


def test_sysv_chains_are_counted() -> None:
    image = Image()
    for name in ("a", "b", "c"):
        image.symbol(name)
    (table,) = read(image.build()).hash_tables
    assert (table.kind, table.buckets, table.lengths, table.average) == ("HASH", 1, ((3, 1),), 2.0)


@pytest.mark.parametrize("chain", [[0, 1], [0, 7]])
def test_a_sysv_chain_that_cycles_or_leaves_is_diagnosed(chain: list[int]) -> None:
    image = Image(sysv_hash=False)
    image.symbol("a")
    image.tags.append((4, image.add(image.pack("5I", 1, 2, 1, *chain))))
    with pytest.raises(MalformedElf, match="DT_HASH chain"):
        assert read(image.build()).hash_tables


def test_a_gnu_chain_without_an_end_is_diagnosed() -> None:
    image = Image(sysv_hash=False)
    image.symbol("a")
    image.tags.append((0x6FFFFEF5, image.add(image.pack("IIIIQI", 1, 1, 1, 0, 0, 1) + bytes(40))))
    elf = read(image.build()[:-3])
    with pytest.raises(MalformedElf):
        assert elf.symbols
