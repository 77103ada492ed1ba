"""Events: everyone who subscribed is told, in order, and nobody can spoil it for the others."""

from __future__ import annotations

import pytest

from latebind.plugin.events import RECENT, Event, Events, Resumed, State, StateChanged


def test_a_subscriber_is_told_everything_from_then_on_in_order() -> None:
    events, seen = Events(), []  # type: tuple[Events, list[Event]]
    events.emit(Resumed(plugin="a.b"))
    first = StateChanged(plugin="a.b", before=None, after=State.DISCOVERED)
    second = StateChanged(plugin="a.b", before=State.DISCOVERED, after=State.RESOLVED)
    with events.subscribe(seen.append):
        events.emit(first)
        events.emit(second)
    events.emit(Resumed(plugin="a.b"))
    assert seen == [first, second]


def test_a_subscriber_that_raises_harms_nobody_and_its_failure_is_kept() -> None:
    events, seen = Events(), []  # type: tuple[Events, list[Event]]
    broken = events.subscribe(lambda _: 1 / 0)
    events.subscribe(seen.append)
    events.emit(Resumed(plugin="a.b"))
    assert len(seen) == 1
    assert isinstance(broken.failure, ZeroDivisionError)


def test_an_interrupt_goes_through() -> None:
    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    events = Events()
    events.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        events.emit(Resumed(plugin="a.b"))


def test_ending_a_subscription_twice_does_no_harm() -> None:
    events, seen = Events(), []  # type: tuple[Events, list[Event]]
    subscription, other = events.subscribe(seen.append), events.subscribe(seen.append)
    subscription.close()
    subscription.close()
    events.emit(Resumed(plugin="a.b"))
    assert len(seen) == 1
    other.close()


def test_the_last_events_are_remembered_and_no_more() -> None:
    events = Events()
    for n in range(RECENT + 5):
        events.emit(Resumed(plugin="a.b", generation=n))
    assert [e.generation for e in events.recent()] == list(range(5, RECENT + 5))
