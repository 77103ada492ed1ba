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


def test_nobody_is_inside_while_the_gate_is_held() -> None:
    gate, stop, inside, seen = Gate("a.b"), threading.Event(), [0], []
    lock = threading.Lock()

    def call() -> None:
        while not stop.is_set():
            gate.enter()
            with lock:
                inside[0] += 1
            time.sleep(0)
            with lock:
                inside[0] -= 1
            gate.leave()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(100):
        with gate.hold("reload", 10):
            seen.append(inside[0])
            time.sleep(0)
            seen.append(inside[0])
    stop.set()
    for t in threads:
        t.join()
    assert set(seen) == {0}


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
    gate, stop, inside, seen = Gate("a.b"), threading.Event(), [0], []
    lock = threading.Lock()

    def body(change: int) -> int:
        with lock:
            inside[0] += change
        time.sleep(0)
        nested(change)
        with lock:
            inside[0] -= change
        return change

    nested = through(gate, lambda change: change)
    call = through(gate, body)

    def work() -> None:
        while not stop.is_set():
            call(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(100):
        with gate.hold("reload", 10):
            seen.append(inside[0])
            time.sleep(0)
            seen.append(inside[0])
    stop.set()
    for t in threads:
        t.join()
    assert set(seen) == {0}


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
