"""How well the symbol hash tables are filled: the length of each bucket's chain (gABI, "Hash Table"; GNU's)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource


def sysv_chain_lengths(source: ByteSource, offset: int, *, wide: bool = False) -> list[int]:
    """The number of symbols in each bucket of the DT_HASH table at `offset`.

    `wide` is for 64-bit Alpha and S/390, whose tables consist of 64-bit words. Raises `MalformedElf` where a chain
    leaves the table or runs in a circle.
    """
    word, layout = (8, "Q") if wide else (4, "I")
    bucket_count, chain_count = source.unpack(layout * 2, offset, "hash table")
    buckets_at = offset + 2 * word
    buckets = [row[0] for row in source.records(layout, buckets_at, bucket_count, "hash buckets")]
    chains = [row[0] for row in source.records(layout, buckets_at + bucket_count * word, chain_count, "hash chains")]
    visited = bytearray(chain_count)
    lengths = []
    for first in buckets:
        length, index = 0, first
        while index:
            if index >= chain_count or visited[index]:
                raise source.malformed("a hash chain leaves the table or runs in a circle", offset)
            visited[index] = 1
            length += 1
            index = chains[index]
        lengths.append(length)
    return lengths


def gnu_chain_lengths(source: ByteSource, offset: int) -> list[int]:
    """The number of symbols in each bucket of the DT_GNU_HASH table at `offset`.

    Raises `MalformedElf` where the table is cut off or a bucket points before the first hashed symbol.
    """
    bucket_count, first_symbol, bloom_words, _ = source.unpack("IIII", offset, "GNU hash table")
    buckets_at = offset + 16 + bloom_words * (8 if source.is64 else 4)
    buckets = [row[0] for row in source.records("I", buckets_at, bucket_count, "GNU hash buckets")]
    chains_at = buckets_at + bucket_count * 4
    lengths = []
    for first in buckets:
        if not first:
            lengths.append(0)
            continue
        if first < first_symbol:
            raise source.malformed("a bucket of the GNU hash table points before its first symbol", offset)
        at, length = chains_at + (first - first_symbol) * 4, 1
        while not source.unpack("I", at, "GNU hash chain")[0] & 1:
            at += 4
            length += 1
        lengths.append(length)
    return lengths
