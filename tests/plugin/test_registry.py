"""Discovery: what is found, what is left out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind import ManifestError, NotFound
from latebind.plugin import Registry

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, plugin: str = "a.b", version: str = "1.0.0", name: str = "plugin.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"id: {plugin}\nversion: {version}\nentry: x.so\n")
    return folder / name


def test_a_folder_and_its_subfolders_are_scanned(tmp_path: Path) -> None:
    write(tmp_path, "top.one")
    write(tmp_path / "sub", "sub.one")
    write(tmp_path / "sub" / "deeper", "too.deep")
    (tmp_path / "other.yaml").write_text("id: not.a.manifest")
    found = Registry().discover(tmp_path)
    assert [m.id for m in found.found] == ["top.one", "sub.one"]
    assert found.rejected == ()


def test_a_bad_plugin_hides_no_other_and_says_why(tmp_path: Path) -> None:
    write(tmp_path / "good", "good.one")
    bad = write(tmp_path / "bad", "Bad One")
    found = Registry().discover(tmp_path)
    assert [m.id for m in found.found] == ["good.one"]
    assert [r.path for r in found.rejected] == [str(bad)]
    assert isinstance(found.rejected[0].error, ManifestError)


def test_versions_stand_newest_first(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1"):
        write(tmp_path / version, version=version)
    registry = Registry()
    registry.discover(tmp_path)
    assert [str(m.version) for m in registry.versions("a.b")] == ["1.10.0", "1.10.0-rc.1", "1.9.0"]
    assert registry.versions("no.such") == ()


def test_the_same_version_in_two_places_is_left_out_the_second_time(tmp_path: Path) -> None:
    first = write(tmp_path / "1")
    write(tmp_path / "2")
    registry = Registry()
    found = registry.discover(tmp_path)
    assert len(found.found) == len(found.rejected) == 1
    assert f"already known from {first}" in str(found.rejected[0].error)


def test_scanning_again_takes_over_what_changed(tmp_path: Path) -> None:
    registry = Registry()
    write(tmp_path / "p", "a.b", "1.0.0")
    registry.discover(tmp_path)
    write(tmp_path / "p", "a.c", "1.1.0")
    assert registry.discover(tmp_path).rejected == ()
    assert [str(m) for m in registry] == ["a.c 1.1.0"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Registry().discover(tmp_path / "nowhere")


def test_a_manifest_is_named_by_its_path(tmp_path: Path) -> None:
    path = write(tmp_path / "p", "a.b")
    write(tmp_path / "p" / "sub", "not.asked")
    registry = Registry()
    assert [m.path for m in registry.discover(path).found] == [str(path)]
    assert [m.id for m in registry] == ["a.b"]


def test_a_bad_manifest_that_is_named_is_left_out_too(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good", "a.b"), write(tmp_path / "bad", "Bad One")
    found = Registry().discover(bad, good)
    assert ([m.id for m in found.found], [r.path for r in found.rejected]) == (["a.b"], [str(bad)])


def test_a_plugin_that_took_another_id_and_back(tmp_path: Path) -> None:
    registry = Registry()
    for plugin in ("a.b", "a.c", "a.b"):
        write(tmp_path / "p", plugin)
        registry.discover(tmp_path)
        assert [m.id for m in registry] == [plugin]
