"""The gate: calls enter and leave, and nobody is inside while it is held."""

from __future__ import annotations

import signal
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from latebind import LifecycleError, PluginTimeout, _core
from latebind.plugin.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Inside:
    """How many are inside; `seen` is what that number was while the gate was held."""

    def __init__(self) -> None:
        self.number = 0
        self.seen: list[int] = []
        self._lock = threading.Lock()

    def change(self, by: int) -> None:
        with self._lock:
            self.number += by

    def hold_often(self, gate: Gate, call: Callable[[], object]) -> None:
        """Hold the gate a hundred times while four threads call."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                call()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            with gate.hold("reload", 10):
                self.seen.append(self.number)
                time.sleep(0)
                self.seen.append(self.number)
        stop.set()
        for thread in threads:
            thread.join()


def test_nobody_is_inside_while_the_gate_is_held() -> None:
    gate, inside = Gate("a.b"), Inside()

    def call() -> None:
        gate.enter()
        inside.change(1)
        time.sleep(0)
        inside.change(-1)
        gate.leave()

    inside.hold_often(gate, call)
    assert set(inside.seen) == {0}


def test_a_call_that_does_not_end_is_a_timeout_and_opens_the_gate_again() -> None:
    gate, entered, end = Gate("a.b"), threading.Event(), threading.Event()

    def call() -> None:
        gate.enter()
        entered.set()
        end.wait()
        gate.leave()

    thread = threading.Thread(target=call)
    thread.start()
    entered.wait()
    with pytest.raises(PluginTimeout, match=r"plugin a\.b: reload waited 0\.01 s"), gate.hold("reload", 0.01):
        pytest.fail("the gate was held although a call is inside")
    gate.enter()
    gate.leave()
    end.set()
    thread.join()


def test_a_call_within_a_call_does_not_wait() -> None:
    gate, holding = Gate("a.b"), threading.Event()
    gate.enter()

    def hold() -> None:
        holding.set()
        with gate.hold("reload", 10):
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    time.sleep(0.05)
    gate.enter()
    gate.leave()
    gate.leave()
    thread.join(10)
    assert not thread.is_alive()


def test_holding_the_gate_from_within_a_call_is_an_error() -> None:
    gate = Gate("a.b")
    gate.enter()
    with pytest.raises(LifecycleError, match="would wait for itself"), gate.hold("reload", 1):
        pytest.fail("the gate was held from within a call")
    gate.leave()
    with gate.hold("reload", 1):
        pass


def through(gate: Gate, function: Callable[[int], int]) -> _core.Entry:
    """`function` as a proxy's method has it."""

    def invoke(arguments: Sequence[Any]) -> int:
        return function(*arguments)

    gate.serving = gate.serving or object()
    return _core.Entry(
        gate, _core.Meter(), lambda: (gate.serving, invoke), lambda *args: args, 1, None, "f", "C.f", None, None
    )


def test_what_is_called_through_the_gate_stays_out_while_it_is_held() -> None:
    gate, inside = Gate("a.b"), Inside()

    def body(change: int) -> int:
        inside.change(change)
        time.sleep(0)
        nested(change)
        inside.change(-change)
        return change

    nested = through(gate, lambda change: change)
    call = through(gate, body)
    inside.hold_often(gate, lambda: call(1))
    assert set(inside.seen) == {0}


def test_a_call_through_the_gate_that_raises_leaves() -> None:
    gate = Gate("a.b")
    with pytest.raises(ZeroDivisionError):
        through(gate, lambda number: 1 // number)(0)
    assert gate.inside == 0
    with gate.hold("reload", 0.01):
        pass


def test_leaving_without_entering_is_an_error() -> None:
    gate = Gate("a.b")
    with pytest.raises(RuntimeError, match="did not enter"):
        gate.leave()

    def leave(number: int) -> int:
        gate.leave()
        return number

    with pytest.raises(RuntimeError, match="did not enter"):
        through(gate, leave)(1)
    assert gate.inside == 0


def test_gates_may_be_left_in_any_order() -> None:
    one, other = Gate("a.b"), Gate("c.d")
    one.enter()
    other.enter()
    one.leave()
    assert (one.inside, one.entered, other.inside, other.entered) == (0, False, 1, True)
    other.leave()
    assert (other.inside, other.entered) == (0, False)


def test_a_signal_interrupts_waiting_outside() -> None:
    gate = Gate("a.b")
    call = through(gate, lambda number: number)

    def interrupt(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.main_thread().ident
    assert main is not None
    try:
        with gate.hold("reload", 10):
            threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGUSR1)).start()
            with pytest.raises(InterruptedError):
                call(1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (gate.inside, call(2)) == (0, 2)


def test_an_entry_goes_to_the_generation_that_serves() -> None:
    gate, bound = Gate("a.b"), []

    def bind() -> tuple[object, Callable[[Sequence[object]], object]]:
        serving = gate.serving
        if serving is None:
            raise LookupError
        bound.append(serving)
        return serving, lambda arguments: (serving, *arguments)

    entry = _core.Entry(gate, _core.Meter(), bind, lambda *args: args, 1, None, "f", "C.f", None, None)
    with pytest.raises(LookupError):
        entry(1)
    gate.serving = "one"
    assert [entry(1), entry(2)] == [("one", 1), ("one", 2)]
    gate.serving = "two"
    assert [entry(3), bound] == [("two", 3), ["one", "two"]]
    gate.serving = None
    with pytest.raises(LookupError):
        entry(1)


def test_an_entry_keeps_nothing_of_a_generation_that_is_gone() -> None:
    class Generation:
        pass

    gate = Gate("a.b")
    gate.serving = Generation()
    gone = weakref.ref(gate.serving)
    entry = _core.Entry(
        gate, _core.Meter(), lambda: (gate.serving, tuple), lambda *args: args, 1, None, "f", "C.f", None, None
    )
    assert entry(1) == (1,)
    gate.serving = Generation()
    assert entry(1) == (1,)
    assert gone() is None


def test_an_entry_hands_on_no_more_references_than_it_takes() -> None:
    gate, argument = Gate("a.b"), object()
    entry = through(gate, lambda value: value)
    few: list[object] = [argument]
    assert entry(argument) is argument
    before = sys.getrefcount(argument)
    for _ in range(100):
        assert entry(argument) is entry(*few) is argument
    assert sys.getrefcount(argument) == before
