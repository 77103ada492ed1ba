"""`read` against readelf, on the machine's own libraries: the same tables, entry by entry."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from latebind.elf import Elf, read

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
FILES = [
    str(p)
    for p in (LIBRARIES / "libc.so.6", LIBRARIES / "libz.so.1", LIBRARIES / "libstdc++.so.6", Path("/bin/ls"))
    if p.exists()
]


@cache
def readelf(flag: str, path: str) -> str:
    return subprocess.run(["readelf", "-W", flag, path], capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=FILES)
def elf(request: pytest.FixtureRequest) -> Elf:
    return read(request.param)


def test_segments_are_readelfs(elf: Elf) -> None:
    pattern = r"^  [A-Z_]+\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+) (0x\w+) ([R ][W ][E ]) (0x\w+)"
    rows = re.findall(pattern, readelf("-l", elf.path), re.MULTILINE)
    ours = [
        (s.offset, s.vaddr, s.filesz, s.memsz, s.permissions.replace("x", "e").replace("-", " ").upper(), s.align)
        for s in elf.segments
    ]
    assert ours == [(int(o, 16), int(v, 16), int(f, 16), int(m, 16), p, int(a, 16)) for o, v, f, m, p, a in rows]


def test_sections_are_readelfs(elf: Elf) -> None:
    pattern = r"^  \[ *(\d+)\] (\S*) +[A-Z]\S* +(\w{16}) (\w{6}) (\w{6})"
    rows = re.findall(pattern, readelf("-S", elf.path), re.MULTILINE)
    ours = {s.index: (s.name, s.addr, s.offset, s.size) for s in elf.sections}
    assert len(rows) >= 10
    assert all(ours[int(i)] == (name, int(a, 16), int(o, 16), int(s, 16)) for i, name, a, o, s in rows)


def test_dynamic_symbols_with_versions_are_readelfs(elf: Elf) -> None:
    rows = re.findall(
        r"^ +(\d+): (\w{16}) +(\S+) (\w+) +(\w+) +(\w+) +(?:\[.*\] +)?(\w+) ?(\S*)",
        readelf("--dyn-syms", elf.path),
        re.MULTILINE,
    )
    kinds = {"GNU_IFUNC": "IFUNC", "GNU_UNIQUE": "UNIQUE"}
    ours = {
        s.index: (s.value, s.size, kinds.get(s.type_name, s.type_name), kinds.get(s.binding_name, s.binding_name),
                  s.name if s.name == s.version else s.versioned_name)  # the symbol that stands for a version itself
        for s in elf.symbols
    }  # fmt: skip
    theirs = {int(n): (int(v, 16), int(size, 0), kind, bind, name) for n, v, size, kind, bind, _, _, name in rows}
    assert len(theirs) == len(ours) > 50
    assert ours == theirs


def test_relocations_are_readelfs(elf: Elf) -> None:
    rows = re.findall(r"^(\w{16})  (\w{16}) (R_\w+)", readelf("-r", elf.path), re.MULTILINE)
    entries = [r for r in elf.relocations if r.addend is not None]
    assert [(r.offset, r.type_name) for r in entries] == [(int(o, 16), t) for o, _, t in rows]
    assert [r.symbol for r in entries] == [int(info, 16) >> 32 for _, info, _ in rows]


def test_dynamic_section_is_readelfs(elf: Elf) -> None:
    text = readelf("-d", elf.path)
    assert list(elf.dynamic.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    assert re.findall(r"\(SONAME\).*\[(.*)\]", text) == ([elf.soname] if elf.soname else [])
    tags = re.findall(r"^ 0x\w+ \((\w+)\)", text, re.MULTILINE)
    assert [e.tag_name for e in elf.dynamic.entries] == tags[: len(elf.dynamic.entries)]


def test_build_id_and_interpreter(elf: Elf) -> None:
    assert f"Build ID: {elf.build_id}" in readelf("-n", elf.path)
    asked = re.findall(r"program interpreter: (.*)\]", readelf("-l", elf.path))
    assert asked == ([elf.interpreter] if elf.interpreter else [])


def test_bytes_read_like_the_file() -> None:
    from_file = read(FILES[1])
    from_bytes = read(Path(FILES[1]).read_bytes())
    assert from_bytes.symbols == from_file.symbols
    assert from_bytes.identity is None
    assert from_bytes.path == "<memory>"


def test_relr_is_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "relr.c"
    source.write_text("static int v[70]; int *p[] = {" + ",".join(f"&v[{i}]" for i in range(70)) + "};")
    command = ["cc", "-shared", "-fPIC", "-nostdlib"]
    packed, plain = tmp_path / "packed.so", tmp_path / "plain.so"
    subprocess.run([*command, "-Wl,-z,pack-relative-relocs", "-o", packed, source], check=True)
    subprocess.run([*command, "-o", plain, source], check=True)
    elf = read(packed)
    assert any(t.tag == "RELR" for t in elf.relocation_tables)
    base, other = elf.section(".data"), read(plain).section(".data")
    assert base is not None
    assert other is not None
    places = [r.offset - base.addr for r in elf.relocations if r.addend is None]
    assert places == [r.offset - other.addr for r in read(plain).relocations]
