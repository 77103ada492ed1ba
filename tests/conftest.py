"""What all tests share: a C compiler as a fixture, and the rule that continuous integration skips nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Plans that the tests make are kept in a folder of theirs, also by the processes that they start."""
    os.environ["LATEBIND_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cc(tmp_path: Path) -> Compiler:
    """The machine's C compiler, writing into the test's own folder."""
    return Compiler(tmp_path)


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With CI=true a skip means that something was not checked there: make it a failure that keeps its reason."""
    if os.environ.get("CI") == "true" and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI=true, and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
