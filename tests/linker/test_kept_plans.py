"""Loading by a kept plan does what loading by a fresh one does, and a plan is kept only as long as it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind
from latebind.linkplan import make_plan as make_whole_plan
from latebind.linkplan.kept import Store

if TYPE_CHECKING:
    from support.compiler import Compiler


pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, which this process's loads use."""
    monkeypatch.setenv("LATEBIND_CACHE", str(tmp_path / "cache"))
    return Store(str(tmp_path / "cache" / "plans"))


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The libraries that were planned, in order: what a kept plan serves does not come here."""
    made: list[str] = []
    whole = make_whole_plan

    def make_plan(root: latebind.Elf, *rest: object, **options: object) -> latebind.LinkPlan:
        made.append(os.path.basename(root.path))
        return whole(root, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("latebind.linker.loading.make_plan", make_plan)
    return made


def build(cc: Compiler, answer: int = 1) -> Path:
    """A library with a dependency, a constructor, a call of the C library and a thread-local variable."""
    below = cc.shared(f"int below(void) {{ return {answer}; }}", name="libbelow.so", flags=["-Wl,-soname,libbelow.so"])
    return cc.shared(
        """
        #include <stdlib.h>
        extern int below(void);
        static int made;
        static _Thread_local int count = 5;
        __attribute__((constructor)) static void make(void) { made = 100; }
        int sum(void) { return made + abs(-10) + below() + count++; }
        """,
        name="libtop.so",
        flags=["-Wl,--no-as-needed", str(below), "-Wl,-rpath,$ORIGIN"],
    )


def call(library: latebind.Library) -> int:
    return int(library.function("int sum(void)")())


def test_the_second_load_makes_no_plan_and_gives_the_same(cc: Compiler, store: Store, planned: list[str]) -> None:
    path = build(cc)
    for _ in range(2):
        with latebind.load(path, namespace=latebind.Namespace()) as library:
            assert call(library) == 116
            assert call(library) == 117
            assert library.role == "own"
            assert [Path(o.path).name for o in library.closure][:2] == ["libtop.so", "libbelow.so"]
    assert planned == ["libtop.so"]
    assert len(store.files()) == 1


def test_another_process_uses_it(cc: Compiler) -> None:
    path = build(cc)
    code = (
        "import latebind, latebind.linker.loading as l\n"
        "make = l.make_plan\n"
        "def counted(*a, **k):\n    print('planned'); return make(*a, **k)\n"
        "l.make_plan = counted\n"
        f"lib = latebind.load({str(path)!r}, namespace=latebind.Namespace())\n"
        "print(lib.function('int sum(void)')())\n"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout.split() == ["planned", "116"]
    assert runs[1].stdout.split() == ["116"]


def test_a_new_build_is_planned_anew(cc: Compiler, planned: list[str]) -> None:
    with latebind.load(build(cc), namespace=latebind.Namespace()) as library:
        assert call(library) == 116
    with latebind.load(build(cc, answer=2), namespace=latebind.Namespace()) as library:
        assert call(library) == 117
    assert planned == ["libtop.so", "libtop.so"]


def test_a_dependency_that_would_now_be_found_elsewhere_is_planned_anew(
    cc: Compiler, planned: list[str], tmp_path: Path
) -> None:
    path = build(cc)
    first = tmp_path / "first"
    first.mkdir()
    folders = (str(first),)
    with latebind.load(path, namespace=latebind.Namespace(), library_path=folders) as library:
        assert call(library) == 116
    other = cc.shared("int below(void) { return 50; }", name="other.so")
    os.rename(other, first / "libbelow.so")  # nothing was there before, and LD_LIBRARY_PATH's folders come first
    with latebind.load(path, namespace=latebind.Namespace(), library_path=folders) as library:
        assert call(library) == 165
    assert len(planned) == 2


def test_other_settings_and_surroundings_are_other_questions(
    cc: Compiler, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(cc)
    space = latebind.Namespace()
    with latebind.load(path, namespace=latebind.Namespace()):
        pass
    with latebind.load(path, namespace=latebind.Namespace(), binding="lazy"):
        pass
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    with latebind.load(path, namespace=latebind.Namespace()):
        pass
    with latebind.load(path.parent / "libbelow.so", namespace=space), latebind.load(path, namespace=space) as library:
        assert call(library) == 116
    assert planned == ["libtop.so", "libtop.so", "libtop.so", "libbelow.so", "libtop.so"]


def test_a_plan_made_beside_another_library_uses_it_again(cc: Compiler, planned: list[str]) -> None:
    path = build(cc)
    for _ in range(2):
        space = latebind.Namespace()
        below = latebind.load(path.parent / "libbelow.so", namespace=space)
        top = latebind.load(path, namespace=space)
        assert call(top) == 116
        assert len(space.members) == 2
        below.close()
        assert call(top) == 117  # it is still held
        top.close()
        assert not space.members
    assert planned == ["libbelow.so", "libtop.so"]


def test_the_plan_can_be_asked_for_afterwards(cc: Compiler) -> None:
    path = build(cc)
    with latebind.load(path, namespace=latebind.Namespace()) as library:
        fresh = str(library.plan)
    with latebind.load(path, namespace=latebind.Namespace()) as library:
        assert str(library.plan) == fresh


def test_symbols_and_reasons_are_those_of_a_fresh_load(cc: Compiler) -> None:
    path = build(cc)
    with latebind.load(path, namespace=latebind.Namespace()):
        pass
    with latebind.load(path, namespace=latebind.Namespace()) as library:
        assert (
            library.symbol("sum")
            == library.base
            + library.plan.root.elf.symbols[
                next(i for i, s in enumerate(library.plan.root.elf.symbols) if s.name == "sum")
            ].value
        )
        with pytest.raises(latebind.UnresolvedSymbol, match="did you mean"):
            library.symbol("sums")
        assert any(slot.symbol == "below" and slot.bound for slot in library.got())


def test_a_library_can_be_looked_into_when_its_file_is_gone(cc: Compiler) -> None:
    path = build(cc)
    with latebind.load(path, namespace=latebind.Namespace()):
        pass
    with latebind.load(path, namespace=latebind.Namespace()) as library:
        another = path.with_name("another")
        another.write_bytes(b"something else")
        another.replace(path)
        assert call(library) == 116
        assert any(slot.symbol == "below" and slot.bound for slot in library.got())


def test_hooks_memory_and_relative_paths_are_not_kept(
    cc: Compiler, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(cc)
    space = latebind.Namespace()
    latebind.load(path, namespace=latebind.Namespace(), hooks={"abs": ("int abs(int)", lambda _: 1)}).close()
    latebind.load(cc.shared("int alone;", name="libalone.so").read_bytes(), namespace=space).close()
    monkeypatch.chdir(path.parent)
    latebind.load("./libbelow.so", namespace=latebind.Namespace()).close()
    latebind.load(path, namespace=latebind.Namespace(), keep=False).close()
    assert store.files() == ()


def test_beside_what_was_loaded_from_memory_nothing_is_kept(cc: Compiler, store: Store) -> None:
    path = build(cc)
    space = latebind.Namespace()
    latebind.load(cc.shared("int alone;", name="libalone.so").read_bytes(), namespace=space)
    latebind.load(path, namespace=space)
    assert store.files() == ()


def test_a_damaged_plan_does_no_harm(cc: Compiler, store: Store, planned: list[str]) -> None:
    path = build(cc)
    latebind.load(path, namespace=latebind.Namespace()).close()
    (kept,) = store.files()
    data = bytearray(Path(kept).read_bytes())
    data[len(data) // 2] ^= 0x40
    Path(kept).write_bytes(data)
    with latebind.load(path, namespace=latebind.Namespace()) as library:
        assert call(library) == 116
    assert planned == ["libtop.so", "libtop.so"]
    latebind.load(path, namespace=latebind.Namespace()).close()
    assert len(planned) == 2  # the damaged one was replaced


def test_what_cannot_be_loaded_is_not_kept(cc: Compiler, store: Store) -> None:
    broken = cc.shared("extern int nowhere(void); int f(void) { return nowhere(); }", name="libbroken.so")
    for _ in range(2):
        with pytest.raises(latebind.UnresolvedSymbol):
            latebind.load(broken, namespace=latebind.Namespace())
    assert store.files() == ()
