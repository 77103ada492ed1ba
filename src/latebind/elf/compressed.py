"""Compressed sections (gABI, "Section Compression", SHF_COMPRESSED; older: `.zdebug_*`), decompressed within bounds.

A few kilobytes can claim to be terabytes. The claimed size is checked against a limit before anything is
decompressed, and decompression stops as soon as there is more than was claimed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from latebind.elf.section import SHF_COMPRESSED, SHT_NOBITS
from latebind.errors import Unsupported

if TYPE_CHECKING:
    from latebind.elf.bytesource import ByteSource
    from latebind.elf.section import Section

ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD = 1, 2
DEFAULT_LIMIT: Final = 1 << 30
"""Bytes that one section may have after decompression, unless the caller says otherwise."""
_DEFLATE_FACTOR: Final = 1032  # zlib, "Technical details": no stream expands more


def is_compressed(section: Section) -> bool:
    """Whether the section's bytes in the file are compressed."""
    return bool(section.flags & SHF_COMPRESSED) or section.name.startswith(".zdebug")


class Compression(NamedTuple):
    """The compression header of a section (Elf32_Chdr, Elf64_Chdr): how, and what it is once decompressed."""

    type: int
    size: int
    align: int


def read_compression(source: ByteSource, section: Section) -> Compression:
    """The header of a SHF_COMPRESSED section. Raises `MalformedElf` where the section is too short for one."""
    if section.size < (24 if source.is64 else 12):
        raise source.malformed(f"section {section.name} is too short for its compression header", section.offset)
    row = source.unpack("IIQQ" if source.is64 else "III", section.offset, f"compression header of {section.name}")
    return Compression(row[0], row[-2], row[-1])


def section_contents(source: ByteSource, section: Section, limit: int = DEFAULT_LIMIT) -> bytes:
    """The section's bytes, decompressed where they are compressed; none for a section without any in the file.

    `limit` bounds the result, in bytes. Raises `Unsupported` for a longer one and for a compression that this
    Python cannot undo, `MalformedElf` where the compressed data is broken.
    """
    if section.type == SHT_NOBITS:
        return b""
    data = source.view(section.offset, section.size, f"section {section.name}")
    if section.flags & SHF_COMPRESSED:
        kind, size, _ = read_compression(source, section)
        start = 24 if source.is64 else 12
    elif section.name.startswith(".zdebug") and bytes(data[:4]) == b"ZLIB" and len(data) >= 12:
        kind, size, start = ELFCOMPRESS_ZLIB, int.from_bytes(data[4:12], "big"), 12
    else:
        return bytes(data)
    return _decompress(source, section, kind, data[start:], size, limit)


def _decompress(source: ByteSource, section: Section, kind: int, data: memoryview, size: int, limit: int) -> bytes:
    what = f"compressed section {section.name}"
    if kind == ELFCOMPRESS_ZLIB and size > len(data) * _DEFLATE_FACTOR + 64:
        raise source.malformed(f"{what} claims {size} bytes, which {len(data)} cannot become", section.offset)
    if size > limit:
        raise Unsupported(f"{source.name}: {what}", f"it would have {size} bytes, more than the limit of {limit}")
    if kind == ELFCOMPRESS_ZLIB:
        decompressor: Any = zlib.decompressobj()
        failure: type[Exception] = zlib.error
    elif kind == ELFCOMPRESS_ZSTD:
        decompressor, failure = _zstd(source, what)
    else:
        raise Unsupported(f"{source.name}: {what}", f"compression type {kind} is not known")
    try:
        result: bytes = decompressor.decompress(data, size + 1)  # zlib: 0 would mean "without bound"
    except failure as e:
        raise source.malformed(f"{what} is broken: {e}", section.offset) from e
    if len(result) != size:
        more = "more" if len(result) > size else "fewer"
        raise source.malformed(f"{what} has {more} than the {size} bytes that it claims", section.offset)
    return result


def _zstd(source: ByteSource, what: str) -> tuple[Any, type[Exception]]:
    """A decompressor for zstd and its error: Python's own from 3.14 on, else its backport."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # since Python 3.14
    except ImportError:
        try:
            from backports import zstd
        except ImportError as e:
            raise Unsupported(
                f"{source.name}: {what}", "it is compressed with zstd", "install latebind[zstd] or use Python 3.14"
            ) from e
    return zstd.ZstdDecompressor(), zstd.ZstdError
