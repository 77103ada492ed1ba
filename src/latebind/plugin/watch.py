"""Watching: plugins whose files change are reloaded by themselves, or built first and then reloaded (source mode).

`watchfiles` tells quickly that something changed, and a look at the files' inodes, sizes and times once a second (or
without that package, twice) finds what no notification tells: a file system without them, a folder that was replaced.
What is still being written is waited for. A reload that fails is rolled back and told as an event, and the next change
is a new chance; until then the same files are not tried again.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from latebind.closing import Closing
from latebind.errors import LatebindError
from latebind.plugin.build import Builder
from latebind.plugin.events import Built, ChangeSeen, Event, Loaded, RolledBack, Unloaded, WatchFailed, detached
from latebind.plugin.fingerprint import files_of, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from latebind.errors import BuildFailed
    from latebind.plugin.events import Events
    from latebind.plugin.inventory import PluginStatus
    from latebind.plugin.reload import ReloadReport

_LOOK: Final = 1.0  # seconds between two looks at the files beside the notifications
_POLL: Final = 0.5  # and without them
_PATIENCE: Final = 10.0  # seconds to wait for a file that is being written


class WatchedHost(Protocol):
    """What a watch asks of a host."""

    events: Events

    def plugins(self) -> tuple[PluginStatus, ...]:
        """Every known plugin."""
        ...

    def changed(self, plugin: str) -> bool:
        """Whether a loaded plugin's files have changed since they were last tried."""
        ...

    def reload(self, plugin: str, *, probation: bool = False) -> ReloadReport:
        """Replace a plugin's code."""
        ...


class Watch(Closing):
    """Reloads what changes, from a thread of its own, until it is closed. A context manager.

    `plugins` are the ids to watch, all loaded ones if there are none. `settle` are the seconds for which files must
    not have changed before they are taken. `builds` maps ids to shell commands to run in the plugin's folder first.
    """

    def __init__(
        self,
        host: WatchedHost,
        plugins: tuple[str, ...],
        *,
        builds: Mapping[str, str],
        settle: float,
        probation: bool,
    ) -> None:
        self._host, self._plugins, self._settle, self._probation = host, plugins, settle, probation
        self._builders: dict[str, Builder] = {}
        self._builds = dict(builds)
        self._closed = threading.Event()
        self._rolled_back = False
        self._again = threading.Event()  # the folders to watch may be others now
        self._subscription = host.events.subscribe(self._hear)
        self._thread = threading.Thread(target=self._run, name="latebind: watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; a running build is ended, a running reload is waited for. More than once does no harm."""
        self._closed.set()
        self._again.set()
        for builder in list(self._builders.values()):
            builder.stop()
        self._subscription.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        return self._closed.is_set()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Loaded | Unloaded):
            self._again.set()
        elif isinstance(event, RolledBack) and threading.current_thread() is self._thread:
            self._rolled_back = True

    def _run(self) -> None:
        while not self._closed.is_set():
            self._again.clear()
            watched = self._watched()
            for _ in _wake_ups(tuple(s.manifest.folder for s in watched), self._again):
                for status in watched:
                    if self._closed.is_set():
                        return
                    self._rolled_back = False
                    try:
                        self._look(status)
                    except (LatebindError, OSError) as e:
                        if not self._rolled_back:  # else it has been told
                            self._tell(WatchFailed(plugin=status.id, version=status.version, error=detached(e)))

    def _watched(self) -> list[PluginStatus]:
        wanted = set(self._plugins)
        return [s for s in self._host.plugins() if s.loaded and (not wanted or s.id in wanted)]

    def _look(self, status: PluginStatus) -> None:
        """Build and reload one plugin, if it changed."""
        if status.id in self._builds:
            builder = self._builder(status)
            if builder.needed() and not builder.run():
                return  # the compiler's words have been told
        if self._host.changed(status.id):
            paths = tuple(sorted(files_of(status.manifest)))
            self._tell(ChangeSeen(plugin=status.id, version=status.version, paths=paths))
            if self._settled(status):
                self._host.reload(status.id, probation=self._probation)

    def _settled(self, status: PluginStatus) -> bool:
        """Wait until nobody writes to a plugin's files any more; false if that takes too long, or the watch ends."""
        end = time.monotonic() + _PATIENCE
        before = fingerprint(status.manifest)
        while time.monotonic() < end and not self._closed.wait(self._settle):
            now = fingerprint(status.manifest)
            if now == before and not any(map(is_being_written, files_of(status.manifest))):
                return True
            before = now
        return False

    def _builder(self, status: PluginStatus) -> Builder:
        known = self._builders.get(status.id)
        if known is None:
            command = self._builds[status.id]

            def tell(seconds: float, error: BuildFailed | None) -> None:
                event = Built(plugin=status.id, version=status.version, command=command, seconds=seconds, error=error)
                self._tell(event)

            known = self._builders[status.id] = Builder(status.manifest.folder, command, tell)
            if self._closed.is_set():
                known.stop()
        return known

    def _tell(self, event: Event) -> None:
        self._host.events.emit(event)


