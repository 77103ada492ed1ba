"""Plugins of installed Python distributions, found by their entry points without importing them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from latebind import Host
from latebind.plugin import Registry
from latebind.testing import everything_allowed
from support.command import latebind
from support.plugins import Counter

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
class Plugin:
    def __init__(self, context): pass
    def add(self, amount): return amount
    def name(self): return "installed"
"""


class Site:
    """A folder of installed distributions that is on the path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, name: str, value: str, package: str | None = None, plugin: str | None = None) -> Path:
        """A distribution with one entry point; its `package` (default: as `value`) holds the manifest of `plugin`."""
        dist = self.root / f"{name.replace('.', '_')}-1.0.dist-info"
        dist.mkdir()
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.0\n")
        (dist / "entry_points.txt").write_text(f"[latebind.plugins]\n{name} = {value}\n")
        folder = self.root.joinpath(*(package or value).split("."))
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
        (folder / "work.py").write_text(CODE)
        provides = "provides: [{contract: test.counter, version: 1.1.0}]\n"
        (folder / "plugin.yaml").write_text(f"id: {plugin or name}\nversion: 1.0.0\nentry: work:Plugin\n{provides}")
        return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return Site(tmp_path / "site")


def reason(site: Site) -> str:
    """Why the one bad plugin was left out; a good one beside it is found all the same."""
    site.install("test.good", "lb_test_good")
    found = Registry().discover(installed=True)
    assert [m.id for m in found.found if m.id.startswith("test.")] == ["test.good"]
    (bad,) = [r for r in found.rejected if "entry point test.bad" in r.path]
    return str(bad.error)


def test_an_installed_plugin_is_found_loaded_and_not_imported_before(site: Site) -> None:
    folder = site.install("test.installed", "lb_test_installed")
    (folder / "__init__.py").unlink()
    with Host(everything_allowed(), contracts=[Counter]) as host:
        found = host.discover(installed=True)
        assert str(folder / "plugin.yaml") in [m.path for m in found.found]
        assert "lb_test_installed" not in sys.modules
        host.load("test.installed")
        assert host.get(Counter).name() == "installed"


def test_a_package_within_a_package_is_located_without_importing_either(site: Site) -> None:
    folder = site.install("test.inner", "lb_test_outer.inner")
    outer = site.root / "lb_test_outer" / "__init__.py"
    outer.write_text("raise SystemExit('imported')\n")
    assert str(folder / "plugin.yaml") in [m.path for m in Registry().discover(installed=True).found]
    outer.unlink()  # a namespace package
    assert str(folder / "plugin.yaml") in [m.path for m in Registry().discover(installed=True).found]


def test_without_being_asked_for_they_are_left_alone(site: Site, tmp_path: Path) -> None:
    site.install("test.installed", "lb_test_installed")
    (tmp_path / "empty").mkdir()
    assert Registry().discover(tmp_path / "empty").found == ()


def test_a_package_that_is_not_there(site: Site) -> None:
    site.install("test.bad", "lb_test_missing", package="lb_test_other")
    assert "tried lb_test_missing: is no package" in reason(site)


def test_a_package_without_manifest(site: Site) -> None:
    folder = site.install("test.bad", "lb_test_bad")
    (folder / "plugin.yaml").unlink()
    assert f"tried {folder}: has no plugin.yaml" in reason(site)


def test_a_manifest_of_another_plugin(site: Site) -> None:
    site.install("test.bad", "lb_test_bad", plugin="test.other")
    text = "id: expected test.bad, as its entry point test.bad = lb_test_bad of dist-test.bad 1.0"
    assert text in reason(site)


def test_a_broken_manifest(site: Site) -> None:
    folder = site.install("test.bad", "lb_test_bad")
    (folder / "plugin.yaml").write_text("id: 3\n")
    assert "version: is missing" in reason(site)


@pytest.mark.parametrize("value", ["lb_test_bad:Plugin", "../../etc", "a..b", "/etc"])
def test_a_value_that_is_no_package(site: Site, value: str) -> None:
    site.install("test.bad", value, package="lb_test_bad")
    assert f"expected the name of a package, not {value!r}" in reason(site)


def test_the_command_lists_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("test.installed", "lb_test_installed")
    monkeypatch.setenv("PYTHONPATH", str(site.root))
    run = latebind("plugin", "list", "--installed")
    assert run.returncode == 0, run.stderr
    assert [line.split()[:2] for line in run.stdout.splitlines()] == [["ID", "VERSION"], ["test.installed", "1.0.0"]]
