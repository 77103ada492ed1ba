"""The files around the code agree with each other: versions, dependencies, and the installed package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import latebind

TOP = Path(__file__).parent.parent
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_names() -> list[str]:
    project = PROJECT["project"]
    lines = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    return [re.split(r"[<>=!~\[ ;]", line)[0] for line in lines]


def test_every_place_names_the_same_version() -> None:
    meson = re.search(r"version: '([^']+)'", (TOP / "meson.build").read_text(encoding="utf-8"))
    assert meson
    assert meson[1] == PROJECT["project"]["version"] == latebind.__version__


@pytest.mark.parametrize("name", requirement_names())
def test_every_dependency_has_its_reason(name: str) -> None:
    assert f"`{name}`" in (TOP / "docs" / "dependencies.md").read_text(encoding="utf-8")


def test_the_installed_package_holds_every_source_file() -> None:
    installed = Path(latebind.__file__).parent
    for source in (TOP / "src" / "latebind").rglob("*"):
        if source.suffix in {".py", ".pyi", ".typed", ".h"} and "__pycache__" not in source.parts:
            copy = installed / source.relative_to(TOP / "src" / "latebind")
            assert copy.read_bytes() == source.read_bytes(), f"{copy} is not {source}"
