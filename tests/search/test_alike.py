"""Files that differ in little but their names get the tree that the closure of each alone has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind.elf import dynamic as dyn
from latebind.search import Files, Fresh
from latebind.view.alike import AlikeTrees
from latebind.view.deps import Trees
from support.image import Image

if TYPE_CHECKING:
    from pathlib import Path


class Folder:
    """A folder of small shared objects."""

    def __init__(self, path: Path, **variables: str) -> None:
        self.path = path
        self.fresh = Fresh(Files(), {"LD_LIBRARY_PATH": "/nowhere", **variables})
        self.trees = Trees()
        self.alike = AlikeTrees(self.fresh, self.trees)

    def add(self, name: str, *needed: str, rpath: str | None = "$ORIGIN/lib:$ORIGIN", soname: str | None = None) -> str:
        """The shared object `name`; its path."""
        image = Image()
        image.tags += [(dyn.DT_NEEDED, image.string(other)) for other in needed]
        strings = {dyn.DT_RPATH: rpath, dyn.DT_SONAME: soname}
        image.tags += [(tag, image.string(text)) for tag, text in strings.items() if text is not None]
        (self.path / name).parent.mkdir(exist_ok=True, parents=True)
        (self.path / name).write_bytes(image.build())
        return str(self.path / name)

    def remember(self, path: str) -> None:
        """Show `path` from its own closure, as the first of its kind."""
        self.alike.remember(self.fresh.closure(self.fresh.files.summary(path), path))

    def text(self, path: str) -> str | None:
        """The tree of `path` as one like it was."""
        found = self.alike.text(self.fresh.files.summary(path), path)
        return None if found is None else found[0].decode()

    def alone(self, path: str) -> str:
        """The tree of `path` from its own closure, searched for afresh."""
        fresh = Fresh(Files(), {"LD_LIBRARY_PATH": "/nowhere"})
        return "\n".join(Trees().lines(fresh.closure(fresh.files.summary(path), path))) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_files_that_need_the_same_are_shown_alike_with_their_own_names(folder: Folder) -> None:
    folder.add("lib/libd.so", rpath=None)
    folder.add("libc.so", "libd.so", rpath="$ORIGIN/lib")
    folder.add("libb.so", "libc.so", "libd.so", rpath=None)
    one, two = (folder.add(name, "libb.so", "libc.so") for name in ("one", "two"))
    folder.remember(one)
    text = folder.text(two)
    assert text == folder.alone(two)
    assert text is not None
    assert f"of {two}]" in text


def test_what_is_missing_is_missing_for_both(folder: Folder) -> None:
    one, two = (folder.add(name, "absent.so") for name in ("one", "two"))
    folder.remember(one)
    assert folder.text(two) == folder.alone(two)
    found = folder.alike.text(folder.fresh.files.summary(two), two)
    assert found is not None
    assert found[1] is False


@pytest.mark.parametrize(
    ("needed", "rpath", "soname"),
    [
        (("libb.so",), "$ORIGIN", "libb.so"),  # it answers to the name itself
        (("libb.so",), "$ORIGIN", "libc.so"),  # to one that is asked for further down
        (("libb.so", "libc.so"), "$ORIGIN", None),
        (("libb.so",), "$ORIGIN/.", None),
        (("libb.so",), None, None),
    ],
)
def test_a_file_that_is_not_quite_alike_stands_alone(
    needed: tuple[str, ...], rpath: str | None, soname: str | None, folder: Folder
) -> None:
    folder.add("libc.so", rpath=None)
    folder.add("libb.so", "libc.so", rpath=None)
    folder.remember(folder.add("one", "libb.so", rpath="$ORIGIN"))
    assert folder.text(folder.add("two", *needed, rpath=rpath, soname=soname)) is None


def test_a_file_of_another_folder_stands_alone(folder: Folder) -> None:
    folder.remember(folder.add("one", "libb.so"))
    assert folder.text(folder.add("other/two", "libb.so")) is None


def test_a_file_that_another_of_its_kind_needs_stands_alone(folder: Folder) -> None:
    folder.add("libb.so", "libc.so", rpath="$ORIGIN")
    folder.add("libc.so", "libb.so", rpath="$ORIGIN")
    folder.remember(folder.add("one", "libb.so", rpath="$ORIGIN"))
    assert folder.text(str(folder.path / "libc.so")) is None


def test_a_file_that_is_asked_for_by_name_is_no_pattern(folder: Folder) -> None:
    folder.add("libb.so", "libone.so", rpath=None)
    folder.remember(folder.add("libone.so", "libb.so", rpath="$ORIGIN", soname="libone.so"))
    assert folder.text(folder.add("two", "libb.so", rpath="$ORIGIN")) is None


def test_what_is_preloaded_makes_every_file_stand_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path, LD_PRELOAD="libm.so.6")
    one, two = (folder.add(name, "absent.so") for name in ("one", "two"))
    folder.remember(one)
    assert folder.text(two) is None


def test_a_path_that_reads_like_a_reason_is_no_pattern(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "one of many")
    one, two = (folder.add(name, "absent.so") for name in ("one", "two"))
    folder.remember(one)
    assert folder.text(two) is None
