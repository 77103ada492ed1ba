"""Static and thin archives, their members and symbol index; broken ones are diagnosed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latebind import LatebindError, MalformedElf, NotFound
from latebind.elf import read, read_archive, read_member
from latebind.elf.archive import split_member
from support import needs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two relocatable files, one with a name that is too long for an archive's header."""
    for name in ("one", "a_name_of_more_than_sixteen_bytes"):
        source = tmp_path / f"{name}.c"
        source.write_text(f"extern int other; int {name}(void) {{ return other; }}")
        command = [needs.program("cc", "gcc"), "-c", "-o", str(tmp_path / f"{name}.o"), str(source)]
        subprocess.run(command, check=True)
    return tmp_path


def ar(folder: Path, kind: str, archive: str, *members: str) -> Path:
    subprocess.run([needs.program("ar", "binutils"), kind, archive, *members], cwd=folder, check=True)
    return folder / archive


MEMBERS = ("one.o", "a_name_of_more_than_sixteen_bytes.o")


@pytest.mark.parametrize("kind", ["qcs", "qcsT"])
def test_members_are_read_by_name(folder: Path, kind: str) -> None:
    path = ar(folder, kind, "libx.a", *MEMBERS)
    archive = read_archive(path)
    assert archive.thin == kind.endswith("T")
    assert [m.name for m in archive.members] == list(MEMBERS)
    for member, symbol in zip(archive.members, ("one", "a_name_of_more_than_sixteen_bytes"), strict=True):
        elf = read(f"{path}({member.name})")
        assert elf.path == f"{path}({member.name})"
        assert symbol in elf.static_symbols.column("name")
        assert [g.target.name for g in elf.section_relocations if g.target] == [".text", ".eh_frame"]


def test_the_index_says_which_member_defines_a_symbol(folder: Path) -> None:
    archive = read_archive(ar(folder, "qcs", "libx.a", *MEMBERS))
    by_header: dict[int, str] = {m.header: m.name for m in archive.members}
    assert [(name, by_header[at]) for name, at in archive.symbols] == [
        ("one", "one.o"),
        ("a_name_of_more_than_sixteen_bytes", MEMBERS[1]),
    ]


def test_a_thin_archive_reaches_into_an_ordinary_one(folder: Path) -> None:
    ar(folder, "qcs", "libinner.a", *MEMBERS)
    outer = read_archive(ar(folder, "qcsT", "libouter.a", "libinner.a"))
    names = [max(read_member(outer, m).static_symbols.column("name")) for m in outer.members]
    assert names == ["other", "other"]
    assert len({read_member(outer, m).path for m in outer.members}) == 2


def test_bsd_names_stand_before_the_contents() -> None:
    body = Path("/usr/lib/x86_64-linux-gnu/crti.o").read_bytes()
    name = b"a long name of a member.o\0\0\0"
    header = b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (b"#1/28", 0, 0, 0, 0o644, len(body) + len(name))
    archive = read_archive(b"!<arch>\n" + header + name + body)
    assert archive.members[0].name == "a long name of a member.o"
    assert read_member(archive, archive.members[0]).header.type_name == "ET_REL"


def test_what_is_missing_is_not_found(folder: Path) -> None:
    path = ar(folder, "qcsT", "libx.a", "one.o")
    with pytest.raises(NotFound, match="no member 'two.o'"):
        read(f"{path}(two.o)")
    (folder / "one.o").unlink()
    with pytest.raises(NotFound, match="no such file"):
        read(f"{path}(one.o)")


def test_an_archive_is_not_an_elf_file(folder: Path) -> None:
    with pytest.raises(MalformedElf, match=r"static archive \(name one of its members"):
        read(ar(folder, "qcs", "libx.a", "one.o"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x7fELF" * 4, "not a static archive"),
        (b"!<arch>\n" + b" " * 30, "broken or cut off"),
        (b"!<arch>\n" + b"x/".ljust(48) + b"99999".ljust(10) + b"`\n", "beyond the end"),
        (b"!<arch>\n" + b"x/".ljust(48) + b"many".ljust(10) + b"`\n", "instead of a number"),
        (b"!<arch>\n" + b"/17".ljust(48) + b"0".ljust(10) + b"`\n", "at 17 of a table of 0 bytes"),
        (b"!<arch>\n" + b"#1/900".ljust(48) + b"4".ljust(10) + b"`\nabcd", "longer than the member"),
        (b"!<arch>\n" + b"/".ljust(48) + b"4".ljust(10) + b"`\n\xff\xff\xff\xff", "claims 4294967295 symbols"),
    ],
)
def test_a_broken_archive_is_diagnosed(data: bytes, what: str) -> None:
    with pytest.raises(MalformedElf, match=what):
        read_archive(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_archive_or_diagnosed(data: bytes) -> None:
    try:
        assert read_archive(b"!<arch>\n" + data).members is not None
    except LatebindError as e:
        assert str(e)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("libx.a(y.o)", ("libx.a", "y.o")),
        ("l(1).a(m.o)", ("l(1).a", "m.o")),
        ("a(b)/c", None),
        ("(x)", None),
        ("libx.a()", None),
    ],
)
def test_names_of_members(name: str, parts: tuple[str, str] | None) -> None:
    assert split_member(name) == parts
