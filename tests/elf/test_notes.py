"""What the notes of known owners say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf
from latebind.elf import read
from latebind.elf.known_note import OptionalDependency, describe
from support.image import Image

if TYPE_CHECKING:
    from latebind.elf import Elf
    from support.compiler import Compiler

DLOPEN = 0x407C0C0A


def with_note(owner: bytes, kind: int, desc: bytes, *, machine: int = 62, bits: int = 64, little: bool = True) -> Elf:
    image = Image(bits, little, machine=machine)
    note = image.note(owner, kind, desc)
    image.segments.append((4, image.add(note), len(note), len(note)))
    return read(image.build(dynamic=False))


def test_dlopen_notes_list_optional_libraries() -> None:
    text = [
        {"soname": ["libzstd.so.1"], "feature": "zstd", "description": "compression", "priority": "suggested"},
        {"soname": ["libfido2.so.1", "libfido2.so.0"]},
    ]
    elf = with_note(b"FDO", DLOPEN, json.dumps(text).encode() + b"\0")
    assert elf.optional_dependencies == (
        OptionalDependency(("libzstd.so.1",), "zstd", "compression", "suggested"),
        OptionalDependency(("libfido2.so.1", "libfido2.so.0")),
    )


@pytest.mark.parametrize(
    "text", [b"{", b"{}", b"[1]", b'[{"soname": "x"}]', b'[{"soname": [1]}]', b"\xff", b"[" * 100_000, b"1" * 5000]
)
def test_a_broken_dlopen_note_is_diagnosed(text: bytes) -> None:
    elf = with_note(b"FDO", DLOPEN, text)
    with pytest.raises(MalformedElf, match="dlopen note"):
        assert elf.optional_dependencies
    assert elf.notes[0].owner == "FDO"


def test_package_metadata_is_the_distributions_document() -> None:
    elf = with_note(b"FDO", 0xCAFE1A7E, b'{"type":"deb","name":"x"}\0')
    assert elf.package == {"type": "deb", "name": "x"}


@pytest.mark.parametrize("little", [True, False])
def test_the_abi_tag_names_the_oldest_kernel(*, little: bool) -> None:
    image = Image(little=little)
    elf = with_note(b"GNU", 1, image.pack("4I", 0, 3, 2, 0), little=little)
    assert str(elf.abi_tag) == "Linux 3.2.0"


def test_properties_of_x86_are_named(cc: Compiler) -> None:
    path = cc.shared("int one(void) { return 1; }", flags=["-fcf-protection=full", "-Wl,-z,ibt,-z,shstk"])
    found = {p.name: p.bits for p in read(path).properties}
    assert found["X86_FEATURE_1_AND"] == ("IBT", "SHSTK")


def test_properties_of_aarch64_are_named_in_32_bits_too() -> None:
    desc = Image(little=False).pack("III", 0xC0000000, 4, 0x13)
    (found,) = with_note(b"GNU", 5, desc, machine=183, bits=32, little=False).properties
    assert str(found) == "AARCH64_FEATURE_1_AND: BTI PAC 0x10"


@pytest.mark.parametrize("size", [5, 9, 100, 0xFFFFFFFF])
def test_a_property_beyond_its_note_is_diagnosed(size: int) -> None:
    elf = with_note(b"GNU", 5, Image().pack("II", 2, size) + bytes(4))
    with pytest.raises(MalformedElf, match="GNU property"):
        assert elf.properties


def test_our_plugins_say_what_they_are() -> None:
    elf = with_note(b"latebind", 1, b"tokenizer\0" + b"1.2.0\0")
    assert [(r.kind, r.strings) for r in elf.plugin_records] == [("PLUGIN", ("tokenizer", "1.2.0"))]


def test_a_note_of_nobody_is_shown_as_bytes() -> None:
    elf = with_note(b"Nobody", 77, b"\x01\x02\x03\x04\x05")
    assert describe(elf.source, elf.notes[0]) == "01020304 05"


def test_notes_that_are_not_loaded_are_found_through_sections(cc: Compiler) -> None:
    source = """
    __asm__(".pushsection .note.probe, \\"\\", @note\\n .4byte 8, 24+6, 3\\n .asciz \\"stapsdt\\"\\n"
            ".8byte 0x1234, 0, 0\\n .asciz \\"p\\"\\n .asciz \\"n\\"\\n .asciz \\"4\\"\\n .balign 4\\n .popsection");
    """
    elf = read(cc.shared(source))
    (probe,) = elf.section_notes
    assert describe(elf.source, probe) == "p:n at 0x1234 4"
