"""What the tests of the plugin host share: a folder to build plugins in, and a host that trusts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from latebind import AuditLog, Host
from latebind.testing import Recorder, everything_allowed
from support.plugins import Counter, Logger, PluginFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def plugins(tmp_path: Path) -> PluginFolder:
    """An empty folder for plugins."""
    return PluginFolder(tmp_path / "plugins")


@pytest.fixture
def log() -> list[dict[str, Any]]:
    """The audit log's entries."""
    return []


@pytest.fixture
def logger() -> Recorder:
    """The host's logger, which remembers what it was told."""
    return Recorder(Logger)


@pytest.fixture
def host(log: list[dict[str, Any]], logger: Recorder) -> Iterator[Host]:
    """A host that allows everything, offers a logger and knows the counter."""
    audit = AuditLog(lambda line: log.append(json.loads(line)))
    with Host(everything_allowed(), {Logger: logger}, contracts=[Counter], audit=audit) as made:
        yield made


@pytest.fixture
def counter(host: Host, plugins: PluginFolder) -> Counter:
    """The first build of the counter, loaded, with a sum of 5."""
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    found = host.get(Counter)
    found.add(5)
    return found
