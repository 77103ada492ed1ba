"""Watching: what changes is built and reloaded by itself; what is wrong is told, and the host serves on."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from latebind import Host
from latebind.plugin import Event
from latebind.plugin.build import Builder
from latebind.plugin.events import Built, ChangeSeen, Reloaded, RolledBack, WatchFailed
from latebind.plugin.watch import is_being_written
from latebind.testing import everything_allowed
from support.plugins import Counter, PluginFolder, Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from latebind.errors import BuildFailed

E = TypeVar("E", bound=Event)
WORDS = [{"contract": "test.words", "version": "1.0.0"}]
CODE = "class Plugin:\n    def __init__(self, context): {init}\n    def find(self, word): return [word, {text!r}]\n"
PATIENCE = 30


class Told:
    """The events of a host, for a test that waits for one."""

    def __init__(self, host: Host) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        host.subscribe(self._events.put)

    def next(self, kind: type[E]) -> E:
        """The next event of a kind."""
        end = time.monotonic() + PATIENCE
        while True:
            event = self._events.get(timeout=max(0, end - time.monotonic()))
            if isinstance(event, kind):
                return event


def code(text: str, init: str = "pass") -> str:
    return CODE.format(text=text, init=init)


@pytest.fixture(params=["watchfiles", "looking"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With notifications, and without."""
    if request.param == "looking":
        monkeypatch.setitem(sys.modules, "watchfiles", None)
        monkeypatch.setattr("latebind.plugin.watch._POLL", 0.02)


@pytest.fixture
def words(plugins: PluginFolder) -> Iterator[Host]:
    """A host with one Python plugin."""
    plugins.python("p.a", code("first"), provides=WORDS)
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.a")
        yield host


@pytest.mark.usefixtures("how")
def test_a_change_is_reloaded_by_itself(plugins: PluginFolder, words: Host) -> None:
    told = Told(words)
    with words.watch(probation=False):
        for text in ("second", "third"):
            plugins.python("p.a", code(text), provides=WORDS)
            told.next(ChangeSeen)
            told.next(Reloaded)
            assert words.get(Words).find("x") == ["x", text]


def test_nothing_is_reloaded_without_a_change_and_after_the_end(plugins: PluginFolder, words: Host) -> None:
    with words.watch(probation=False):
        pass
    plugins.python("p.a", code("second"), provides=WORDS)
    time.sleep(0.1)
    assert words.get(Words).find("x") == ["x", "first"]


def test_what_is_refused_is_told_and_the_next_change_is_a_new_chance(plugins: PluginFolder, words: Host) -> None:
    told = Told(words)
    with words.watch():
        plugins.python("p.a", code("second", init="raise RuntimeError('no disk')"), provides=WORDS)
        assert "no disk" in str(told.next(RolledBack).error)
        assert words.get(Words).find("x") == ["x", "first"]
        plugins.python("p.a", code("third"), provides=WORDS)
        told.next(Reloaded)
        assert words.get(Words).find("x") == ["x", "third"]


