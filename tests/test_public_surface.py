"""The public surface is exactly what is written here: a name appears or goes only on purpose."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import latebind

PUBLIC = [
    "AuditLog",
    "BuildFailed",
    "CallCancelled",
    "CallTimeout",
    "CapabilityDenied",
    "ClosedLibrary",
    "ContractError",
    "Deadline",
    "DependencyCycle",
    "Elf",
    "Float32",
    "Float64",
    "Handle",
    "Host",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "LatebindError",
    "Library",
    "LifecycleError",
    "LinkPlan",
    "MalformedElf",
    "ManifestError",
    "Namespace",
    "NotFound",
    "NotProvided",
    "NotTrusted",
    "Overloaded",
    "PluginCrashed",
    "PluginError",
    "PluginSuspended",
    "PluginTimeout",
    "Policy",
    "Problem",
    "Role",
    "SystemFailure",
    "Trace",
    "Tried",
    "TrustStore",
    "TrustedKey",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UnresolvedSymbol",
    "Unsupported",
    "VersionConflict",
    "contract",
    "dl",
    "link",
    "load",
    "plan",
    "quick",
    "read",
    "this_process",
]


def in_order(names: list[str]) -> list[str]:
    """Sorted as people do, Int8 before Int16."""
    return sorted(names, key=lambda name: re.sub(r"\d+", lambda digits: digits[0].zfill(4), name))


def test_all_is_exactly_the_expected_list() -> None:
    assert latebind.__all__ == PUBLIC
    assert in_order(PUBLIC) == PUBLIC
    assert sorted(latebind._HOME) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_can_be_had_and_says_what_it_is(name: str) -> None:
    value = getattr(latebind, name)
    assert (value.__doc__ or "").strip(), f"latebind.{name} has no docstring"
    assert name in dir(latebind)


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse(Path(latebind.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    seen = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == latebind._HOME


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        latebind.nonsense  # noqa: B018  (reading it is the test)


def test_importing_latebind_imports_nothing_else_of_weight() -> None:
    code = "import sys; before = set(sys.modules); import latebind; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["latebind"]


def test_the_names_of_elf_are_imported_when_they_are_used_and_checkers_see_them() -> None:
    from latebind import elf

    tree = ast.parse(Path(elf.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    seen = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == {name: f"latebind.elf.{home}" for name, home in elf._HOME.items()}
    assert sorted(elf.__all__) == sorted(elf._HOME)
    for name in elf.__all__:
        assert getattr(elf, name).__name__ == name
        assert name in dir(elf)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        elf.nonsense  # noqa: B018  (reading it is the test)
