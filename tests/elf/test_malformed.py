"""Broken files: an answer or a `MalformedElf` that names file and offset; never another exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind import LatebindError, MalformedElf, NotFound, read
from latebind.linkplan import make_plan

SAMPLE = Path("/usr/lib/x86_64-linux-gnu/libz.so.1").read_bytes()


def everything(data: bytes) -> None:
    """Ask a file for all it has."""
    elf = read(data, name="damaged.so")
    for ask in ("segments", "sections", "dynamic", "interpreter", "notes", "symbols", "static_symbols", "relocations",
                "version_definitions", "version_needs", "build_id"):  # fmt: skip
        getattr(elf, ask)


def test_the_undamaged_file_is_read() -> None:
    everything(SAMPLE)
    assert any(s.name == "crc32" for s in read(SAMPLE).symbols)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"MZ\x90\0" * 20, "starts with"),
        (b"#!/bin/sh\n", "script"),
        (b"/* GNU ld script */ GROUP(libc.so.6)", "linker script"),
        (b"!<arch>\n" + b" " * 60, "static archive"),
        (b"\x7fELF\x02\x01", "cut off"),
        (b"\x7fELF\x07\x01" + bytes(58), "ELF class 7"),
        (b"\x7fELF\x02\x09" + bytes(58), "byte order 9"),
        (SAMPLE[:40], "beyond the end"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, what: str) -> None:
    with pytest.raises(MalformedElf, match=what) as caught:
        everything(data)
    assert caught.value.file == "damaged.so"
    assert caught.value.offset is not None
    assert what in str(caught.value)


@pytest.mark.parametrize("length", [100, 1000, 5000, len(SAMPLE) - 100])
def test_a_truncated_file_says_so(length: int) -> None:
    with pytest.raises(MalformedElf, match=r"damaged\.so: .*beyond the end of the file"):
        everything(SAMPLE[:length])


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        read(tmp_path / "none.so")
    assert caught.value.tried[0].why == "no such file"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_flipped_bytes_are_read_or_diagnosed(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(SAMPLE)
    # The tables stand at the start of the file (headers, hash, symbols, versions, relocations) and in .dynamic.
    for _ in range(dice.choice((1, 3, 30))):
        area = dice.choice(((0, 0x600), (0, 0x3000), (0, len(data))))
        data[dice.randrange(*area)] = dice.randrange(256)
    try:
        everything(bytes(data))
    except LatebindError as e:
        assert str(e)
    try:
        plan = make_plan(read(bytes(data), name="damaged.so"))
        assert plan.bindings_of(0) is not None
    except LatebindError as e:
        assert str(e)
