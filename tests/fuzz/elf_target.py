"""Fuzz `latebind.elf`: any bytes give an answer or a `LatebindError` that names the file, within time and memory.

`elf_target.py CORPUS [--seconds N] [--runs N]`; harness.py says how.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuzz import harness

if __name__ == "__main__":  # those that are imported when they are needed would escape the instrumentation
    harness.instrument(
        "latebind.elf",
        (
            "archive", "compressed", "core_file", "gnu_property", "got", "init_array", "known_note", "plt",
            "section_relocation",
        ),
    )  # fmt: skip

from latebind._core import summarize_bytes
from latebind.elf import read, read_archive, read_member
from latebind.elf.known_note import describe
from latebind.errors import LatebindError, MalformedElf

if TYPE_CHECKING:
    from latebind.elf import Elf

mutate = harness.mutate
QUESTIONS = (
    "segments", "sections", "dynamic", "interpreter", "notes", "section_notes", "build_id", "abi_tag", "properties",
    "optional_dependencies", "package", "plugin_records", "core", "symbols", "static_symbols", "hash_tables",
    "version_definitions", "version_needs", "relocations", "section_relocations", "init_functions", "got", "plt",
)  # fmt: skip


def ask(elf: Elf) -> None:
    """Every question that there is; a question may be answered with a `LatebindError`, and the next one is asked."""
    for question in QUESTIONS:
        try:
            getattr(elf, question)
        except LatebindError as error:
            check(elf.path, error)
    check_summary(elf)
    try:
        for note in elf.notes:
            describe(elf.source, note)
        for section in elf.sections:
            elf.section_contents(section, limit=1 << 22)
        for _ in elf.symbols, elf.relocations, elf.static_symbols:
            list(_)
    except LatebindError as error:
        check(elf.path, error)


def check_summary(elf: Elf) -> None:
    """The rule: the core says what `Elf` says, or nothing."""
    values = summarize_bytes(elf.data, elf.identity)
    if values is not None:
        h, d = elf.header, elf.dynamic
        assert values[:-1] == (
            elf.identity, h.elf_class, h.data, h.os_abi, h.type, h.machine, elf.interpreter, d.needed, d.soname,
            d.rpath, d.runpath, d.flags, d.flags_1, elf.is_dynamic,
        )  # fmt: skip


def check(name: str, error: LatebindError) -> None:
    """The rule: a malformed file is named."""
    assert not isinstance(error, MalformedElf) or error.file == name, f"{error!r} does not name {name}"
    assert str(error)


def test_one_input(data: bytes) -> None:
    """The target: read `data` as an ELF file and as an archive."""
    try:
        with harness.Limit():
            _read(data)
    except LatebindError as error:
        assert str(error)


def _read(data: bytes) -> None:
    if not data.startswith((b"!<arch>\n", b"!<thin>\n")):
        ask(read(data, name="fuzz"))
        return
    archive = read_archive(data, name="fuzz.a")
    for member in archive.members:
        if member.path is None:  # a thin archive must not lead out of the fuzzer
            ask(read_member(archive, member))


if __name__ == "__main__":
    harness.main("elf", test_one_input)
