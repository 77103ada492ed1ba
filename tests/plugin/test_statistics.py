"""What the host counts of each method's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind import Host, PluginError
from support.plugins import Counter, PluginFolder

if TYPE_CHECKING:
    from latebind.plugin import MethodStatistics


@pytest.fixture
def counter(host: Host, plugins: PluginFolder) -> Counter:
    """The counter, loaded."""
    plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    return host.get(Counter)


def of(host: Host, method: str) -> MethodStatistics:
    [status] = host.plugins()
    [found] = [m for m in status.methods if m.method == method]
    return found


def test_each_call_is_counted_once_with_its_time(host: Host, counter: Counter) -> None:
    for _ in range(5):
        counter.add(1)
    found = of(host, "add")
    assert (found.contract, found.calls, found.errors, found.running) == ("test.counter", 5, 0, 0)
    assert sum(found.buckets) == 5
    shortest = sum(n << i for i, n in enumerate(found.buckets) if i)
    assert shortest <= found.total_ns < 2 * shortest + 5 * 2
    assert of(host, "name").calls == 0


def test_calls_that_raise_are_errors(host: Host, counter: Counter) -> None:
    with pytest.raises(PluginError):
        counter.add(-1)
    with pytest.raises(OverflowError):
        counter.add(1 << 64)
    assert (of(host, "add").calls, of(host, "add").errors) == (2, 2)


def test_proxies_count_together_and_a_reload_keeps_the_counts(host: Host, counter: Counter) -> None:
    counter.add(1)
    host.reload("test.counter")
    host.get(Counter).add(1)
    assert of(host, "add").calls == 2


def test_a_plugin_without_a_proxy_has_no_counts(host: Host, plugins: PluginFolder) -> None:
    plugins.counter()
    host.discover(plugins.root)
    assert [s.methods for s in host.plugins()] == [()]
