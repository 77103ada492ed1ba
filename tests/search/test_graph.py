"""The graph that files share says what the closure of each alone says, or leaves the file to its closure."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from latebind.elf import dynamic as dyn
from latebind.errors import MalformedElf
from latebind.search import Files, Fresh
from latebind.view.deps import Trees
from support.image import Image

if TYPE_CHECKING:
    from pathlib import Path


class Folder:
    """A folder of small shared objects, which are asked about in the order that a test gives."""

    def __init__(self, path: Path, **variables: str) -> None:
        self.path = path
        self.fresh = Fresh(Files(), {"LD_LIBRARY_PATH": str(path), **variables})

    def add(self, name: str, *needed: str, **strings: str) -> str:
        """The shared object `name`; `strings` are its soname, rpath or runpath. Its path."""
        image = Image()
        image.tags += [(dyn.DT_NEEDED, image.string(other)) for other in needed]
        tags = {"soname": dyn.DT_SONAME, "rpath": dyn.DT_RPATH, "runpath": dyn.DT_RUNPATH}
        image.tags += [(tags[tag], image.string(text)) for tag, text in strings.items()]
        (self.path / name).parent.mkdir(exist_ok=True, parents=True)
        (self.path / name).write_bytes(image.build())
        return str(self.path / name)

    def shared(self, path: str) -> list[str] | None:
        """The tree of `path` from the graph; None where the graph leaves it alone."""
        below = self.fresh.below(self.fresh.files.summary(path), path)
        return None if below is None else Trees().text(path, below).decode("utf-8", "surrogateescape").splitlines()

    def alone(self, path: str) -> list[str]:
        """The tree of `path` from its own closure, searched for afresh."""
        files = Files()
        fresh = Fresh(files, {"LD_LIBRARY_PATH": str(self.path)})
        return Trees().lines(fresh.closure(files.summary(path), path))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_diamond_is_shared_and_drawn_as_its_closure(folder: Folder) -> None:
    folder.add("libd.so", soname="libd.so")
    folder.add("libc1.so", "libd.so")
    folder.add("libb.so", "libd.so")
    top = folder.add("top", "libb.so", "libc1.so", "libb.so")
    lines = folder.shared(top)
    assert lines == folder.alone(top)
    assert lines is not None
    assert [line.partition(" →")[0] for line in lines[1:]] == [
        "├─ libb.so", "│  └─ libd.so", "└─ libc1.so", "   └─ libd.so (see above)",
    ]  # fmt: skip


def test_a_name_that_two_files_answer_to_is_left_alone(folder: Folder) -> None:
    """The soname of an object that came earlier counts more than what the search would find."""
    folder.add("libx.so")
    folder.add("liby.so", soname="libx.so")
    folder.add("libz.so", "libx.so")
    top = folder.add("top", "liby.so", "libz.so")
    assert folder.shared(top) is None
    assert folder.alone(top)[-1].endswith("libx.so (see above)") or "liby.so (see above)" in folder.alone(top)[-1]
    apart = folder.add("apart", "libz.so")
    assert folder.shared(apart) == folder.alone(apart)


def test_a_file_under_two_names_is_left_alone(folder: Folder) -> None:
    folder.add("libone.so")
    (folder.path / "libtwo.so").symlink_to("libone.so")
    top = folder.add("top", "libone.so", "libtwo.so")
    assert folder.shared(top) is None
    for name in ("libone.so", "libtwo.so"):
        single = folder.add(f"single-{name}", name)
        assert folder.shared(single) == folder.alone(single)


def test_a_cycle_is_left_alone_and_so_is_what_leads_to_it(folder: Folder) -> None:
    folder.add("liba.so", "libb.so")
    folder.add("libb.so", "liba.so")
    folder.add("libc1.so", "libb.so")
    for needed in ("liba.so", "libb.so", "libc1.so"):
        assert folder.shared(folder.add(f"top-{needed}", needed)) is None


def test_a_file_that_its_own_closure_asks_for_is_left_alone(folder: Folder) -> None:
    folder.add("libb.so", "liba.so")
    assert folder.shared(folder.add("liba.so", "libb.so")) is None
    elsewhere = folder.add("elsewhere/other.so", "libb.so", soname="liba.so")
    assert folder.shared(elsewhere) is None


def test_what_is_missing_is_left_alone(folder: Folder) -> None:
    folder.add("liba.so", "libabsent.so")
    assert folder.shared(folder.add("top", "liba.so")) is None
    assert folder.shared(folder.add("bottom", "libabsent.so")) is None


def test_a_runpath_leads_each_to_its_own_and_is_shared(folder: Folder) -> None:
    for sub in ("one", "two"):
        folder.add(f"{sub}/libown.so")
        folder.add(f"{sub}/libuser.so", "libown.so", runpath="$ORIGIN")
    folder.add("libcommon.so")
    for sub in ("one", "two"):
        top = folder.add(f"{sub}/top", "libuser.so", "libcommon.so", runpath="$ORIGIN")
        lines = folder.shared(top)
        assert lines == folder.alone(top)
        assert lines is not None
        assert f"{folder.path}/{sub}/libown.so" in lines[2]


def test_an_rpath_is_inherited_so_it_is_left_alone(folder: Folder) -> None:
    folder.add("sub/libdeep.so")
    folder.add("libmid.so", "libdeep.so")
    top = folder.add("top", "libmid.so", rpath="$ORIGIN/sub")
    assert folder.shared(top) is None
    assert any("libdeep.so →" in line for line in folder.alone(top))


def test_a_path_in_the_environment_that_depends_on_the_loader_leaves_all_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path, LD_LIBRARY_PATH="$ORIGIN")
    folder.add("liba.so")
    assert folder.shared(folder.add("top", "liba.so")) is None


def test_preloaded_objects_leave_all_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path, LD_PRELOAD="liba.so")
    folder.add("liba.so")
    assert folder.shared(folder.add("top")) is None


def test_a_chain_that_is_very_deep_is_left_alone(folder: Folder) -> None:
    for number in range(300):
        folder.add(f"lib{number}.so", f"lib{number + 1}.so")
    folder.add("lib300.so")
    deep, shallow = folder.add("deep", "lib0.so"), folder.add("shallow", "lib290.so")
    assert folder.shared(deep) is None
    assert len(folder.alone(deep)) == 302
    assert folder.shared(shallow) in (None, folder.alone(shallow))
    afresh = Folder(folder.path)
    assert afresh.shared(shallow) == folder.alone(shallow)


def test_a_broken_object_is_reported_by_every_closure_that_it_is_in(folder: Folder) -> None:
    image = Image()
    image.tags.append((dyn.DT_SONAME, 0x10000))
    (folder.path / "libbad.so").write_bytes(image.build())
    folder.add("libmid.so", "libbad.so")
    good = folder.add("good")
    for name in ("one", "two"):
        top = folder.add(name, "libmid.so")
        assert folder.shared(top) is None
        with pytest.raises(MalformedElf, match="string index 65536"):
            folder.fresh.closure(folder.fresh.files.summary(top), top)
    assert folder.shared(good) == folder.alone(good)


def test_a_file_is_called_as_it_was_asked_for_and_that_is_its_origin(folder: Folder) -> None:
    folder.add("one/libown.so")
    folder.add("two/libown.so")
    path = folder.add("one/top", "libown.so", runpath="$ORIGIN")
    link = folder.path / "two" / "top"
    link.symlink_to(path)
    for asked, sub in ((path, "one"), (str(link), "two")):
        lines = folder.shared(asked)
        assert lines == folder.alone(asked)
        assert lines is not None
        assert lines[0] == asked
        assert f"{folder.path}/{sub}/libown.so" in lines[1]


@pytest.mark.parametrize("seed", range(12))
def test_random_folders_are_drawn_as_their_closures(seed: int, tmp_path: Path) -> None:
    """Folders with aliases, wrong sonames, cycles, gaps and search paths: nothing is drawn in another way."""
    dice = random.Random(seed)
    folder = Folder(tmp_path)
    odd = 0.03 * (seed % 4)
    names = [f"lib{number}.so" for number in range(30)]
    for number, name in enumerate(names):
        if dice.random() < odd:
            continue  # a gap
        if number and dice.random() < odd:
            os.symlink(dice.choice(names[:number]), tmp_path / name)
            continue
        lowest = 0 if dice.random() < odd else number + 1
        needed = dice.sample(names[lowest:], min(dice.randrange(5), len(names) - lowest))
        strings = {} if dice.random() < 0.5 else {"soname": dice.choice(names) if dice.random() < odd else name}
        if dice.random() < odd:
            strings[dice.choice(["rpath", "runpath"])] = "$ORIGIN/sub"
        if not (tmp_path / name).is_symlink():
            folder.add(name, *needed, **strings)
    shared = 0
    for name in dice.sample(names, len(names)):
        if (tmp_path / name).exists():
            lines = folder.shared(str(tmp_path / name))
            assert lines is None or lines == folder.alone(str(tmp_path / name)), name
            shared += lines is not None
    assert shared or odd
