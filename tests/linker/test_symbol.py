"""`Library.symbol`: the address of a name, as dlsym(3) and dlvsym(3) find it, and what is said of others."""

from __future__ import annotations

import ctypes
import pickle
from typing import TYPE_CHECKING

import pytest

import latebind as lb
from latebind import ClosedLibrary, UnresolvedSymbol, Unsupported, _core
from latebind.linker import library as library_module
from latebind.linkplan.near import near_names
from latebind.linkplan.table import symbol_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.compiler import Compiler


@pytest.fixture
def two(cc: Compiler, tmp_path: Path) -> Iterator[lb.Library]:
    """A library that needs another one; both define `shared`."""
    cc.shared("int shared = 1, below = 2; int lowest(void) { return below; }", name="libbelow.so")
    text = """
        extern int lowest(void);
        int shared = 3;
        __thread int apart = 4;
        int top(void) { return lowest() + apart; }
        __asm__(".globl fixed\\n.set fixed, 0x1234");
        static int five(void) { return 5; }
        static int (*choose(void))(void) { return five; }
        int chosen(void) __attribute__((ifunc("choose")));
    """
    path = cc.shared(text, name="libtop.so", flags=[f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lbelow"])
    with lb.load(path, namespace=lb.Namespace()) as library:
        yield library


def test_the_first_object_that_defines_a_name_counts(two: lb.Library) -> None:
    assert ctypes.c_int.from_address(two.symbol("shared")).value == 3
    assert ctypes.c_int.from_address(two.symbol("below")).value == 2
    assert ctypes.c_int.from_address(two.symbol("shared")).value == 3


def test_every_kind_of_definition_has_its_address(two: lb.Library) -> None:
    assert two.symbol("fixed") == 0x1234
    assert ctypes.CFUNCTYPE(ctypes.c_int)(two.symbol("chosen"))() == 5
    with pytest.raises(Unsupported, match="thread-local"):
        two.symbol("apart")


def found_in(library: lb.Library, name: str) -> int | None:
    try:
        return library.symbol(name) or None  # ctypes tells 0, where absolute symbols may be, from nothing as little
    except UnresolvedSymbol:  # it has no default version
        return None


def test_it_gives_what_dlsym_gives_for_the_whole_c_library() -> None:
    libc = lb.load("libc.so.6")
    dlsym = ctypes.CDLL(None).dlsym
    dlsym.argtypes, dlsym.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
    handle = ctypes.CDLL("libc.so.6")._handle
    names = [s.name for s in libc.plan.root.elf.symbols if s.exported and s.type != 6]
    assert len(names) > 2000
    assert [n for n in names if found_in(libc, n) != dlsym(handle, n.encode())] == []


def test_files_are_read_as_far_as_a_name_needs_it(two: lb.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(elf: lb.Elf) -> _core.SymbolTable:
        read.append(elf.path.rpartition("/")[2])
        return symbol_table(elf)

    monkeypatch.setattr(library_module, "symbol_table", noted)
    two.symbol("top")
    assert read == ["libtop.so"]
    two.symbol("lowest")
    two.symbol("lowest")
    assert read == ["libtop.so", "libbelow.so"]
    with pytest.raises(UnresolvedSymbol):
        two.symbol("nowhere")
    assert len(read) == len(set(read)) == len(two.closure)


def test_what_comes_close_is_looked_for_when_somebody_wants_to_know(
    two: lb.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(name: str, names: Sequence[str]) -> tuple[str, ...]:
        asked.append(name)
        return near_names(name, names)

    monkeypatch.setattr(library_module, "near_names", noted)
    with pytest.raises(UnresolvedSymbol) as caught:
        two.symbol("shered", "V_1")
    assert asked == []
    error = caught.value
    assert (error.symbol, error.version, error.referrer) == ("shered", "V_1", two.path)
    assert str(error) == f"{two.path}: undefined symbol shered@V_1; did you mean shared?"
    assert error.near == ("shared",)
    assert asked == ["shered"]
    two.close()
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made here
    assert (again.symbol, again.near, str(again)) == ("shered", ("shared",), str(error))
    facts = f"symbol='shered', version='V_1', referrer={two.path!r}, near=('shared',)"
    assert repr(error) == f"UnresolvedSymbol({facts})"


def test_a_name_without_a_default_version_is_told_with_those_that_it_has(cc: Compiler, tmp_path: Path) -> None:
    (tmp_path / "map").write_text("V_1 {}; V_2 {};")
    text = '__asm__(".symver first, old@V_1"); __asm__(".symver second, old@V_2"); int first = 1, second = 2;'
    with lb.load(cc.shared(text, flags=[f"-Wl,--version-script={tmp_path}/map"]), namespace=lb.Namespace()) as library:
        with pytest.raises(UnresolvedSymbol, match="did you mean old@V_1, old@V_2"):
            library.symbol("old")
        assert ctypes.c_int.from_address(library.symbol("old", "V_2")).value == 2
        with pytest.raises(UnresolvedSymbol, match="undefined symbol old@V_3; did you mean old@V_1, old@V_2"):
            library.symbol("old", "V_3")


def test_a_name_with_bytes_that_are_no_text_is_a_name(cc: Compiler) -> None:
    path = cc.shared("int odd_name = 7;")
    data = path.read_bytes().replace(b"odd_name", b"odd\xff\xfeame")
    path.write_bytes(data)
    with lb.load(path, namespace=lb.Namespace()) as library:
        with pytest.raises(UnresolvedSymbol):
            library.symbol("odd\udcff\udcfeame")  # its hash is that of the old name
        with pytest.raises(UnresolvedSymbol):
            library.symbol("odd_name")


def test_after_the_close_there_are_no_addresses(two: lb.Library) -> None:
    two.symbol("top")
    two.close()
    for name in ("top", "nowhere"):
        with pytest.raises(ClosedLibrary):
            two.symbol(name)


def test_what_is_no_name_is_refused(two: lb.Library) -> None:
    for wrong in (b"top", 3, None):
        with pytest.raises(TypeError):
            two.symbol(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        two.symbol("top", 1)  # type: ignore[arg-type]
