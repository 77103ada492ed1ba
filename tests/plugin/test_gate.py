"""The gate: calls enter and leave, and nobody is inside while it is held."""

from __future__ import annotations

import threading
import time

import pytest

from latebind import LifecycleError, PluginTimeout
from latebind.plugin.gate import Gate


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


def test_what_is_called_around_the_gate_stays_out_while_it_is_held() -> None:
    gate, stop, inside, seen = Gate("a.b"), threading.Event(), [0], []
    lock = threading.Lock()

    def body(change: int) -> None:
        with lock:
            inside[0] += change
        time.sleep(0)
        nested(change)
        with lock:
            inside[0] -= change

    nested = gate.around(lambda change: change)
    call = gate.around(body)

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


def test_a_call_around_the_gate_that_raises_leaves() -> None:
    gate = Gate("a.b")

    def invert(number: int) -> int:
        return 1 // number

    with pytest.raises(ZeroDivisionError):
        gate.around(invert)(0)
    with gate.hold("reload", 0.01):
        pass
