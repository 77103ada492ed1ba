"""Small questions to the core: the link map's changes, the environment, files in one call, the loader cache."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest

import latebind
from latebind import _core
from latebind.linkplan.kept_record import MAKERS
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from pathlib import Path

    from support.compiler import Compiler


def test_the_link_map_tells_of_changes_and_of_one_object(cc: Compiler) -> None:
    path = str(cc.shared("int here;"))
    before = _core.link_map_changes()
    handle = _core.system_open(path)
    after = _core.link_map_changes()
    assert after[0] > before[0]
    base = next(entry[1] for entry in _core.link_map() if entry[0] == path)
    assert [entry[0] for entry in _core.link_map(base)] == [path]
    assert _core.link_map(1) == []
    _core.system_close(handle)
    assert _core.link_map_changes()[1] > after[1]
    assert _core.link_map(base) == []
    with pytest.raises(TypeError):
        _core.link_map("here")  # type: ignore[arg-type]


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATEBIND_ONE", "\udcff and more")
    monkeypatch.setenv("LATEBIND_EMPTY", "")
    monkeypatch.delenv("LATEBIND_NONE", raising=False)
    names = b"LATEBIND_ONE\0LATEBIND_EMPTY\0LATEBIND_NONE\0"
    assert _core.environment(names) == b"=\xff and more\0=\0\0"
    assert _core.environment(b"") == b""
    monkeypatch.setenv("LATEBIND_EMPTY", "x" * 3000)
    assert _core.environment(names) == b"=\xff and more\0=" + b"x" * 3000 + b"\0\0"
    for size in range(490, 520):
        monkeypatch.setenv("LATEBIND_ONE", "y" * size)
        assert _core.environment(b"LATEBIND_ONE\0LATEBIND_NONE\0") == b"=" + b"y" * size + b"\0\0"
    with pytest.raises(TypeError):
        _core.environment(["LATEBIND_ONE"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NUL"):
        _core.environment(b"LATEBIND_ONE")


def test_a_file_is_opened_and_mapped_in_one_call(tmp_path: Path) -> None:
    path, empty = tmp_path / "file", tmp_path / "empty"
    path.write_bytes(b"what it holds")
    empty.touch()
    status = path.stat()
    mapping, identity = _core.map_path(str(path))
    assert mapping is not None
    assert bytes(memoryview(mapping)) == b"what it holds"
    assert identity == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    assert _core.map_path(str(empty)) == (None, True)
    assert _core.map_path("/dev/null") == (None, False)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _core.map_path(f"{tmp_path}/nowhere")
    with pytest.raises(ValueError, match="null"):
        _core.map_path("a\0b")


def test_entries_of_the_loader_cache_lie_inside_it() -> None:
    strings = b"liba.so\0libb.so\0/a"
    entry = ctypes.c_uint32 * 6
    entries = b"".join(bytes(entry(flags, key, value, 0, 0, 0)) for flags, key, value in ((3, 48, 56), (3, 56, 64)))
    data = entries + strings  # the last string has no end

    def path(text: bytes, *, flags: int = 3, table: tuple[int, int, int] = (0, 2, 0)) -> str | None:
        return _core.cache_path(data, table, text, flags, (), 0)

    assert path(b"liba.so\0") == "libb.so"
    assert path(b"libb.so\0") is None
    assert path(b"libc.so\0") is None
    assert path(b"liba.so\0", flags=2) is None
    assert path(b"libb.so\0", table=(0, 2, 1)) is None
    for start, count, base in ((0, 4, 0), (19, 2, 0), (1 << 40, 1, 0), (0, 1 << 62, 0), (0, 2, 1 << 40)):
        with pytest.raises(ValueError, match="outside the file"):
            path(b"liba.so\0", table=(start, count, base))


def test_the_best_entry_of_the_loader_cache_counts() -> None:
    strings = b"a\0/plain\0/good\0/bad\0b\0"
    places = {text: strings.index(text) for text in (b"a\0", b"b\0", b"/plain", b"/good", b"/bad")}
    extension = 1 << 30  # in the upper half of the last number
    rows = [(b"a\0", b"/plain", 0, 0), (b"a\0", b"/bad", 1, extension), (b"a\0", b"/good", 0, extension | 2)]
    rows += [(b"b\0", b"/plain", 0, 0), (b"b\0", b"/good", 7, extension)]
    entry = ctypes.c_uint32 * 6
    entries = b"".join(bytes(entry(3, places[k], places[v], 0, low, high)) for k, v, low, high in rows)
    data, table = entries + strings, (0, len(rows), len(entries))
    assert _core.cache_path(data, table, b"a\0", 3, (0, 1), 2) == "/good"
    assert _core.cache_path(data, table, b"a\0", 3, (1, 0), 2) == "/bad"
    assert _core.cache_path(data, table, b"a\0", 3, (None, None), 2) == "/plain"
    assert _core.cache_path(data, table, b"a\0", 3, (2, 2), 2) == "/plain"  # the first of those as good
    assert _core.cache_path(data, table, b"a\0", 3, (0,), 2) is None  # one names a subdirectory that is not there
    assert _core.cache_path(data, table, b"b\0", 3, (0, 1), 2) is None
    with pytest.raises(TypeError):
        _core.cache_path(data, table, b"a\0", 3, ("x",), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "row"),
    [
        (b"", b""), (b"/lib/\0", b""), (b"/lib/\0/x", b""), (b"/lib/\0/usr/lib/", b""),
        (b"xx\0/lib/\0/usr/lib/\0/etc/\0", b"/lib/\0/usr/lib/"),
        (b"\xff/a/lib/\0/lib/\0", b"/a/lib/\0/lib/"), (b"prefix/lib/\0/lib64/\0", b"/lib/\0/lib64/"),
        (b"/lib/\0/lib64/\0/x/\0/lib/\0/lib32/\0/usr/lib/\0", b"/lib/\0/lib32/\0/usr/lib/"),
        (b"/x/\0/y/\0/lib/\0/lib64/\0", b"/lib/\0/lib64/"), (b"/\0/\0/\0/", b""),
        (b"/lib/\0/lib with space/\0", b""), (b"/lib/\0/lib64/\0", b"/lib/\0/lib64/"),
    ],
)  # fmt: skip
def test_the_longest_row_of_folders_counts(data: bytes, row: bytes) -> None:
    assert _core.folder_row(data) == row


def test_a_private_file_is_nobody_elses(tmp_path: Path) -> None:
    small, large, open_to_all = tmp_path / "small", tmp_path / "large", tmp_path / "open"
    for file, size in ((small, 100), (large, 100_000), (open_to_all, 10)):
        file.write_bytes(b"x" * size)
        file.chmod(0o600)
    open_to_all.chmod(0o622)
    os.symlink(small, tmp_path / "link")
    for file, size in ((small, 100), (large, 100_000)):
        found = _core.private_file(str(file))
        assert found is not None
        assert bytes(memoryview(found)) == b"x" * size
    (tmp_path / "empty").touch(0o600)
    for name in ("open", "link", "empty", "nowhere", "."):
        assert _core.private_file(f"{tmp_path}/{name}") is None


def test_an_entry_is_asked_for_by_a_path_that_fits() -> None:
    assert _core.kept_path("/folder", "a question").startswith("/folder/")
    assert _core.kept_path("/folder", "a question") != _core.kept_path("/folder", "another")
    assert _core.recall("/nowhere", "a question", 1, MAKERS) is None
    with pytest.raises(ValueError, match="too long"):
        _core.kept_path("/" + "x" * 5000, "a question")
    with pytest.raises(ValueError, match="cut off"):
        _core.kept_parts(b"short", 1)


def test_a_look_up_finds_names_in_the_tables_that_it_was_given(cc: Compiler) -> None:
    text = '__thread int apart; int top; __asm__(".globl fixed\\n.set fixed, 0x1234");'
    elf = latebind.read(cc.shared(text))
    symbols = {s.name: s for s in elf.symbols if s.exported}
    lookup = _core.Lookup()
    assert (len(lookup), lookup.find("top")) == (0, None)
    lookup.add(symbol_table(elf), 0x1000)
    assert len(lookup) == 1
    assert lookup.find("top") == symbols["top"].value + 0x1000
    assert lookup.find("apart") == (0, symbols["apart"].value, symbols["apart"].type, symbols["apart"].section)
    assert lookup.find("fixed") == (0, 0x1234, symbols["fixed"].type, 0xFFF1)
    assert lookup.find("top", "V_1") is not None  # an object without versions has every one of them (dlvsym(3))
    assert (lookup.find("nowhere"), lookup.find("\udcff")) == (None, None)
    table = symbol_table(elf)
    assert (table.find("\udcff"), table.find("top", "\udcff") is None) == (None, False)
    for arguments in ((b"top",), ("top", 3)):
        with pytest.raises(TypeError):
            table.find(*arguments)


def test_a_look_up_takes_tables_and_names_alone(cc: Compiler) -> None:
    table = symbol_table(latebind.read(cc.shared("int top;")))
    lookup = _core.Lookup()
    with pytest.raises(TypeError):
        lookup.add("a table", 0)  # type: ignore[arg-type]
    with pytest.raises((TypeError, OverflowError, ValueError)):
        lookup.add(table, -1)
    for arguments in ((), ("top", None, None)):
        with pytest.raises(TypeError, match="find takes"):
            lookup.find(*arguments)
    for wrong in (b"top", None, 3):
        with pytest.raises(TypeError):
            lookup.find(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.Lookup(1)  # type: ignore[call-arg]
