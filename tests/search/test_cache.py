"""ld.so.cache: the machine's own, against `ldconfig -p`; damaged ones; hwcaps entries."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind.search import LoaderCache

CACHE = Path("/etc/ld.so.cache").read_bytes()
X86_64 = 0x0303


def test_every_entry_is_ldconfigs() -> None:
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    assert ldconfig is not None
    text = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    theirs = sorted(re.findall(r"^\t(\S+) \(.*\) => (\S+)$", text, re.MULTILINE))
    ours = sorted((name, e.path) for name, entries in LoaderCache(CACHE).entries.items() for e in entries)
    assert len(theirs) > 20
    assert ours == theirs


def made(entries: list[tuple[str, str, int, int]], hwcaps: list[str]) -> bytes:
    """A cache in glibc's new format with an extension directory."""
    strings = bytearray()
    header = 48 + 24 * len(entries)

    def add(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return header + len(strings) - len(text) - 1

    table = b"".join(struct.pack("<iIIIQ", flags, add(key), add(path), 0, cap) for key, path, flags, cap in entries)
    names = struct.pack(f"<{len(hwcaps)}I", *(add(h) for h in hwcaps))
    strings.extend(b"\0" * (-len(strings) % 4))
    extension = header + len(strings)
    directory = struct.pack("<II", 0xEAA42174, 1) + struct.pack("<IIII", 1, 0, extension + 24, len(names))
    head = b"glibc-ld.so.cache1.1" + struct.pack("<IIB3xI12x", len(entries), len(strings), 2, extension)
    return head + table + bytes(strings) + directory + names


def test_the_best_usable_hwcaps_entry_wins() -> None:
    extension = 1 << 62
    cache = LoaderCache(
        made(
            [
                ("libx.so", "/lib/glibc-hwcaps/x86-64-v3/libx.so", X86_64, extension | 1),
                ("libx.so", "/lib/glibc-hwcaps/x86-64-v2/libx.so", X86_64, extension | 0),
                ("libx.so", "/lib/libx.so", X86_64, 0),
                ("libx.so", "/lib32/libx.so", 0x0003, 0),
            ],
            ["x86-64-v2", "x86-64-v3"],
        )
    )
    assert cache.lookup("libx.so", X86_64, ("x86-64-v3", "x86-64-v2")) == "/lib/glibc-hwcaps/x86-64-v3/libx.so"
    assert cache.lookup("libx.so", X86_64, ("x86-64-v2",)) == "/lib/glibc-hwcaps/x86-64-v2/libx.so"
    assert cache.lookup("libx.so", X86_64, ()) == "/lib/libx.so"
    assert cache.lookup("libx.so", 0x0003, ("x86-64-v3",)) == "/lib32/libx.so"
    assert cache.lookup("liby.so", X86_64, ()) is None


def test_the_old_format_alone_and_before_the_new_one() -> None:
    entries = [("libx.so", "/lib/libx.so", 0x0003), ("liby.so", "/lib/liby.so", X86_64)]
    strings = b"".join(f"{key}\0{path}\0".encode() for key, path, _ in entries)
    table = b""
    for key, path, flags in entries:
        at = strings.index(f"{key}\0{path}\0".encode())
        table += struct.pack("<iII", flags, at, at + len(key) + 1)
    old = b"ld.so-1.7.0\0" + struct.pack("<I", len(entries)) + table
    alone = LoaderCache(old + strings)
    assert alone.lookup("liby.so", X86_64, ()) == "/lib/liby.so"
    assert alone.lookup("libx.so", X86_64, ()) is None
    both = LoaderCache(old + b"\0" * (-len(old) % 8) + made([("libz.so", "/new/libz.so", X86_64, 0)], []))
    assert both.lookup("libz.so", X86_64, ()) == "/new/libz.so"
    assert both.lookup("liby.so", X86_64, ()) is None


@pytest.mark.parametrize("data", [None, b"", b"glibc-ld.so.cache1.1", CACHE[:100], CACHE[: len(CACHE) // 2]])
def test_a_damaged_cache_has_no_entries(data: bytes | None) -> None:
    assert LoaderCache(data).entries == {}


@settings(deadline=None)  # a loaded machine takes its time
@given(st.integers(0, len(CACHE) - 1), st.integers(0, 255))
def test_a_flipped_byte_never_raises(at: int, value: int) -> None:
    data = bytearray(CACHE)
    data[at] = value
    assert LoaderCache(bytes(data)).lookup("libc.so.6", X86_64, ()) in {
        None, *(e.path for entries in LoaderCache(bytes(data)).entries.values() for e in entries)
    }  # fmt: skip


def test_looking_up_one_by_one_and_all_at_once_agree() -> None:
    names = sorted({name for name, _ in re.findall(r"(lib[\w.+-]+)\0(/)", CACHE.decode("latin-1"))} | {"libno.so"})
    names += list(LoaderCache(CACHE).entries)
    levels = ("x86-64-v3", "x86-64-v2")
    for flags in (X86_64, 0x0003):
        few, many = LoaderCache(CACHE), LoaderCache(CACHE)
        for name in names[:150]:
            text = name.encode() + b"\0"
            assert few.lookup(name, flags, levels) == many._best(text, flags, levels)
