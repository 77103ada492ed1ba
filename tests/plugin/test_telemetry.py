"""OpenTelemetry: what an SDK gets of a host's calls, loads and reloads, and that nothing is left when it is closed."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from latebind import Host, LatebindError, PluginError, Unsupported
from latebind.plugin import instrument
from support.plugins import Counter, PluginFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.plugin import Instrumentation


class Seen(NamedTuple):
    """A host that is instrumented, and what the SDK got."""

    host: Host
    plugins: PluginFolder
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider
    instrumentation: Instrumentation

    def load(self) -> Counter:
        self.plugins.counter()
        self.host.discover(self.plugins.root)
        self.host.load("test.counter")
        return self.host.get(Counter)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {metric.name: list(metric.data.data_points) for metric in found}


@pytest.fixture
def seen(host: Host, plugins: PluginFolder) -> Iterator[Seen]:
    exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader])
    with instrument(host, tracer_provider=tracers, meter_provider=meters) as made:
        yield Seen(host, plugins, exporter, reader, tracers, made)
    meters.shutdown()
    tracers.shutdown()


def test_each_call_is_a_span(seen: Seen) -> None:
    counter = seen.load()
    with seen.tracers.get_tracer("test").start_as_current_span("outer") as outer:
        assert counter.add(2) == 2
    [span] = seen.named("test.counter.add")
    assert span.parent == outer.get_span_context()
    assert dict(span.attributes or {}) == {
        "latebind.plugin.id": "test.counter",
        "latebind.plugin.version": "1.0.0",
        "latebind.plugin.generation": 1,
        "latebind.method": "test.counter.add",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_a_call_that_fails_is_a_span_with_its_error(seen: Seen) -> None:
    counter = seen.load()
    with pytest.raises(PluginError):
        counter.add(-1)
    [span] = seen.named("test.counter.add")
    assert span.status.status_code is StatusCode.ERROR
    assert [e.name for e in span.events] == ["exception"]
    [point] = seen.metrics()["latebind.plugin.call.duration"]
    assert (point.attributes["error.type"], point.count) == ("PluginError", 1)


def test_an_awaited_call_belongs_to_the_span_around_it(seen: Seen) -> None:
    counter: Any = seen.load()

    async def main() -> None:
        with seen.tracers.get_tracer("test").start_as_current_span("outer") as outer:
            await counter.aio.add(1)
        [span] = seen.named("test.counter.add")
        assert span.parent == outer.get_span_context()

    asyncio.run(main())


def test_the_counts_are_metrics(seen: Seen) -> None:
    counter = seen.load()
    for amount in (1, 2, 3):
        counter.add(amount)
    found = seen.metrics()
    points = {p.attributes["latebind.method"]: p.value for p in found["latebind.plugin.call.count"]}
    assert points == {"test.counter.add": 3, "test.counter.name": 0}
    assert {p.value for p in found["latebind.plugin.call.errors"]} == {0}
    assert sum(p.value for p in found["latebind.plugin.call.time"]) > 0
    assert [p.value for p in found["latebind.plugin.call.running"]] == [0, 0]
    assert [p.value for p in found["latebind.worker.running"]] == [0]


def test_without_calls_there_are_counts_and_no_spans_of_calls(host: Host, plugins: PluginFolder) -> None:
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    with instrument(host, tracer_provider=tracers, calls=False):
        plugins.counter()
        host.discover(plugins.root)
        host.load("test.counter")
        host.get(Counter).add(1)
    assert "test.counter.add" not in [s.name for s in exporter.get_finished_spans()]
    tracers.shutdown()


def test_a_load_and_a_reload_are_spans_with_their_steps(seen: Seen) -> None:
    counter = seen.load()
    counter.add(4)
    seen.host.reload("test.counter")
    [load], [reload] = seen.named("latebind.load"), seen.named("latebind.reload")
    assert (load.attributes or {})["latebind.plugin.id"] == "test.counter"
    assert (reload.attributes or {})["latebind.reload.new"] == "test.counter 1.0.0"
    steps = [e.name for e in reload.events]
    assert steps[0] == "read the manifest"
    assert steps.index("save") < steps.index("restore") < steps.index("switch")
    counter.add(1)
    assert [(s.attributes or {})["latebind.plugin.generation"] for s in seen.named("test.counter.add")] == [1, 2]


def test_what_is_rolled_back_is_an_error(seen: Seen) -> None:
    seen.load()
    seen.plugins.counter("-DINIT=LB_FAILED")
    with pytest.raises(LatebindError):
        seen.host.reload("test.counter")
    [reload] = seen.named("latebind.reload")
    assert reload.status.status_code is StatusCode.ERROR
    events = {p.attributes["latebind.event"]: p.value for p in seen.metrics()["latebind.plugin.event"]}
    assert events["RolledBack"] == 1


def test_closing_leaves_nothing(seen: Seen) -> None:
    counter = seen.load()
    counter.add(1)
    seen.instrumentation.close()
    seen.instrumentation.close()
    counter.add(1)
    seen.host.reload("test.counter")
    counter.add(1)
    assert len(seen.named("test.counter.add")) == 1
    assert seen.named("latebind.reload") == []
    assert "latebind.plugin.call.count" not in seen.metrics()


def test_without_the_package_it_says_what_to_install(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(Unsupported, match=r"pip install 'latebind\[telemetry\]'"):
        instrument(host)
