"""Notes from untrusted files, and how a compiled contract is compared with the host's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import ContractError
from latebind.contracts import ContractNote, Version, contract_of, differences, layout_digest, signature_hash
from latebind.contracts.note import NOTE_PLUGIN, NOTE_PROVIDES, read_note
from latebind.elf import Note
from support.plugins import Counter

CONTRACT = contract_of(Counter)


def compiled(version: str = "1.1.0", **methods: str) -> ContractNote:
    hashes = {m.name: signature_hash(m) for m in CONTRACT.methods} | methods
    present = {name: found for name, found in hashes.items() if found}
    return ContractNote(CONTRACT.id, Version.parse(version), layout_digest(CONTRACT), present)


def test_notes_of_others_are_left_alone() -> None:
    assert read_note([Note("GNU", 1, b"\xff"), Note("latebind2", 1, b"")], "x.so").id is None


@pytest.mark.parametrize(
    "desc", [b"", b"id", b"id\x00one\x00", b"\xff\x001.0.0\x00", b"id\x001.0.0\x00more\x00"]
)  # fmt: skip
def test_a_broken_plugin_note_is_an_error(desc: bytes) -> None:
    with pytest.raises(ContractError, match=r"x\.so"):
        read_note([Note("latebind", NOTE_PLUGIN, desc)], "x.so")


def test_two_plugin_notes_are_an_error() -> None:
    note = Note("latebind", NOTE_PLUGIN, b"a.b\x001.0.0\x00")
    with pytest.raises(ContractError, match="twice"):
        read_note([note, note], "x.so")


@pytest.mark.parametrize("methods", [b"add", b"add:", b":12", b"add:1 add:2"])
def test_a_broken_list_of_methods_is_an_error(methods: bytes) -> None:
    with pytest.raises(ContractError, match="broken list of methods"):
        read_note([Note("latebind", NOTE_PROVIDES, b"a.b\x001.0.0\x00digest\x00" + methods + b"\0")], "x.so")


@given(st.integers(0, 5), st.binary(max_size=60))
def test_any_note_is_read_or_refused(kind: int, desc: bytes) -> None:
    try:
        note = read_note([Note("latebind", kind, desc)], "x.so")
    except ContractError:
        return
    assert note.id or note.provides or note.requires


def test_the_same_contract_has_no_differences() -> None:
    assert differences(compiled(), CONTRACT) is None


def test_a_method_with_other_types_is_named() -> None:
    assert differences(compiled(add="00000000"), CONTRACT) == "it was compiled with other types for add"


def test_an_older_contract_may_lack_methods() -> None:
    older = ContractNote(CONTRACT.id, Version(1, 0, 0), "other", {"add": signature_hash(CONTRACT.methods[0])})
    assert differences(older, CONTRACT) is None


def test_the_same_version_must_have_the_same_methods() -> None:
    lied = ContractNote(CONTRACT.id, CONTRACT.version, "other", {"add": signature_hash(CONTRACT.methods[0]), "x": "1"})
    assert differences(lied, CONTRACT) == "it was compiled against another 1.1.0: without name and with x"
