"""A package imports only packages that stand before it in the pipeline (CONTRIBUTING, "The pipeline").

Every import counts: at the top of a file, inside a function, and under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import latebind

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent.parent / "src" / "latebind"

PIPELINE = (
    "elf", "search", "linkplan", "ffi", "linker", "contracts", "sandbox", "plugin", "agent", "view", "compat", "cli",
)  # fmt: skip
INSPECTION = {"elf", "search", "linkplan"}  # pure: read files, execute nothing
EVERYWHERE = {"errors", "value", "closing"}  # the errors, what they are made of, and context managers are everybody's
# Only those who read, search, match, execute, call and host reach into the C core.
CORE_USERS = {"elf", "search", "linkplan", "linker", "ffi", "contracts", "sandbox", "plugin"}


def allowed(package: str) -> set[str]:
    """The packages that `package` may import."""
    if package in {"view", "compat"}:
        names = set(INSPECTION)
    elif package == "cli":
        names = set(PIPELINE) | {""}
    else:
        names = set(PIPELINE[: PIPELINE.index(package)])
    return names | EVERYWHERE | {package} | ({"_core"} if package in CORE_USERS else set())


def package_of(module: str) -> str:
    """`latebind.elf.header` → `elf`; `latebind` itself → the empty string."""
    return module.partition(".")[2].partition(".")[0]


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """(line, package) for each import of latebind in `file`."""
    here = ["latebind", *file.relative_to(SOURCES).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "latebind":
                    yield node.lineno, package_of(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "latebind":  # a package, or a public name: then what counts is where that name lives
                for alias in node.names:
                    home = "latebind" if alias.name == "__version__" else latebind._HOME.get(alias.name)
                    yield node.lineno, package_of(home) if home else alias.name
            elif module.startswith("latebind."):
                yield node.lineno, package_of(module)


@pytest.mark.parametrize("package", [p.name for p in sorted(SOURCES.iterdir()) if (p / "__init__.py").exists()])
def test_a_package_imports_only_what_stands_before_it(package: str) -> None:
    assert package in PIPELINE, f"{package} has no place in the pipeline"
    wrong = [
        f"{file.relative_to(SOURCES)}:{line} imports {name or 'latebind'}"
        for file in sorted((SOURCES / package).rglob("*.py"))
        for line, name in imported(file)
        if name not in allowed(package)
    ]
    assert wrong == []


def test_what_everybody_imports_depends_on_nothing_else() -> None:
    assert {name for _, name in imported(SOURCES / "errors.py")} == {"value"}
    assert list(imported(SOURCES / "value.py")) == []
    assert list(imported(SOURCES / "closing.py")) == []


def test_the_guard_sees_every_way_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_layering.SOURCES", tmp_path, raising=False)
    monkeypatch.setitem(globals(), "SOURCES", tmp_path)
    file = tmp_path / "elf" / "a.py"
    file.parent.mkdir()
    file.write_text(
        "import latebind.cli.main\n"
        "from latebind import linker, NotFound\n"
        "from latebind.view import tree\n"
        "from .. import plugin\n"
        "from ..search.cache import x\n"
        "from . import b\n"
        "def f():\n    from latebind.ffi import y\n"
    )
    assert [name for _, name in imported(file)] == [
        "cli", "linker", "errors", "view", "plugin", "search", "elf", "ffi",
    ]  # fmt: skip
