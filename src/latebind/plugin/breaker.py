"""The circuit breaker: a plugin that fails again and again is left alone for a while, each time for longer.

After so many failures in a row it is suspended: what would use it raises `PluginSuspended` at once instead of failing
once more. When the time is over one attempt is let through; if that works all is well again, else the next, longer
suspension begins.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.errors import NotProvided, PluginError, PluginSuspended, PluginTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from latebind.contracts import Contract, Method
    from latebind.errors import LatebindError
    from latebind.plugin.generation import Generation, Invoke, Saved
    from latebind.plugin.manifest import Manifest


@dataclass(frozen=True, slots=True)
class BackOff:
    """When a plugin is suspended, and for how long.

    After `starts` failed starts in a row a plugin is not started for `delay` seconds, then for `factor` times as long
    with each further failure, up to `longest`. `calls` does the same for calls that fail in a row (`PluginError`, but
    not `NotProvided`; mistakes of the caller do not count); None counts no calls. `clock` is a monotonic clock in
    seconds.
    """

    starts: int | None = 3
    calls: int | None = None
    delay: float = 1.0
    factor: float = 2.0
    longest: float = 300.0
    clock: Callable[[], float] = time.monotonic


class Breaker:
    """Counts the failures of one plugin at one thing, of which `limit` in a row suspend it (None: never)."""

    def __init__(self, plugin: str, policy: BackOff, limit: int | None) -> None:
        self._plugin, self._policy, self._limit = plugin, policy, limit
        self._lock = threading.Lock()
        self.failures = 0
        """How many in a row."""
        self._trips = 0
        self._until: float | None = None
        self._trying = False
        self._last = ""

    @property
    def remaining(self) -> float:
        """Seconds for which it stays suspended; 0 if it is not."""
        return 0.0 if self._until is None else max(0.0, self._until - self._policy.clock())

    def enter(self, operation: str) -> None:
        """Before an attempt: raises `PluginSuspended` while suspended, or while the one attempt after that runs."""
        if self._until is None:
            return
        with self._lock:
            if self._until is not None:
                if self._trying or self.remaining:
                    raise PluginSuspended(self._plugin, operation, self.failures, self.remaining, self._last)
                self._trying = True

    def failed(self, error: BaseException) -> float:
        """An attempt failed. Answers the seconds for which the plugin is suspended by this, 0 if it is not."""
        with self._lock:
            self.failures += 1
            self._last = str(error).partition("\n")[0]
            self._trying = False
            if self._limit is None or self.failures < self._limit:
                return 0.0
            policy = self._policy
            # Not as a power of a large number: that would overflow, and is not needed beyond `longest`.
            seconds = min(policy.delay * policy.factor ** min(self._trips, 64), policy.longest)
            self._trips += 1
            self._until = policy.clock() + seconds
            return seconds

    def left(self) -> None:
        """An attempt ended without telling anything about the plugin."""
        if self._until is not None:
            with self._lock:
                self._trying = False

    def worked(self) -> bool:
        """An attempt went well: all is forgotten. Whether the plugin had been suspended."""
        if not self.failures:
            return False
        with self._lock:
            suspended = self._until is not None
            self.failures = self._trips = 0
            self._until, self._trying, self._last = None, False, ""
            return suspended


class GuardedGeneration:
    """A generation whose calls go through a breaker: what a host with `BackOff(calls=…)` keeps in its slots."""

    def __init__(
        self,
        inner: Generation,
        breaker: Breaker,
        suspended: Callable[[float, LatebindError], object],
        resumed: Callable[[], object],
    ) -> None:
        self._inner, self._breaker = inner, breaker
        self._suspended, self._resumed = suspended, resumed

    @property
    def manifest(self) -> Manifest:
        """The manifest that it was loaded by."""
        return self._inner.manifest

    @property
    def number(self) -> int:
        """Counts up with every reload, from 1."""
        return self._inner.number

    @property
    def config(self) -> Mapping[str, object]:
        """The configuration that it was started with."""
        return self._inner.config

    def check_contract(self, contract: Contract) -> None:
        """Raise unless it can serve this contract."""
        self._inner.check_contract(contract)

    def bind(self, contract: Contract, method: Method, proxy: object) -> Invoke:
        """A method as something to call, which the breaker watches."""
        invoke, breaker = self._inner.bind(contract, method, proxy), self._breaker
        operation = f"call {contract.id}.{method.name}"

        def call(arguments: Sequence[object]) -> object:
            breaker.enter(operation)
            try:
                answer = invoke(arguments)
            except NotProvided:
                breaker.left()
                raise
            except (PluginError, PluginTimeout) as e:
                seconds = breaker.failed(e)
                if seconds:
                    self._suspended(seconds, e)
                raise
            except BaseException:
                breaker.left()
                raise
            if breaker.worked():
                self._resumed()
            return answer

        return call

    def direct(self, contract: Contract, method: Method) -> None:  # noqa: ARG002 - as every kind has it
        """Nothing passes the breaker by: other plugins call by way of Python."""
        return

    def save(self) -> Saved | None:
        """The state."""
        return self._inner.save()

    def restore(self, saved: Saved) -> None:
        """Take over a state."""
        self._inner.restore(saved)

    def selftest(self) -> bool:
        """Run the plugin's lb_selftest; whether it has one."""
        return self._inner.selftest()

    def lasting(self) -> tuple[str, ...]:
        """Why parts of it stay in memory after `close`."""
        return self._inner.lasting()

    def stop(self) -> list[LatebindError]:
        """Stop the plugin."""
        return self._inner.stop()

    def close(self) -> list[LatebindError]:
        """Stop the plugin and unload it."""
        return self._inner.close()
