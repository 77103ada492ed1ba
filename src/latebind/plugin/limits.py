"""A manifest's `limits.call_time`, for plugins that run inline: told to the call, and held against its answer.

Each call is made under a `Deadline` of that time, so a plugin that asks (`lb_cancelled`, `Deadline.current()`) can end
in time. Nothing else can end it: an inline plugin that does not ask runs on, its caller waits, and then gets
`CallTimeout` in place of the answer that came too late. Only an isolation with a boundary can stop such a plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from latebind.contracts import Deadline
from latebind.errors import CallCancelled, CallTimeout, PluginError
from latebind.plugin.events import CallTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.plugin.generation import Generation, Invoke
    from latebind.plugin.slot import Slot

R = TypeVar("R")


def limited(slot: Slot, generation: Generation, operation: str, invoke: Invoke) -> Invoke:
    """`invoke`, within the call time of the generation's manifest if it has one."""
    if generation.manifest.limits.call_time is None:
        return invoke
    return lambda arguments: within_limit(slot, generation, operation, lambda: invoke(arguments))


def within_limit(slot: Slot, generation: Generation, operation: str, call: Callable[[], R]) -> R:
    """The answer of one call. Raises `CallTimeout` where it came too late or said that it gave up for want of time."""
    limit = generation.manifest.limits.call_time
    if limit is None:
        return call()
    deadline, failure = Deadline(limit), None
    try:
        answer = deadline.run(call)
    except PluginError as e:
        if not deadline.expired:
            raise
        failure = e
    except (CallTimeout, CallCancelled):
        if deadline.expired:
            tell(slot, generation, operation, limit)
        raise
    else:
        if not deadline.expired:
            return answer
        if callable(close := getattr(answer, "close", None)):
            close()  # a handle or an iterator, which nobody will get
    tell(slot, generation, operation, limit)
    raise deadline.error(slot.plugin, operation) from failure


def tell(slot: Slot, generation: Generation, operation: str, seconds: float) -> None:
    """Emit that a call took too long."""
    number, version = generation.number, str(generation.manifest.version)
    slot.home.emit(
        CallTimedOut(plugin=slot.plugin, version=version, generation=number, operation=operation, seconds=seconds)
    )
