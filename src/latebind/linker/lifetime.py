"""When objects leave the process: one lock, the list of what is there, and the sweep that takes out what nobody holds.

A destructor may close libraries itself; glibc queues such a close, and so does this: while objects are being disposed
of, `sweep_later` only notes the namespace, and the sweep that is under way comes round again. A thread that ends may
free an object (its thread_local destructors have run) but cannot run Python then; such an object is looked at again
whenever something is loaded or closed.

Control-C may come between any two steps. What is on its way out is kept in a list until it is out, and each step can
be repeated, so that a sweep that is interrupted comes to its end before the KeyboardInterrupt goes on.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from latebind import _core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Namespace

lock: Final = threading.RLock()
"""One lock for all namespaces, as glibc has one: constructors may load, and objects are shared between namespaces."""

live: Final[dict[int, tuple[LoadedObject, Namespace]]] = {}
"""Load bias → each object that latebind mapped, and its namespace; under the lock."""

_waiting: Final[list[Namespace]] = []
_lingering: Final[set[Namespace]] = set()
_leaving: Final[list[LoadedObject]] = []  # in reverse: dependents last
_sweeping: Final[list[None]] = []  # not empty while a sweep runs; a list, so that it can be final


def sweep_later(namespace: Namespace) -> None:
    """Take out what nobody holds in `namespace`: now, or after the destructors that are running. Under the lock."""
    _waiting.append(namespace)
    _waiting.extend(_lingering)
    if _sweeping:
        return
    interrupted: KeyboardInterrupt | None = None
    try:
        _sweeping.append(None)
        while _waiting or _leaving:
            try:
                _sweep_one()
            except KeyboardInterrupt as e:
                interrupted = e
    finally:
        _sweeping.clear()
    if interrupted is not None:
        raise interrupted


def _sweep_one() -> None:
    """Dispose of what is leaving, or find out what else has to."""
    if _leaving:
        _dispose()
        return
    at = _waiting[-1]
    _leaving.extend(at.take_unheld())
    (_lingering.add if any(o.lingers for o in at.members) else _lingering.discard)(at)
    if _waiting[-1] is at:
        del _waiting[-1]


def sweep_lingering() -> None:
    """Take out what only waited for threads to end. Under the lock."""
    for namespace in tuple(_lingering):
        sweep_later(namespace)


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
    while _leaving:
        _take_out(_leaving[-1])
        del _leaving[-1]


def _take_out(o: LoadedObject) -> None:
    if not o.gone and o.image is not None and o.image.thread_destructors:
        # A destructor of the object has just made a thread_local object whose own destructor must run: it stays.
        o.pinned = True
        return
    o.gone, o.scope, o.holds, o.needs = True, (), [], []
    if o.image is not None:
        live.pop(o.base, None)
        o.image.unmap()
    if o.interposition is not None:
        o.interposition.release(o)
    handle, o.system_handle = o.system_handle, None
    if handle is not None:
        _core.system_close(handle)


# A child of fork has one thread, and must not find the lock held by another.
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
