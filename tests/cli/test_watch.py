"""`plugin watch`: builds, loads, reloads with every change, shows what is wrong and goes on until it is told to end."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support import needs
from support.command import PROGRAM, latebind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = """
class Words:
    def __init__(self, context):
        self.text = context.config.get("text", "")
        print("start", {text!r}, self.text, flush=True)
    def lb_save(self): return b"kept"
    def lb_restore(self, schema, state): pass
    def lb_selftest(self): {selftest}
"""
MAKEFILE = "work.py: source.txt\n\tcp source.txt $@.new\n\tpython3 -m py_compile $@.new && mv $@.new $@\n"
PATIENCE = 40


class Running:
    """The command, running; what it says is collected."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "plugin", "watch", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.said = ""
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def expect(self, text: str) -> None:
        """Wait until it has said this, beyond what was expected before."""
        end = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < end, f"{text!r} is not in {self.said!r}"
            time.sleep(0.01)
        self.said = self.said.partition(text)[2]

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """It has ended: let its pipe go."""
        self._thread.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "words"
    made.mkdir()
    config = {"type": "object", "properties": {"text": {"type": "string"}}}
    document = {"id": "acme.words", "version": "1.0.0", "entry": "work:Words", "config": config}
    (made / "plugin.json").write_text(json.dumps(document))
    return made


def code(text: str, selftest: str = "pass") -> str:
    return CODE.format(text=text, selftest=selftest)


@pytest.fixture
def started() -> Iterator[list[Running]]:
    running: list[Running] = []
    yield running
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.close()


def test_every_change_is_reloaded_with_the_state(folder: Path, started: list[Running]) -> None:
    (folder / "work.py").write_text(code("first"))
    started.append(watch := Running(folder, "--no-probation", "--config", '{"text": "hello"}'))
    watch.expect("start first hello\n")
    watch.expect("acme.words 1.0.0: serves")
    (folder / "work.py").write_text(code("second"))
    watch.expect("start second hello\n")
    watch.expect("acme.words 1.0.0: generation 2 serves; 4 bytes of state, calls held ")
    assert watch.end(signal.SIGINT) == 0


def test_builds_are_run_and_the_compilers_words_shown(folder: Path, started: list[Running]) -> None:
    needs.program("make", "make")
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "source.txt").write_text("not (python\n")
    started.append(watch := Running(folder, "--build", "make"))
    watch.expect("latebind: make: exit status 2\n")
    watch.expect("SyntaxError")
    (folder / "source.txt").write_text(code("first"))
    watch.expect("acme.words 1.0.0: serves")
    (folder / "source.txt").write_text("not (python\n")
    watch.expect("SyntaxError")
    (folder / "source.txt").write_text(code("second"))
    watch.expect("generation 2 serves")
    (folder / "source.txt").write_text(code("third", selftest="raise RuntimeError('2 + 2 is 5')"))
    watch.expect("generation 2 goes on, the new code failed: plugin acme.words 1.0.0, lb_selftest: RuntimeError: 2 + 2")
    assert watch.end() == 0


def test_a_signal_looks_for_changes_at_once(folder: Path, started: list[Running]) -> None:
    (folder / "work.py").write_text(code("first"))
    started.append(watch := Running(folder, "--no-probation"))
    watch.expect("serves")
    watch.process.send_signal(signal.SIGHUP)
    (folder / "work.py").write_text(code("second"))
    watch.process.send_signal(signal.SIGHUP)
    watch.expect("generation 2 serves")
    assert watch.end() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "what"),
    [
        (["nowhere"], 1, "nowhere"),
        ([".", "--config", "{"], 2, "is not JSON"),
        ([".", "--service", "nowhere.py:X"], 2, "nowhere.py"),
    ],
)
def test_what_cannot_be_watched_is_an_error(tmp_path: Path, arguments: list[str], status: int, what: str) -> None:
    run = latebind("plugin", "watch", *arguments, folder=tmp_path)
    assert run.returncode == status
    assert what in run.stderr


CONTRACT = """
from collections.abc import Iterator
from typing import Protocol
import latebind

@latebind.contract("acme.words", version="1.0.0")
class Words(Protocol):
    def shout(self, text: str, times: int = 1) -> str: ...
    def forget(self) -> None: ...
    def count(self) -> Iterator[int]: ...
    def wait(self) -> None: ...
    def half(self, number: int) -> float:
        return 1 / number
"""
SPEAKING = """
import itertools
import time
from latebind import Deadline
from contract import Words as Contract

class Words:
    def __init__(self, context): pass
    def shout(self, text, times=1): {shout}
    def forget(self): pass
    def count(self):
        for number in itertools.count():
            yield {number} + number
            time.sleep(0.01)
    def wait(self):
        deadline = Deadline.current()
        while not deadline.over:
            time.sleep(0.01)
        deadline.check()
"""


