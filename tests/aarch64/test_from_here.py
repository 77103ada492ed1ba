"""aarch64 seen from another machine: plans of its files, and its part of the core, which a cross compiler checks."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

import latebind as lb
from latebind.elf.relocation_names import relocation_names
from latebind.linkplan import pack
from latebind.linkplan.format import OBJECT_BRANCH_TARGETS, OBJECT_STATIC_TLS, record_size
from latebind.linkplan.machines import MACHINES
from latebind.search.cache import CACHE_FLAGS
from latebind.search.environment import INTERPRETERS
from support import needs
from support.image import Image
from support.machine import AARCH64, X86_64, Machine

CORE = Path(__file__).parents[2] / "src" / "core"
NAMES = {
    "relative": ("RELATIVE",), "irelative": ("IRELATIVE", "IRELATIV"), "copy": ("COPY",),
    "jump_slot": ("JUMP_SLOT", "JMP_SLOT"), "glob_dat": ("GLOB_DAT",),
}  # fmt: skip


@pytest.mark.parametrize("machine", [m for m in MACHINES if m != 8])  # MIPS names them otherwise
def test_the_planner_s_numbers_are_the_psabi_s(machine: int) -> None:
    names, row = relocation_names(machine), MACHINES[machine]
    for field, expected in NAMES.items():
        number = getattr(row, field)
        assert number == 0 or names[number].endswith(expected), field
    assert all("TPREL" in names[n] or "TPOFF" in names[n] for n in row.static_tls)
    assert all("TLS" in names[n] or "DTP" in names[n] or "TP" in names[n] for n in row.plt - {row.jump_slot})


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=["x86-64", "aarch64"])
def test_the_tests_numbers_are_the_psabi_s(machine: Machine) -> None:
    names = relocation_names(machine.number)
    assert {kind: names[number] for kind, (number, _) in machine.relocations.items()} == {
        kind: name for kind, (_, name) in machine.relocations.items()
    }
    assert INTERPRETERS[machine.number, 64].endswith(machine.linker)
    assert (machine.number, 64) in CACHE_FLAGS


def sample() -> bytes:
    """A library for aarch64 with one of each reference, aligned to 64 KiB, that says its branch targets are marked."""
    image = Image(machine=AARCH64.number)
    own, elsewhere = image.symbol("own", 0x500), image.symbol("elsewhere", section=0)
    tls = image.symbol("variable", 0, info=0x16)
    kinds = [("relative", 0), ("slot", elsewhere), ("absolute", own), ("tls_static", tls)]
    rows = [(0x600 + 8 * i, AARCH64.type(kind), symbol, 0) for i, (kind, symbol) in enumerate(kinds)]
    table = image.relocations(rows)
    image.tags += [(7, image.add(table)), (8, len(table)), (9, 24)]
    note = image.note(b"GNU", 5, struct.pack("<IIII", 0xC0000000, 4, 1, 0))
    image.segments += [(4, image.add(note, 8), len(note), len(note)), (7, image.add(bytes(8)), 8, 8)]
    data = bytearray(image.build())
    data[64 + 48 : 64 + 56] = (65536).to_bytes(8, "little")  # p_align of the first program header, PT_LOAD
    return bytes(data)


def test_a_plan_for_it_says_what_its_core_needs() -> None:
    plan = lb.plan(sample())
    assert {(b.symbol, b.kind.name) for b in plan.bindings} >= {
        ("own", "FUNCTION"), ("elsewhere", "UNRESOLVED"), ("variable", "TLS")
    }  # fmt: skip
    packed = pack(plan)
    machine = struct.unpack_from("<H", packed, 12)[0]
    flags, low, span, align = unpacked(packed)
    assert machine == AARCH64.number
    assert flags & OBJECT_STATIC_TLS
    assert flags & OBJECT_BRANCH_TARGETS
    assert (low % 65536, span % 65536, align) == (0, 0, 65536)


def unpacked(packed: bytes) -> tuple[int, int, int, int]:
    """Flags, low, span and alignment of a plan's first object, by plan.h."""
    at = struct.unpack_from("<I", packed, 24)[0]
    assert record_size("lb_plan_object") > 88
    return (struct.unpack_from("<I", packed, at + 4)[0], *struct.unpack_from("<QQQ", packed, at + 56))


@pytest.mark.parametrize("source", ["relocate.c", "lazy.c", "stubs.c", "tls.c", "image.c", "system.c"])
def test_the_core_compiles_for_it(source: str) -> None:
    compiler = needs.program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(CORE / source)]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("protection", ["none", "standard"])
@pytest.mark.parametrize("source", ["lazy_aarch64.S", "stub_aarch64.S"])
def test_its_entries_assemble(source: str, protection: str, tmp_path: Path) -> None:
    compiler = needs.program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    out = tmp_path / "out.o"
    subprocess.run([compiler, f"-mbranch-protection={protection}", "-c", "-o", out, CORE / source], check=True)
    elf = lb.read(out)
    assert ("BTI",) in [p.bits for p in elf.properties] or protection == "none"
    stack = elf.section(".note.GNU-stack")
    assert stack is not None
    assert not stack.flags & 4  # SHF_EXECINSTR
