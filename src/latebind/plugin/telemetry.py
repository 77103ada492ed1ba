"""OpenTelemetry: a host's calls as spans and metrics, its reloads and loads as spans. Needs `opentelemetry-api`.

    instrument(host)

Without an SDK the API does nothing, at the cost of little. What the core counts anyway (statistics.py) is read when the
SDK collects, which costs the calls nothing; spans and the histogram of durations take some microseconds of each call,
so `calls=False` leaves them out.

Names follow the semantic conventions: dots, singular, seconds as `s`. Attributes begin with `latebind.`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from latebind._core import version
from latebind.closing import Closing
from latebind.errors import Unsupported
from latebind.plugin.events import (
    Event,
    Loaded,
    LoadFailed,
    Reloaded,
    ReloadStep,
    RolledBack,
    State,
    StateChanged,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from latebind.plugin.generation import Generation, Invoke
    from latebind.plugin.host import Host
    from latebind.plugin.statistics import MethodStatistics


def instrument(
    host: Host,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    calls: bool = True,
) -> Instrumentation:
    """Report a host's doings to OpenTelemetry, by the global providers unless others are given, until it is closed.

    To be called before plugins are loaded: what has been called already is traced from its next reload on. With
    `calls=False` there are no spans and no durations of calls. Raises `Unsupported` without `opentelemetry-api`.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as e:
        do = "pip install 'latebind[telemetry]'"
        raise Unsupported("OpenTelemetry", "the package opentelemetry-api is not there", do) from e
    tracer = trace.get_tracer("latebind", version, tracer_provider)
    meter = metrics.get_meter("latebind", version, meter_provider)
    return Instrumentation(host, tracer, meter, calls=calls)


class Instrumentation(Closing):
    """What `instrument` answers. A context manager."""

    def __init__(self, host: Host, tracer: Tracer, meter: Meter, *, calls: bool) -> None:
        self._host, self._tracer = host, tracer
        self._open: dict[tuple[str, str], Span] = {}
        self._closed = False
        self._events = meter.create_counter("latebind.plugin.event", "{event}", "Events of plugins' lives.")
        self._durations = meter.create_histogram("latebind.plugin.call.duration", "s", "How long calls took.")
        _observe(meter, self)
        self._calls = calls
        if calls:
            host.home.around = self._around
        self._subscription = host.subscribe(self._told)

    def close(self) -> None:
        """Report nothing further. More than once does no harm."""
        if self._closed:
            return
        self._closed = True
        self._subscription.close()
        if self._calls:
            self._host.home.around = None
        while self._open:
            self._open.popitem()[1].end()

    def observed(self, value: Callable[[MethodStatistics], float]) -> Iterable[Observation]:
        """One figure of each method."""
        from opentelemetry.metrics import Observation

        for status in self._host.plugins() if not self._closed else ():
            for method in status.methods:
                yield Observation(value(method), _about_method(status.id, f"{method.contract}.{method.method}"))

    def workers(self, name: str) -> Iterable[Observation]:
        """One figure of the host's threads."""
        from opentelemetry.metrics import Observation

        if not self._closed:
            yield Observation(getattr(self._host.workers.statistics(), name))

    def _around(self, generation: Generation, operation: str, invoke: Invoke) -> Invoke:
        """A method with a span and a duration for each call."""
        about = _about_method(generation.manifest.id, operation)
        version = str(generation.manifest.version)
        attributes: dict[str, str | int] = {
            **about,
            "latebind.plugin.version": version,
            "latebind.plugin.generation": generation.number,
        }

        def call(arguments: Sequence[object]) -> object:
            if self._closed:
                return invoke(arguments)
            begun, failure = time.perf_counter(), {}
            try:
                with self._tracer.start_as_current_span(operation, attributes=attributes):
                    return invoke(arguments)
            except BaseException as e:
                failure = {"error.type": type(e).__name__}
                raise
            finally:
                self._durations.record(time.perf_counter() - begun, {**about, **failure})

        return call

    def _told(self, event: Event) -> None:
        """Count an event, and begin, mark or end the span that it belongs to."""
        self._events.add(1, {"latebind.plugin.id": event.plugin, "latebind.event": type(event).__name__})
        if isinstance(event, ReloadStep):
            self._begin("reload", event).add_event(str(event.step))
        elif isinstance(event, StateChanged) and event.after is State.RESOLVED:
            self._begin("load", event)
        elif isinstance(event, Reloaded):
            self._end("reload", event, {"latebind.reload.held": event.held, "latebind.reload.new": event.new})
        elif isinstance(event, RolledBack):
            self._end("reload", event, {"latebind.reload.step": str(event.step)}, event.error)
        elif isinstance(event, Loaded):
            self._end("load", event, {"latebind.plugin.capabilities": event.capabilities})
        elif isinstance(event, LoadFailed):
            self._end("load", event, {}, event.error)

    def _begin(self, operation: str, event: Event) -> Span:
        key = operation, event.plugin
        if key not in self._open:
            about = {"latebind.plugin.id": event.plugin, "latebind.plugin.version": event.version}
            self._open[key] = self._tracer.start_span(f"latebind.{operation}", attributes=about)
        return self._open[key]

    def _end(
        self, operation: str, event: Event, attributes: dict[str, Any], error: BaseException | None = None
    ) -> None:
        from opentelemetry.trace import StatusCode

        span = self._begin(operation, event)
        del self._open[operation, event.plugin]
        span.set_attributes(attributes)
        if error is not None:
            span.record_exception(error) if isinstance(error, Exception) else None
            span.set_status(StatusCode.ERROR, text_of(event))
        span.end()


def _about_method(plugin: str, operation: str) -> dict[str, str]:
    return {"latebind.plugin.id": plugin, "latebind.method": operation}


def _observe(meter: Meter, source: Instrumentation) -> None:
    """The figures that are read when somebody collects."""

    def of(value: Callable[[MethodStatistics], float]) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        return [lambda _: source.observed(value)]

    def among(name: str) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        return [lambda _: source.workers(name)]

    counter, gauge = meter.create_observable_counter, meter.create_observable_up_down_counter
    counter("latebind.plugin.call.count", of(lambda m: m.calls), "{call}", "Calls that ended.")
    counter("latebind.plugin.call.errors", of(lambda m: m.errors), "{call}", "Calls that ended with an exception.")
    counter("latebind.plugin.call.time", of(lambda m: m.total_ns / 1e9), "s", "How long they took together.")
    gauge("latebind.plugin.call.running", of(lambda m: m.running), "{call}", "Calls under way.")
    gauge("latebind.worker.running", among("running"), "{call}", "Awaited calls that have a thread.")
    gauge("latebind.worker.waiting", among("waiting"), "{call}", "Awaited calls that wait for a thread.")
    gauge("latebind.worker.abandoned", among("abandoned"), "{call}", "Calls that run on without a caller.")
