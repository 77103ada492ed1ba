"""The symbol hash tables, DT_GNU_HASH and DT_HASH: found here, walked in the core (match.c).

They also answer a question that the dynamic section leaves open: how many dynamic symbols there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource


def count_from_sysv_hash(source: ByteSource, offset: int) -> int:
    """The number of symbols: DT_HASH's nchain (gABI, "Hash Table")."""
    return source.unpack("II", offset, "DT_HASH table")[1]


def count_from_gnu_hash(source: ByteSource, offset: int) -> int | None:
    """The number of symbols that a DT_GNU_HASH table covers: the end of the chain that starts last.

    Undefined symbols stand before `symoffset` and are counted. A table with empty buckets does not tell: None.
    """
    nbuckets, symoffset, bloom_words, _ = source.unpack("IIII", offset, "DT_GNU_HASH table")
    buckets_at = offset + 16 + bloom_words * (8 if source.is64 else 4)
    last = max((row[0] for row in source.records("I", buckets_at, nbuckets, "DT_GNU_HASH buckets")), default=0)
    if last < symoffset:
        return None
    chain_at = buckets_at + nbuckets * 4 + (last - symoffset) * 4
    while not source.unpack("I", chain_at, "DT_GNU_HASH chain")[0] & 1:
        chain_at += 4
        last += 1
    return last + 1
