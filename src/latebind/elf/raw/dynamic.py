"""The entries of a dynamic section (gABI, "Dynamic Section"), found by offset and size, with its closing DT_NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource

Row = tuple[int, int]
"""Tag and value."""


def read_dynamic_rows(source: ByteSource, offset: int, size: int) -> list[Row]:
    """The entries in `size` bytes from `offset` on, up to and with the first DT_NULL.

    Raises `MalformedElf` where the bytes are not all in the file.
    """
    layout, width = ("QQ", 16) if source.is64 else ("II", 8)
    source.take(offset, size, "dynamic section")
    rows = []
    for tag, value in source.records(layout, offset, size // width, "dynamic section"):
        rows.append((tag, value))
        if tag == 0:
            break
    return rows
