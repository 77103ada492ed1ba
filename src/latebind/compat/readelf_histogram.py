"""`readelf -I`: how long the chains of the symbol hash tables are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from latebind.compat.readelf_dynamic import gnu_hash_address, has_mips_hash
from latebind.elf import dynamic as dt
from latebind.elf.header import ELFCLASS64
from latebind.elf.raw.hash import gnu_chain_lengths, sysv_chain_lengths
from latebind.errors import MalformedElf

if TYPE_CHECKING:
    from latebind.compat.readelf_file import File

_WIDE_HASH = frozenset({0x9026, 22, 0xA390})  # Alpha and S/390 have 64-bit words in 64-bit files


def show_histogram(file: File) -> None:
    """Print the lengths of the chains of DT_HASH and of DT_GNU_HASH."""
    if address := file.dynamic_info.get(dt.DT_HASH, 0):
        wide = file.machine in _WIDE_HASH and file.header.elf_class == ELFCLASS64
        try:
            lengths = sysv_chain_lengths(file.source, file.offset_of(address, 16), wide=wide)
        except MalformedElf as error:
            file.out.error(error.what)
        else:
            if lengths:
                _show(file, lengths, "")
    if address := gnu_hash_address(file):
        name = ".MIPS.xhash" if has_mips_hash(file) else ".gnu.hash"
        try:
            lengths = gnu_chain_lengths(file.source, file.offset_of(address, 16))
        except MalformedElf as error:
            file.out.error(error.what)
        else:
            if any(lengths):
                _show(file, lengths, f" `{name}'")


def _show(file: File, lengths: list[int], name: str) -> None:
    total, symbols, longest = len(lengths), sum(lengths), max(lengths)
    counts = Counter(lengths)
    lines = [
        f"\nHistogram for{name} bucket list length (total of {total} bucket{'' if total == 1 else 's'}):\n",
        " Length  Number     % of total  Coverage\n",
        f"      0  {counts[0]:<10} ({counts[0] * 100.0 / total:5.1f}%)\n",
    ]
    covered = 0
    for length in range(1, longest + 1):
        count = counts[length]
        covered += count * length
        lines.append(f"{length:7}  {count:<10} ({count * 100.0 / total:5.1f}%)    {covered * 100.0 / symbols:5.1f}%\n")
    file.out.write("".join(lines))
