"""What is counted of each method's calls, and how it is read: `Host.plugins()` answers it as `PluginStatus.methods`.

The counts belong to the plugin's slot and not to a generation of its code: a reload does not set them back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

BUCKETS: Final = 48
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


class Meter:
    """Counts the calls of one method of a plugin."""

    def __init__(self, contract: str, method: str) -> None:
        self._contract, self._method = contract, method
        self._calls = self._errors = self._running = self._total = 0
        self._buckets = [0] * BUCKETS

    def begin(self) -> int:
        """A call begins; answers what `end` wants to know."""
        self._running += 1
        return time.monotonic_ns()

    def end(self, begun: int, *, failed: bool) -> None:
        """A call ended."""
        taken = time.monotonic_ns() - begun
        self._running -= 1
        self._calls += 1
        self._errors += failed
        self._total += taken
        self._buckets[min(max(taken.bit_length() - 1, 0), BUCKETS - 1)] += 1

    def read(self) -> MethodStatistics:
        """The counts as they are now."""
        return MethodStatistics(
            self._contract, self._method, self._calls, self._errors, self._running, self._total, tuple(self._buckets)
        )
