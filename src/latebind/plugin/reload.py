"""Hot reload: another generation of a plugin's code takes over, with the state, while calls go on.

One transaction. Up to the switch everything can be undone, and is, whatever fails: the old generation keeps serving
with its state. After the switch the new one serves, and what goes wrong with unloading the old one is reported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.plugin.events import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.errors import LatebindError
    from latebind.plugin.generation import Generation
    from latebind.plugin.slot import Slot
    from latebind.plugin.timelimit import Watchdog

DRAIN_TIMEOUT: Final = 10.0
"""Seconds that a reload or unload waits for running calls to end, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """How a reload went.

    `state` is the number of bytes handed over, None without any; `held` the seconds for which calls had to wait.
    `lasting` says what of the old generation stays in memory and why; `problems` what went wrong with unloading it.
    """

    plugin: str
    old: str
    new: str
    generation: int
    state: int | None
    held: float
    lasting: tuple[str, ...]
    problems: tuple[LatebindError, ...]


class Journal:
    """Where a reload stands; `tell` is told of each step."""

    def __init__(self, tell: Callable[[Step], object]) -> None:
        self.step = Step.READ
        self.without: tuple[str, ...] = ()
        """What the next generation goes without, each as a sentence."""
        self._tell = tell

    def at(self, step: Step) -> None:
        """The reload comes to this step."""
        self.step = step
        self._tell(step)


def exchange(
    slot: Slot,
    old: Generation,
    load_beside: Callable[[], Generation],
    journal: Journal,
    timeout: float,
    watchdog: Watchdog,
) -> ReloadReport:
    """Load the next generation beside `old`, move the state, switch, and unload `old`.

    `load_beside` loads and starts the new generation, whole or not at all. Raises what went wrong before the switch;
    then `old` serves as before. An interrupt after the switch is raised too: `slot.generation` says who serves.
    """
    journal.at(Step.LOAD)
    new = load_beside()
    size, held = None, 0.0
    try:
        journal.at(Step.HOLD)
        with slot.gate.hold("reload", timeout):
            begun = time.perf_counter()
            size = _move_state(old, new, journal, watchdog)
            journal.at(Step.SWITCH)
            slot.generation = new
        held = time.perf_counter() - begun
        journal.at(Step.UNLOAD)
        lasting = old.lasting()
    except BaseException as error:
        # Exactly one of the two serves, also when a KeyboardInterrupt comes just after the switch: the other one goes.
        gone = old if slot.generation is new else new
        for problem in watchdog.close(gone):
            error.add_note(f"and, on unloading {gone.manifest}: {problem}")
        raise
    problems = tuple(watchdog.close(old))
    return ReloadReport(slot.plugin, str(old.manifest), str(new.manifest), new.number, size, held, lasting, problems)


def _move_state(old: Generation, new: Generation, journal: Journal, watchdog: Watchdog) -> int | None:
    journal.at(Step.SAVE)
    saved = watchdog.save(old)
    if saved is None:
        return None
    journal.at(Step.RESTORE)
    watchdog.restore(new, saved)
    return len(saved.data)
