"""When objects leave the process: one lock, the list of what is there, and the sweep that takes out what nobody holds.

A destructor may close libraries itself; glibc queues such a close, and so does this: while objects are being disposed
of, `sweep_later` only notes the namespace, and the sweep that is under way comes round again.

Code is not unmapped under a thread. An object with thread_local destructors to come stays whole until they have run.
One with threads that run in it gets its destructors, which is how libraries end their threads; where some run on, it
remains in memory with all that it holds, though closed. A thread that ends cannot run Python any more, so both are
looked at again whenever something is loaded or closed.

Control-C may come between any two steps. What is on its way out is kept in a list until it is out, and each step can
be repeated, so that a sweep that is interrupted comes to its end before the KeyboardInterrupt goes on.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from latebind import _core
from latebind.linker import debugger, perfmap
from latebind.linkplan.roles import is_shared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Namespace

lock: Final = threading.RLock()
"""One lock for all namespaces, as glibc has one: constructors may load, and objects are shared between namespaces."""

live: Final[dict[int, tuple[LoadedObject, Namespace]]] = {}
"""Load bias → each object that latebind mapped, and its namespace; under the lock."""

remaining: Final[list[LoadedObject]] = []
"""What is closed and finalised, but in use by a thread, and what that holds, dependents first; under the lock."""

_waiting: Final[list[Namespace]] = []
_lingering: Final[set[Namespace]] = set()
_leaving: Final[list[LoadedObject]] = []  # in reverse: dependents last
_sweeping: Final[list[None]] = []  # not empty while a sweep runs; a list, so that it can be final


def tell_tools() -> None:
    """Something was mapped: show it to a debugger and to perf, where they want to see it. Under the lock."""
    if debugger.asked or _core.debugger_listens():
        debugger.show(at for at, _ in live.values())
    if perfmap.asked:
        perfmap.show(at for at, _ in live.values())


def sweep_later(namespace: Namespace) -> None:
    """Take out what nobody holds in `namespace`: now, or after the destructors that are running. Under the lock."""
    _waiting.append(namespace)
    _sweep()


def sweep_lingering() -> None:
    """Take out what only waited for threads to end. Under the lock."""
    if _lingering or remaining:
        _sweep()


def _sweep() -> None:
    _waiting.extend(_lingering)
    if _sweeping:
        return
    interrupted: KeyboardInterrupt | None = None
    looked_again = False
    try:
        _sweeping.append(None)
        while _waiting or _leaving or (remaining and not looked_again):
            try:
                if not looked_again:
                    _look_again()
                    looked_again = True
                _sweep_one()
            except KeyboardInterrupt as e:
                interrupted = e
    finally:
        _sweeping.clear()
    if interrupted is not None:
        raise interrupted


def _sweep_one() -> None:
    """Dispose of what is leaving, or find out what else has to."""
    if _leaving or not _waiting:
        _dispose()
        return
    at = _waiting[-1]
    unheld, lingers = at.take_unheld()
    _leaving.extend(unheld)
    (_lingering.add if lingers else _lingering.discard)(at)
    if _waiting[-1] is at:
        del _waiting[-1]


def _look_again() -> None:
    """Let what remained leave once more, if its threads have ended; it may have held something of its namespace."""
    _leaving.extend(reversed(remaining))
    _waiting.extend({live[o.base][1] for o in remaining if o.image is not None and o.base in live})
    remaining.clear()


def reachable(roots: Iterable[LoadedObject]) -> set[int]:
    """id() of `roots` and everything that they hold, directly or not."""
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        at = pending.pop()
        if id(at) not in seen:
            seen.add(id(at))
            pending += at.holds
    return seen


def _dispose() -> None:
    """Run the destructors of all that is leaving (dependents first), then take it out of the process."""
    for o in reversed(_leaving):
        if o.image is not None:
            o.image.finalize()
    used = _in_use()
    while _leaving:
        if id(_leaving[-1]) not in used:
            _take_out(_leaving[-1])
        elif all(o is not _leaving[-1] for o in remaining):
            remaining.append(_leaving[-1])
        del _leaving[-1]


def _in_use() -> set[int]:
    """id() of what is leaving and has code that a thread runs in, and of all that this holds."""
    mapped = [(o, o.image) for o in _leaving if o.image is not None and not o.gone]
    threads = _core.running_in([image for _, image in mapped]) if mapped else ()
    return reachable(o for (o, image), n in zip(mapped, threads, strict=True) if n or image.thread_destructors)


def _take_out(o: LoadedObject) -> None:
    o.gone, o.scope, o.holds, o.needs = True, (), [], []
    if o.image is not None:
        live.pop(o.base, None)
        debugger.hide(o)
        perfmap.forget(o)
        o.image.unmap()
    if o.interposition is not None:
        o.interposition.release(o)
    handle, o.system_handle = o.system_handle, None
    # A runtime stays: the threads of libgomp's pool, which it never ends, wait in its code.
    if handle is not None and not is_shared(o.elf.summary.soname):
        _core.system_close(handle)


# A child of fork has one thread, and must not find the lock held by another.
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
