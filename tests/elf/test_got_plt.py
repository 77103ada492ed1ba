"""GOT slots and PLT stubs against objdump, which disassembles the stubs and names them `symbol@plt`."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from latebind.elf import read
from support import needs
from support.image import Image

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler

SOURCE = """
extern int puts(const char *), printf(const char *, ...), atoi(const char *);
extern int shared; static __thread int local; extern __thread int remote;
int (*keep)(const char *) = atoi;
int use(const char *s) { puts(s); printf(s); return atoi(s) + shared + local++ + remote + (atoi == keep); }
"""
KINDS = {
    "lazy": ["-fcf-protection=none", "-Wl,-z,lazy"],
    "now": ["-fcf-protection=none", "-Wl,-z,now"],
    "ibt": ["-fcf-protection=full", "-Wl,-z,lazy,-z,ibtplt"],
    "ibt-now": ["-fcf-protection=full", "-Wl,-z,now,-z,ibtplt"],
}


def stubs(path: Path) -> dict[int, str]:
    """Address → symbol of each stub, as objdump sees them."""
    sections = [f"-j{name}" for name in (".plt", ".plt.sec", ".plt.got")]
    command = [needs.program("objdump", "binutils"), "-d", *sections, str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {int(a, 16): name for a, name in re.findall(r"^([0-9a-f]+) <([^@>]+)@plt>:", text, re.MULTILINE)}


@pytest.mark.parametrize("kind", KINDS)
def test_stubs_are_objdumps(cc: Compiler, kind: str) -> None:
    path = cc.shared(SOURCE, flags=KINDS[kind])
    elf = read(path)
    assert {e.address: e.name.partition("@")[0] for e in elf.plt} == stubs(path)
    assert {"puts", "printf", "atoi"} <= {e.name.partition("@")[0] for e in elf.plt}
    if kind.startswith("ibt"):
        assert ".plt.sec" in {e.section for e in elf.plt}


def test_stubs_are_found_without_section_headers(cc: Compiler) -> None:
    path = cc.shared(SOURCE, flags=KINDS["ibt"])
    data = bytearray(path.read_bytes())
    data[40:48], data[60:64] = bytes(8), bytes(4)  # e_shoff; e_shnum and e_shstrndx
    elf = read(bytes(data))
    assert elf.sections == ()
    assert {e.name.partition("@")[0] for e in elf.plt} >= {"puts", "printf"}
    assert [s.name for s in elf.got if s.kind == "call"] == [s.name for s in read(path).got if s.kind == "call"]


def test_each_slot_says_what_fills_it(cc: Compiler) -> None:
    elf = read(cc.shared(SOURCE, flags=KINDS["lazy"]))
    kinds = {(s.name.partition("@")[0], s.kind) for s in elf.got}
    assert {("puts", "call"), ("shared", "data"), ("remote", "tls"), ("", "tls")} <= kinds
    assert [s.name for s in elf.got if s.kind == "reserved"] == [
        "address of the dynamic section",
        "link map",
        "resolver",
    ]
    assert "keep" not in {s.name for s in elf.got if s.section == ""}


def test_every_slot_of_the_got_has_its_stub(cc: Compiler) -> None:
    elf = read(cc.shared(SOURCE, flags=KINDS["ibt"]))
    assert {e.slot for e in elf.plt} >= {s.place for s in elf.got if s.kind == "call"}


def stub_image(machine: int, code: bytes, *, bits: int = 64) -> tuple[Image, int]:
    """A file with one stub at 0x600, in .plt, and the call slot at 0x800 that it must find."""
    image = Image(bits, machine=machine)
    image.symbol("callee", section=0)
    image.add(bytes(0x600 - len(image.body)))
    image.section(".plt", 1, code, flags=6)
    image.add(bytes(0x800 - len(image.body)))
    slot = image.add(bytes(16))
    rows = image.relocations([(slot, {183: 1026, 40: 22, 243: 5, 3: 7}[machine], 1, 0)])
    image.tags += [(23, image.add(rows)), (2, len(rows)), (20, 7), (3, slot - 8)]
    return image, slot


@pytest.mark.parametrize(
    ("machine", "bits", "words"),
    [
        (183, 64, [0x90000010, 0xF9440211, 0x91200210, 0xD61F0220]),  # adrp, ldr [x16, #0x800], add, br
        (40, 32, [0xE28FC600, 0xE28CCA00, 0xE5BCF1F8, 0]),  # ldr pc, [ip, #0x1f8]!, from 0x608
        (243, 64, [0x00000E17, 0x200E3E03, 0x000E0367, 0x00000013]),  # auipc t3, 0; ld t3, 0x200(t3); jalr
        (243, 32, [0x00000E17, 0x200E2E03, 0x000E0367, 0x00000013]),
        (3, 32, [0x080025FF, 0x00680000, 0, 0]),  # jmp *0x800
        (3, 32, [0x0008A3FF, 0x00680000, 0, 0]),  # jmp *8(%ebx), %ebx being DT_PLTGOT
    ],
)
def test_stubs_of_other_machines_are_understood(machine: int, bits: int, words: list[int]) -> None:
    code = b"".join(w.to_bytes(4, "little") for w in words)
    image, slot = stub_image(machine, code, bits=bits)
    (entry,) = read(image.build(headers=True)).plt
    assert (entry.address, entry.slot, entry.name) == (0x600, slot, "callee")


def test_mips_has_slots_without_relocations() -> None:
    image = Image(32, machine=8)
    image.symbol("first")
    image.symbol("second", info=0x11)
    image.tags += [(3, 0x2000), (0x7000000A, 2), (0x70000013, 1), (0x70000011, 3)]
    slots = read(image.build()).got
    assert [(s.place, s.kind, s.name) for s in slots] == [(0x2008, "call", "first"), (0x200C, "data", "second")]
