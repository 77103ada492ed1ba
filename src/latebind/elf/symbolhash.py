"""The symbol hash tables, DT_GNU_HASH and DT_HASH: what they hold and how good they are; the core searches them.

They also answer a question that the dynamic section leaves open: how many dynamic symbols there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf.bytesource import ByteSource

_EM_S390, _EM_ALPHA = 22, 0x9026
_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class HashTable:
    """The statistics of one hash table.

    `lengths` tells how many buckets have a chain of each length: ``((0, 12), (1, 30), (2, 5))``. `bloom_bits` of the
    `bloom_words` words' bits are set (0 for DT_HASH, which has no filter); `first_symbol` is the first one covered.
    """

    kind: str
    """``"GNU_HASH"`` or ``"HASH"``."""
    buckets: int
    symbols: int
    first_symbol: int
    lengths: tuple[tuple[int, int], ...]
    bloom_words: int = 0
    bloom_word_bits: int = 0
    bloom_shift: int = 0
    bloom_bits: int = 0

    @property
    def longest(self) -> int:
        """The length of the longest chain."""
        return self.lengths[-1][0] if self.lengths else 0

    @property
    def average(self) -> float:
        """Comparisons that a successful look-up needs on average."""
        steps = sum(length * (length + 1) // 2 * count for length, count in self.lengths)
        return steps / self.symbols if self.symbols else 0.0

    @property
    def bloom_fill(self) -> float:
        """The part of the filter's bits that are set, from 0 to 1; the fuller, the less it rejects."""
        bits = self.bloom_words * self.bloom_word_bits
        return self.bloom_bits / bits if bits else 0.0

    @property
    def bloom_passes(self) -> float:
        """The probability that a name that is not there passes the filter, which tests two bits of one word."""
        return self.bloom_fill**2 if self.bloom_words else 1.0


def hash_entry_size(source: ByteSource, machine: int) -> int:
    """The size of a DT_HASH entry in bytes: 4, but 8 in the 64-bit ABIs of s390x and Alpha."""
    return 8 if source.is64 and machine in {_EM_S390, _EM_ALPHA} else 4


def count_from_sysv_hash(source: ByteSource, offset: int, entry: int = 4) -> int:
    """The number of symbols: DT_HASH's nchain (gABI, "Hash Table")."""
    return source.numbers(offset, 2, entry, "DT_HASH table")[1]


def count_from_gnu_hash(source: ByteSource, offset: int) -> int | None:
    """The number of symbols that a DT_GNU_HASH table covers: the end of the chain that starts last.

    Undefined symbols stand before `symoffset` and are counted. A table with empty buckets does not tell: None.
    """
    nbuckets, symoffset, bloom_words, _ = source.unpack("IIII", offset, "DT_GNU_HASH table")
    buckets_at = offset + 16 + bloom_words * source.word
    last = max(source.numbers(buckets_at, nbuckets, 4, "DT_GNU_HASH buckets"), default=0)
    if last < symoffset:
        return None
    return last + _chain_length(source, buckets_at + nbuckets * 4 + (last - symoffset) * 4)


def _chain_length(source: ByteSource, offset: int) -> int:
    """The number of entries from `offset` to the one with bit 0 set, both counted."""
    length = 0
    while True:
        # Whole chunks at a time: a chain without an end is as long as the file.
        size = min(_CHUNK, max(1, (source.size - offset) // 4))
        for link in source.numbers(offset, size, 4, "DT_GNU_HASH chain"):
            length += 1
            if link & 1:
                return length
        offset += 4 * size


def read_gnu_hash(source: ByteSource, offset: int, symbols: int) -> HashTable:
    """The DT_GNU_HASH table at `offset` of a file with `symbols` dynamic symbols."""
    nbuckets, first, bloom_words, shift = source.unpack("IIII", offset, "DT_GNU_HASH table")
    bloom = source.view(offset + 16, bloom_words * source.word, "DT_GNU_HASH bloom filter")
    buckets_at = offset + 16 + bloom_words * source.word
    buckets = source.numbers(buckets_at, nbuckets, 4, "DT_GNU_HASH buckets")
    covered = max(0, symbols - first) if any(buckets) else 0
    chains = source.numbers(buckets_at + nbuckets * 4, covered, 4, "DT_GNU_HASH chains")
    lengths = _gnu_lengths(source, offset, [b for b in buckets if b], first, chains)
    lengths[0] += sum(1 for b in buckets if not b)
    bits = int.from_bytes(bloom, "little").bit_count()
    return HashTable(
        "GNU_HASH", nbuckets, covered, first, _sorted(lengths), bloom_words, source.word * 8, shift, bits
    )  # fmt: skip


def _gnu_lengths(
    source: ByteSource, offset: int, starts: Sequence[int], first: int, chains: Sequence[int]
) -> Counter[int]:
    """Chain length → number of chains. Each start is followed to the end mark that comes next, found once for all."""
    ends = [0] * len(chains)
    end = -1
    for at in range(len(chains) - 1, -1, -1):
        end = at if chains[at] & 1 else end
        ends[at] = end
    lengths: Counter[int] = Counter()
    for start in starts:
        if not first <= start < first + len(chains) or ends[start - first] < 0:
            raise source.malformed(f"a DT_GNU_HASH chain that starts at symbol {start} has no end", offset)
        lengths[ends[start - first] - (start - first) + 1] += 1
    return lengths


def read_sysv_hash(source: ByteSource, offset: int, entry: int = 4) -> HashTable:
    """The DT_HASH table at `offset` with entries of `entry` bytes.

    Raises `MalformedElf` for a chain that cycles or meets another.
    """
    nbuckets, nchain = source.numbers(offset, 2, entry, "DT_HASH table")
    buckets = source.numbers(offset + 2 * entry, nbuckets, entry, "DT_HASH buckets")
    chains = source.numbers(offset + (2 + nbuckets) * entry, nchain, entry, "DT_HASH chains")
    lengths: Counter[int] = Counter()
    seen = bytearray(nchain)
    for start in buckets:
        symbol, length = start, 0
        while symbol:
            if symbol >= nchain:
                raise source.malformed(f"a DT_HASH chain names symbol {symbol} of {nchain}", offset)
            if seen[symbol]:
                raise source.malformed(f"a DT_HASH chain comes back to symbol {symbol}", offset)
            seen[symbol] = 1
            length += 1
            symbol = chains[symbol]
        lengths[length] += 1
    return HashTable("HASH", nbuckets, sum(seen), 1, _sorted(lengths))


def _sorted(lengths: Counter[int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((length, count) for length, count in lengths.items() if count))
