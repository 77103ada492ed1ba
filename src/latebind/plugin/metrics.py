"""A host at one moment as a document: for `latebind plugin top`, for scripts, for whatever collects figures.

The document is JSON with a `schema` number; fields are added, never changed. Times are in nanoseconds.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from latebind.plugin.events import Event, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.plugin.host import Host
    from latebind.plugin.inventory import PluginStatus
    from latebind.plugin.statistics import MethodStatistics

SCHEMA: Final = 1
EVENTS: Final = 20
"""How many of the last events are in the document."""


def snapshot(host: Host) -> dict[str, Any]:
    """Everything that is counted of a host, as values that JSON knows."""
    return {
        "schema": SCHEMA,
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "monotonic_ns": time.monotonic_ns(),
        "workers": asdict(host.workers.statistics()),
        "audit": {"lost": host.audit.lost},
        "plugins": [_plugin(status) for status in host.plugins()],
        "events": [_event(event) for event in host.events.recent()[-EVENTS:]],
    }


def quantile(buckets: Sequence[int], share: float) -> int | None:
    """The nanoseconds within which `share` (0 to 1) of the counted calls ended; None without calls.

    Within a bucket, which spans a factor of two, calls count as evenly spread: so it is right within that factor.
    """
    wanted = share * sum(buckets)
    if not wanted:
        return None if not any(buckets) else 0
    below = 0.0
    for power, count in enumerate(buckets):
        if count and below + count >= wanted:
            least = 1 << power if power else 0
            return round(least + ((1 << (power + 1)) - least) * (wanted - below) / count)
        below += count
    return 1 << len(buckets)  # rounding may leave `wanted` a hair above the sum


def _plugin(status: PluginStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        "version": str(status.manifest.version),
        "state": str(status.state),
        "reason": status.reason,
        "generation": status.generation,
        "methods": [_method(method) for method in status.methods],
    }


def _method(method: MethodStatistics) -> dict[str, Any]:
    found = asdict(method)
    shares = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99}
    return found | {name: quantile(method.buckets, share) for name, share in shares.items()}


def _event(event: Event) -> dict[str, Any]:
    about = {"plugin": event.plugin, "version": event.version, "generation": event.generation}
    when = event.time.isoformat(timespec="milliseconds")
    return {"time": when, "event": type(event).__name__, **about, "text": text_of(event)}
