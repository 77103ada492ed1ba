"""What happens in a host, as values: each step of a plugin's life, each reload and roll-back, each failure.

`Host.subscribe(f)` calls f with every event from then on, in the order in which things happen, in the thread that makes
them happen and before the operation goes on. So a subscriber is quick, and leaves changing the host to another thread.
`Host.events.recent()` answers the last ones. Everything that reports (audit log, metrics, command line) listens here.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from latebind.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.errors import BuildFailed, LatebindError, PluginError

RECENT: Final = 1000
"""How many events a host remembers."""


class State(StrEnum):
    """Where a plugin is in its life, in the order of that life. An unloaded plugin may be loaded again."""

    DISCOVERED = "discovered"
    """Its manifest is known."""
    RESOLVED = "resolved"
    """Everything that it requires has been found, and is there."""
    LOADED = "loaded"
    """Its code is in the process: a file mapped and bound, or a module imported."""
    STARTED = "started"
    """lb_init went well (or the class was made): it serves."""
    STOPPED = "stopped"
    """lb_fini has run; nothing is called any more."""
    UNLOADED = "unloaded"
    """Its code has gone."""


class Step(StrEnum):
    """The steps of a hot reload, in order. Whatever fails up to SWITCH is rolled back."""

    READ = "read the manifest"
    RESOLVE = "resolve"
    PREFLIGHT = "preflight"
    """What of the old code cannot be unloaded is named."""
    PROBATION = "probation"
    """The new code is loaded in a process of its own, and tests itself there."""
    LOAD = "check and load beside"
    HOLD = "hold calls"
    SAVE = "save"
    RESTORE = "restore"
    SWITCH = "switch"
    UNLOAD = "unload the old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events. `generation` is 0 where none is concerned; `version` is empty where none is known."""

    plugin: str
    version: str = ""
    generation: int = 0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """A plugin went from one state to the next. `reason` says why, where that is not what usually happens."""

    before: State | None
    after: State
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRejected(Event):
    """A manifest was left out (`plugin` is empty: nobody knows whose it is)."""

    path: str
    error: LatebindError


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementSkipped(Event):
    """A plugin goes without something that it requires as optional; `why` is a sentence."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerified(Event):
    """A plugin is as a trusted key signed it."""

    key: str
    signer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Event):
    """A plugin was loaded and started, with these capabilities, in this isolation."""

    capabilities: tuple[str, ...]
    isolation: str
    unenforced: tuple[str, ...] = ()
    """Parts of its manifest that this isolation cannot enforce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed(Event):
    """A plugin was not loaded; nothing of it stayed."""

    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Unloaded(Event):
    """A plugin was unloaded. `why` is "unload", or "rolled back" where what should have been loaded with it failed.

    `lasting` says what stays in memory, `problems` what went wrong on the way.
    """

    why: str
    lasting: tuple[str, ...] = ()
    problems: tuple[LatebindError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadStep(Event):
    """A reload comes to this step."""

    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotUnload(Event):
    """What of the code that a reload is about to replace would stay in memory, and why."""

    lasting: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbationPassed(Event):
    """The new code was loaded in a process of its own, started, tested and stopped, in so many seconds.

    `selftest` is whether it has a self-test. `inconclusive` is empty, or says why a failure there was not held against
    it: a service was asked for an answer, which a stand-in can only invent.
    """

    seconds: float
    selftest: bool
    inconclusive: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded(Event):
    """Another generation serves. The fields are those of `ReloadReport`, `version` and `generation` the new one's."""

    old: str
    new: str
    state: int | None
    held: float
    lasting: tuple[str, ...]
    problems: tuple[LatebindError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack(Event):
    """A reload failed at `step`; the old generation (`version`, `generation`) serves on."""

    step: Step
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended(Event):
    """A plugin failed so often that it is left alone for so many seconds. `error` is its last failure."""

    failures: int
    seconds: float
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A plugin that was suspended works again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSeen(Event):
    """Files of a watched plugin changed."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built(Event):
    """A watched plugin's build ended after so many seconds; `error` has the compiler's words if it failed."""

    command: str
    seconds: float
    error: BuildFailed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFailed(Event):
    """A watch could not do what it was to do after a change; it goes on. A reload that failed is `RolledBack`."""

    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(Event):
    """A plugin said no to a call, or answered something that breaks its contract. `error` is what the caller gets.

    A mistake in an argument is the caller's, and a method that the plugin does not have yet (`NotProvided`) is no
    failure; a call that took too long is `CallTimedOut`.
    """

    operation: str
    error: PluginError


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimedOut(Event):
    """A call did not answer within so many seconds: its manifest's `limits.call_time`, or what its caller gave it.

    It may be running still; nothing can end native code within the process.
    """

    operation: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed(Event):
    """A process in which the plugin was called ended in the middle of it; `how` is a sentence."""

    operation: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused(Event):
    """A call was refused because so many are waiting for the plugin already."""

    operation: str
    waiting: int


E = TypeVar("E", bound=BaseException)


def detached(error: E) -> E:
    """An error as an event keeps it: the same, without its traceback, whose frames would keep code in memory."""
    made = type(error).__new__(type(error), *error.args)
    vars(made).update(vars(error))
    made.__cause__ = detached(error.__cause__) if error.__cause__ is not None else None
    return made


def text_of(event: Event) -> str:
    """An event's own fields in one line: `operation acme.tokenizer.count, seconds 2`."""
    common = {f.name for f in fields(Event)}
    own = [(f.name, getattr(event, f.name)) for f in fields(event) if f.name not in common]
    return ", ".join(f"{name} {_short(value)}" for name, value in own if value not in {None, "", ()})


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "; ".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


class Subscription(Closing):
    """What `subscribe` answers: `close` ends it, once. A context manager."""

    def __init__(self, end: Callable[[Subscription], None], call: Callable[[Event], object]) -> None:
        self._end = end
        self.call = call
        self.failure: Exception | None = None
        """What the subscriber last raised. The operation that it was told of goes on."""

    def close(self) -> None:
        """No further events. More than once does no harm."""
        self._end(self)


class Events:
    """The events of one host. Any thread may emit and subscribe."""

    def __init__(self) -> None:
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def subscribe(self, call: Callable[[Event], object]) -> Subscription:
        """Call `call` with every event from now on.

        What it raises is kept in `Subscription.failure` and undoes nothing; an interrupt (KeyboardInterrupt) goes
        through, as it would anywhere else.
        """
        made = Subscription(self._end, call)
        with self._lock:
            self._subscriptions += (made,)
        return made

    def recent(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        with self._lock:
            return tuple(self._recent)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        with self._lock:
            self._recent.append(event)
            told = self._subscriptions
        for subscription in told:
            try:
                subscription.call(event)
            except Exception as e:  # noqa: BLE001 - a subscriber is the host's code and may raise anything
                subscription.failure = e

    def _end(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