def is_being_written(path: str) -> bool:
    """Whether somebody has a file open for writing, as far as the kernel tells.

    It refuses a read lease on such a file (fcntl(2), F_SETLEASE). Where it grants none at all (another owner's file,
    some file systems), the answer is no.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(fd)


def _wake_ups(folders: tuple[str, ...], end: threading.Event) -> Iterator[None]:
    """Comes back whenever something may have changed, until `end` is set."""
    yield
    while not end.is_set():
        there = tuple(f for f in folders if os.path.isdir(f))
        inodes = _inodes(there)
        notified = _notifications(there, end)
        try:
            for _ in notified or ():
                yield
                # Notifications of a folder that was replaced by another of its name have ended.
                if end.is_set() or _inodes(folders) != inodes or len(there) != len(folders):
                    break
            else:
                end.wait(_POLL)
                yield
        except (OSError, RuntimeError):  # a folder has just gone, or the system has no more watches: look instead
            end.wait(_POLL)
            yield
        finally:
            if notified is not None:
                notified.close()


def _notifications(folders: tuple[str, ...], end: threading.Event) -> _Closable | None:
    """What watchfiles tells; None without it, or without folders."""
    if not folders:
        return None
    try:
        from watchfiles import watch
    except ImportError:
        return None
    look = int(_LOOK * 1000)
    return watch(
        *folders, watch_filter=None, stop_event=end, debounce=200, step=20, rust_timeout=look, yield_on_timeout=True,
        raise_interrupt=False,
    )  # fmt: skip


class _Closable(Protocol):
    def __iter__(self) -> Iterator[object]: ...

    def close(self) -> None: ...


def _inodes(folders: tuple[str, ...]) -> tuple[tuple[int, int] | None, ...]:
    found: list[tuple[int, int] | None] = []
    for folder in folders:
        try:
            facts = os.stat(folder)
        except OSError:
            found.append(None)
        else:
            found.append((facts.st_dev, facts.st_ino))
    return tuple(found)


class SignalReload(Closing):
    """Calls `reload` in a thread of its own whenever a signal comes, until it is closed. A context manager.

    The signal's handler only wakes that thread, since it may come in the middle of a plugin's call. A handler that was
    there before is called too, and is back after `close`. Only the main thread can make one (ValueError) and put the
    handler back.
    """

    def __init__(self, number: int, reload: Callable[[], object]) -> None:
        import queue
        import signal

        # put() may be interrupted by a handler that calls put(): that is what SimpleQueue is for.
        self._wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._number, self._reload = number, reload
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="latebind: reload on a signal", daemon=True
        )
        self._before = signal.signal(number, self._handle)
        self._thread.start()

    def close(self) -> None:
        """Restore the handler; a running reload is waited for. More than once does no harm."""
        import signal

        if self._thread is not None:
            if threading.current_thread() is threading.main_thread():
                signal.signal(self._number, self._before if self._before is not None else signal.SIG_DFL)
            self._wanted.put("")  # the end
            if threading.current_thread() is not self._thread:
                self._thread.join()
            self._thread = None

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        return self._thread is None

    def _handle(self, number: int, frame: object) -> None:
        self._wanted.put("reload")
        if callable(self._before):
            self._before(number, frame)  # type: ignore[arg-type]

    def _run(self) -> None:
        while self._wanted.get():
            self._reload()