def test_a_file_that_is_half_written_is_waited_for(host: Host, plugins: PluginFolder) -> None:
    folder = plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    host.get(Counter).add(5)
    (folder / "plugin.so").rename(folder / "old")
    plugins.counter('-DNAME="second"')
    whole = (folder / "plugin.so").read_bytes()
    (folder / "old").rename(folder / "plugin.so")
    told = Told(host)
    with host.watch(probation=False, settle=0.02), open(folder / "plugin.so", "wb") as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        told.next(ChangeSeen)
        time.sleep(0.3)  # much longer than files have to be quiet
        assert host.get(Counter).name() == "first"
        file.write(whole[len(whole) // 2 :])
        file.close()
        told.next(Reloaded)
        assert (host.get(Counter).name(), host.get(Counter).add(1)) == ("second", 6)
    assert not [e for e in host.events.recent() if isinstance(e, RolledBack)]


def test_a_file_that_was_cut_is_refused_and_the_whole_one_taken(host: Host, plugins: PluginFolder) -> None:
    folder = plugins.counter()
    host.discover(plugins.root)
    host.load("test.counter")
    host.get(Counter).add(5)
    whole = (plugins.counter('-DNAME="second"') / "plugin.so").read_bytes()
    told = Told(host)
    (folder / "plugin.so").write_bytes(whole[:3000])
    with host.watch(probation=False):
        told.next(RolledBack)
        (folder / "plugin.so").write_bytes(whole)
        told.next(Reloaded)
        assert (host.get(Counter).name(), host.get(Counter).add(1)) == ("second", 6)


@pytest.mark.usefixtures("how")
def test_a_folder_that_is_replaced_is_still_watched(plugins: PluginFolder, words: Host) -> None:
    told = Told(words)
    with words.watch(probation=False):
        for text in ("second", "third"):
            shutil.copytree(plugins.root / "p.a", plugins.root / "next")
            (plugins.root / "next" / "work.py").write_text(code(text))
            shutil.rmtree(plugins.root / "p.a")
            (plugins.root / "next").rename(plugins.root / "p.a")
            while words.get(Words).find("x") != ["x", text]:
                told.next(Reloaded)
    assert words.get(Words).find("x") == ["x", "third"]


def test_what_is_loaded_later_is_watched_too_and_only_what_was_asked_for(plugins: PluginFolder, words: Host) -> None:
    plugins.python("p.b", code("first"), provides=WORDS)
    words.discover(plugins.root)
    told = Told(words)
    with words.watch("p.b", probation=False):
        words.load("p.b")
        plugins.python("p.a", code("second"), provides=WORDS)
        plugins.python("p.b", code("second"), provides=WORDS)
        assert told.next(Reloaded).plugin == "p.b"
    assert words.get(Words, plugin="p.a").find("x") == ["x", "first"]


def test_closing_the_host_ends_its_watches(plugins: PluginFolder) -> None:
    plugins.python("p.a", code("first"), provides=WORDS)
    host = Host(everything_allowed(), contracts=[Words])
    host.discover(plugins.root)
    host.load("p.a")
    watch, on_signal = host.watch(), host.reload_on(signal.SIGHUP)
    host.close()
    assert (watch.closed, on_signal.closed) == (True, True)
    assert not [t for t in threading.enumerate() if t.name.startswith("latebind: ")]


def test_where_the_system_has_no_more_watches_files_are_looked_at(
    plugins: PluginFolder, words: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[object]:
        if threading.active_count():
            raise RuntimeError("OS file watch limit reached")
        yield None

    monkeypatch.setattr("watchfiles.watch", refuse)
    monkeypatch.setattr("latebind.plugin.watch._POLL", 0.02)
    told = Told(words)
    with words.watch(probation=False):
        plugins.python("p.a", code("second"), provides=WORDS)
        assert told.next(Reloaded).plugin == "p.a"
    assert words.get(Words).find("x") == ["x", "second"]


# Builds.

MAKEFILE = "work.py: source.txt\n\tgrep -v BROKEN source.txt > $@.new\n\tmv $@.new $@\n"


@pytest.fixture
def source(words: Host, plugins: PluginFolder) -> Path:
    """The plugin's source: `make` makes work.py of it, unless it says BROKEN."""
    assert words.plugins()
    folder = plugins.root / "p.a"
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "source.txt").write_text(code("first"))
    return folder / "source.txt"


def test_a_change_of_the_source_is_built_and_reloaded(words: Host, source: Path) -> None:
    told = Told(words)
    with words.watch(builds={"p.a": "make"}, probation=False):
        source.write_text(code("second"))
        while words.get(Words).find("x") != ["x", "second"]:
            told.next(Reloaded)
        builds = [e for e in words.events.recent() if isinstance(e, Built)]
        assert builds[-1].error is None
        assert builds[-1].command == "make"


def test_the_compilers_words_are_told_and_the_host_serves_on(words: Host, source: Path) -> None:
    told = Told(words)
    with words.watch(builds={"p.a": "make"}, probation=False):
        told.next(Built)
        time.sleep(0.05)  # what is written within one tick of the clock is no newer than the build for make
        source.write_text("BROKEN\n")
        while (failed := told.next(Built).error) is None:
            pass
        assert "Error 1" in failed.output
        assert (failed.command, failed.status) == ("make", 2)
        assert words.get(Words).find("x") == ["x", "first"]
        source.write_text(code("third"))
        while words.get(Words).find("x") != ["x", "third"]:
            told.next(Reloaded)


def test_a_running_build_is_ended_with_the_watch(words: Host, source: Path) -> None:
    (source.parent / "Makefile").write_text("all:\n\ttouch begun; sleep 60\n")
    watch = words.watch(builds={"p.a": "make"})
    end = time.monotonic() + PATIENCE
    while not (source.parent / "begun").exists() and time.monotonic() < end:
        time.sleep(0.01)
    begun = time.monotonic()
    watch.close()
    assert time.monotonic() - begun < 20


def test_a_watch_that_cannot_build_says_so_and_goes_on(words: Host, source: Path) -> None:
    told = Told(words)
    gone = source.parent.with_name("gone")
    with words.watch(builds={"p.a": "make"}, probation=False):
        told.next(Built)
        source.parent.rename(gone)
        assert "build" in str(told.next(WatchFailed).error)
        gone.rename(source.parent)
        source.write_text(code("second"))
        while words.get(Words).find("x") != ["x", "second"]:
            told.next(Reloaded)


class Runs:
    """What a builder told."""

    def __init__(self) -> None:
        self.seen: list[BuildFailed | None] = []

    def __call__(self, seconds: float, error: BuildFailed | None) -> None:
        assert seconds >= 0
        self.seen.append(error)


def test_a_builder_takes_its_own_output_for_no_edit(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    runs = Runs()
    builder = Builder(str(tmp_path), "date +%N > stamp; cp in out", runs)  # touches its output every time
    assert builder.needed()
    assert builder.run()
    assert len(runs.seen) == 2, "once more, to learn what it writes"
    assert not builder.needed()
    (tmp_path / "in").write_text("2")
    assert builder.needed()
    assert builder.run()
    assert (tmp_path / "out").read_text() == "2"
    assert len(runs.seen) == 3
    assert not builder.needed()


def test_an_edit_while_a_builder_runs_is_built_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    builder = Builder(str(tmp_path), "cp in out; test -e edited || { touch edited; echo 2 > in; }", Runs())
    assert builder.run()
    assert (tmp_path / "out").read_text() == "2\n"


def test_a_build_that_fails_is_not_tried_again_without_a_change(tmp_path: Path) -> None:
    runs = Runs()
    builder = Builder(str(tmp_path), "echo here is why >&2; exit 3", runs)
    assert not builder.run()
    (error,) = runs.seen
    assert error is not None
    assert (error.status, error.output) == (3, "here is why\n")
    assert not builder.needed()


def test_an_edit_while_a_build_fails_is_built_too(tmp_path: Path) -> None:
    runs = Runs()
    builder = Builder(str(tmp_path), "test -e edited && cp edited out || { echo 1 > edited; exit 3; }", runs)
    assert builder.run()
    assert (tmp_path / "out").read_text() == "1\n"
    assert [error and error.status for error in runs.seen][:2] == [3, None]


def test_a_build_that_fails_and_writes_is_told_once(tmp_path: Path) -> None:
    runs = Runs()
    builder = Builder(str(tmp_path), "date +%N > stamp.$$; exit 3", runs)  # another file each time
    assert not builder.run()
    assert [error and error.status for error in runs.seen] == [3]
    assert not builder.needed()


def test_an_edit_by_whoever_hears_of_a_failure_is_seen(tmp_path: Path) -> None:
    heard: list[BuildFailed | None] = []

    def tell(_seconds: float, error: BuildFailed | None) -> None:
        heard.append(error)
        (tmp_path / "edited").touch()

    builder = Builder(str(tmp_path), "test -e edited", tell)
    assert not builder.run()
    assert builder.needed()
    assert builder.run()
    assert [error is None for error in heard] == [False, True]


# Signals.


def test_a_signal_reloads_what_changed_and_a_handler_that_was_there_is_called_too(
    plugins: PluginFolder, words: Host
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    try:
        told = Told(words)
        with words.reload_on(signal.SIGHUP):
            plugins.python("p.a", code("second"), provides=WORDS)
            os.kill(os.getpid(), signal.SIGHUP)
            told.next(Reloaded)
            assert words.get(Words).find("x") == ["x", "second"]
        os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP, signal.SIGHUP], "and is back afterwards"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_in_the_middle_of_a_call_is_served_after_it(plugins: PluginFolder) -> None:
    kills = (
        "import os, signal\nclass Plugin:\n    def __init__(self, context): pass\n"
        "    def find(self, word):\n        os.kill(os.getpid(), signal.SIGHUP)\n        return [word]\n"
    )
    plugins.python("p.a", kills, provides=WORDS)
    with Host(everything_allowed(), contracts=[Words]) as host:
        host.discover(plugins.root)
        host.load("p.a")
        told = Told(host)
        with host.reload_on(signal.SIGHUP):
            plugins.python("p.a", code("second"), provides=WORDS)
            assert host.get(Words).find("x") == ["x"]
            told.next(Reloaded)
            assert host.get(Words).find("x") == ["x", "second"]


def test_only_the_main_thread_can_listen_to_signals(words: Host) -> None:
    raised: list[Exception] = []

    def listen() -> None:
        try:
            words.reload_on(signal.SIGHUP)
        except ValueError as e:
            raised.append(e)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_a_file_that_is_open_for_writing_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "w"):
        assert is_being_written(str(path))
    assert not is_being_written(str(path))
    assert not is_being_written(str(tmp_path / "nowhere"))