@pytest.fixture
def speaking(folder: Path) -> Path:
    """A plugin with a contract that it imports."""
    provides = [{"contract": "acme.words", "version": "1.0.0"}]
    document = {"id": "acme.words", "version": "1.0.0", "entry": "work:Words", "provides": provides}
    (folder / "plugin.json").write_text(json.dumps(document))
    (folder / "contract.py").write_text(CONTRACT)
    speak(folder, "raise RuntimeError('hoarse')")
    return folder


def speak(folder: Path, shout: str, number: int = 0) -> None:
    (folder / "work.py.new").write_text(SPEAKING.format(shout=shout, number=number))
    (folder / "work.py.new").replace(folder / "work.py")


def test_each_generation_is_called_once_and_a_failure_ends_nothing(speaking: Path, started: list[Running]) -> None:
    started.append(watch := Running(speaking, "shout", "hey", "--arg", "times=-2"))
    watch.expect("acme.words 1.0.0: serves")
    watch.expect("latebind: plugin acme.words 1.0.0, acme.words.shout: RuntimeError: hoarse\n")
    speak(speaking, "return f'{text} {times}'")
    watch.expect("generation 2 serves")
    watch.expect("hey -2\n")
    speak(speaking, "return f'{text.upper()} {times}'")
    watch.expect("generation 3 serves")
    watch.expect("HEY -2\n")
    assert watch.end() == 0
    watch.close()
    assert watch.said == ""


def test_the_contract_may_be_told_and_the_result_be_json(speaking: Path, started: list[Running]) -> None:
    speak(speaking, "return text")
    told = [f"{speaking / 'contract.py'}:Words", "shout", "ho\n", "--json"]
    started.append(watch := Running(speaking, "--no-probation", *told))
    watch.expect('"ho\\n"\n')
    assert watch.end() == 0


def test_a_method_without_a_result_is_told_to_be_done(speaking: Path, started: list[Running]) -> None:
    started.append(watch := Running(speaking, "--no-probation", "forget"))
    watch.expect("forget: done\n")
    assert watch.end() == 0


def test_a_default_body_that_fails_is_told(speaking: Path, started: list[Running]) -> None:
    started.append(watch := Running(speaking, "--no-probation", "half", "0"))
    watch.expect("latebind: ZeroDivisionError: division by zero\n")
    speak(speaking, "pass")
    watch.expect("generation 2 serves")
    assert watch.end() == 0


def test_an_endless_result_gives_way_to_the_next_generation(speaking: Path, started: list[Running]) -> None:
    started.append(watch := Running(speaking, "--no-probation", "count"))
    watch.expect("\n0\n1\n2\n")
    speak(speaking, "pass", number=1_000_000)
    watch.expect("generation 2 serves")
    watch.expect("\n1000000\n1000001\n")
    assert watch.end() == 0


def test_a_call_that_asks_ends_when_the_next_generation_comes(speaking: Path, started: list[Running]) -> None:
    started.append(watch := Running(speaking, "--no-probation", "wait"))
    watch.expect("serves")
    speak(speaking, "pass")
    watch.expect("generation 2 serves")
    assert watch.end() == 0


def test_a_second_signal_ends_it_whatever_the_call_does(speaking: Path, started: list[Running]) -> None:
    speak(speaking, "print('begun', flush=True); exec('while True: pass')")
    started.append(watch := Running(speaking, "--no-probation", "shout", "hey"))
    watch.expect("begun\n")
    watch.process.send_signal(signal.SIGINT)
    while watch.process.poll() is None:  # it may not have come to know of the first one yet
        time.sleep(0.1)
        watch.process.send_signal(signal.SIGINT)
    assert watch.process.returncode == -signal.SIGINT


def test_it_ends_where_nobody_reads_its_results(speaking: Path) -> None:
    command = f"'{PROGRAM}' plugin watch '{speaking}' --no-probation count | head -2"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (run.stdout, run.stderr.count("\n")) == ("0\n1\n", 1)  # the one line says that it serves


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["whisper"], "acme.words has no method whisper; it has shout, forget"),
        (["shout"], "acme.words.shout needs text"),
        (["shout", "hey", "many"], "times: expected an integer"),
        (["--json"], "--arg, --args and --json go with METHOD"),
        (["--arg", "text=hey"], "--arg, --args and --json go with METHOD"),
    ],
)
def test_a_call_that_does_not_fit_the_contract_is_an_error_at_once(
    speaking: Path, arguments: list[str], what: str
) -> None:
    run = latebind("plugin", "watch", speaking, *arguments)
    assert run.returncode == 2
    assert what in run.stderr
