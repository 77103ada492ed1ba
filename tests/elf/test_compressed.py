"""Compressed sections: decompressed, and never beyond what they claim or what the caller allows."""

from __future__ import annotations

import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf, Unsupported
from latebind.elf import read
from support import needs
from support.image import Image

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"what the section says " * 1000


def contents(
    kind: int, data: bytes, claimed: int, *, bits: int = 64, little: bool = True, limit: int | None = None
) -> bytes:
    image = Image(bits, little)
    head = image.pack("IIQQ", kind, 0, claimed, 1) if bits == 64 else image.pack("III", kind, claimed, 1)
    image.section(".debug_info", 1, head + data, flags=0x800)
    elf = read(image.build(headers=True))
    section = elf.section(".debug_info")
    assert section is not None
    return elf.section_contents(section, limit)


@pytest.mark.parametrize(("bits", "little"), [(32, True), (32, False), (64, True), (64, False)])
def test_zlib(bits: int, *, little: bool) -> None:
    assert contents(1, zlib.compress(TEXT), len(TEXT), bits=bits, little=little) == TEXT


def test_zstd() -> None:
    zstd = pytest.importorskip("backports.zstd", reason="pip install latebind[zstd]")
    assert contents(2, zstd.compress(TEXT), len(TEXT)) == TEXT
    with pytest.raises(MalformedElf, match="more than the 5 bytes"):
        contents(2, zstd.compress(TEXT), 5)
    with pytest.raises(MalformedElf, match="broken"):
        contents(2, b"nonsense", 5)


def test_what_the_assembler_compresses_is_what_it_would_have_written(tmp_path: Path) -> None:
    source = tmp_path / "x.s"
    source.write_text('.section .debug_str,"MS",@progbits,1\n' + '.asciz "a debug string"\n' * 100)
    found = []
    for option in ("none", "zlib", "zlib-gnu"):
        output = tmp_path / f"{option}.o"
        command = [
            needs.program("as", "binutils"),
            f"--compress-debug-sections={option}",
            "-o",
            str(output),
            str(source),
        ]
        subprocess.run(command, check=True)
        elf = read(output)
        section = elf.section(".debug_str") or elf.section(".zdebug_str")
        assert section is not None
        found.append(elf.section_contents(section))
    assert found[0] == found[1] == found[2] == b"a debug string\0" * 100


@pytest.mark.parametrize(
    ("data", "claimed", "what"),
    [
        (zlib.compress(TEXT), len(TEXT) - 1, "more than"),
        (zlib.compress(TEXT), len(TEXT) + 1, "fewer than"),
        (zlib.compress(TEXT)[:-9], len(TEXT), "fewer than"),
        (b"nonsense" * 400, 22000, "broken"),
        (zlib.compress(bytes(10**6)), 1 << 40, "cannot become"),
        (zlib.compress(bytes(10**6)), 100, "more than"),
    ],
)
def test_lies_are_diagnosed(data: bytes, claimed: int, what: str) -> None:
    with pytest.raises(MalformedElf, match=what):
        contents(1, data, claimed)


def test_the_limit_is_the_callers() -> None:
    with pytest.raises(Unsupported, match="more than the limit of 100"):
        contents(1, zlib.compress(TEXT), len(TEXT), limit=100)


def test_an_unknown_compression_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="type 9"):
        contents(9, b"", 0)
