"""What is counted of each method's calls, and how it is read: `Host.plugins()` answers it as `PluginStatus.methods`.

The counts belong to the plugin's slot and not to a generation of its code: a reload does not set them back. The core
counts (src/core/meter.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from latebind import _core

BUCKETS: Final = _core.METER_BUCKETS
"""How many buckets a histogram has: the last one begins at 2**47 ns, 39 hours."""


@dataclass(frozen=True, slots=True)
class MethodStatistics:
    """The calls of one method of a plugin since its host was made, as they were counted at one moment.

    `contract` is the contract's id and `method` the method's name. `calls` ended, `errors` of them with an exception
    (a mistake in an argument is one too); `running` have begun and not ended. `total_ns` is how long the ended ones
    took together, in nanoseconds of CLOCK_MONOTONIC: from passing the gate (waiting for a reload is not in it) to
    the answer, with waiting for the plugin's other calls if its concurrency is serial.

    `buckets[i]` of the `BUCKETS` counts the calls that took at least 2**i and less than 2**(i + 1) ns; the first one
    also those of less, the last one also those of more. Their sum is `calls`.
    """

    contract: str
    method: str
    calls: int
    errors: int
    running: int
    total_ns: int
    buckets: tuple[int, ...]


def read_meter(contract: str, method: str, meter: _core.Meter) -> MethodStatistics:
    """What a meter has counted by now."""
    calls, errors, running, total, buckets = meter.read()
    return MethodStatistics(contract, method, calls, errors, running, total, buckets)
