"""`Host.map`: one method over many items, on any `concurrent.futures.Executor`, in the order of the items.

What is handed to the executor is `Work`, a callable. In this process it calls the plugin. When it is pickled, for a
process pool or for another machine, what travels is a `Blueprint`: paths of manifests, policy, services, contracts. The
other side opens a host by it once, keeps it, and calls there. So a plugin that ends its process ends a worker.

Items are taken as answers are, a window ahead: neither has to fit in memory, and an endless iterator is fine.
"""

from __future__ import annotations

import atexit
import hashlib
import itertools
import os
import pickle
import sys
import threading
from collections import OrderedDict, deque
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from latebind.contracts import Deadline, contract_of
from latebind.contracts.model import OWNER
from latebind.errors import ContractError, PluginCrashed, Unsupported
from latebind.plugin.events import Crashed
from latebind.plugin.slot import opens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from latebind.contracts import Contract
    from latebind.plugin.host import Host
    from latebind.plugin.slot import Slot
    from latebind.sandbox import Policy

Outcome: TypeAlias = tuple[bool, Any]
"""Whether a call went well, and its answer or its exception."""
KEPT: Final = 4
"""How many hosts a worker process keeps open; the one that was used longest ago is closed first."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What another process needs to open the same plugins: a value that can be pickled if its parts can.

    `plugins` are path, id, version and configuration of each manifest, those that are required first. The other side
    reads the same paths, and refuses another version there.
    """

    policy: Policy
    plugins: tuple[tuple[str, str, str, dict[str, object]], ...]
    contracts: tuple[Contract, ...]
    services: tuple[tuple[Contract, object], ...]

    def open(self) -> Host:
        """A host with these plugins loaded; whole or not at all."""
        from latebind.plugin.host import Host

        with ExitStack() as undo:
            host = undo.enter_context(Host(self.policy, dict(self.services), contracts=self.contracts))
            for path, plugin, version, config in self.plugins:
                found = host.discover(path)
                for rejected in found.rejected:
                    raise rejected.error
                host.load(plugin, version=f"={version}", config=config)
            undo.pop_all()
        return host


class Work:
    """Calls one method of a plugin for a chunk of items; a callable that can be pickled."""

    def __init__(self, host: Host, contract: Contract, method: str, slot: Slot, proxy: object) -> None:
        self._function: Callable[..., Any] = getattr(proxy, method)
        self._host, self._contract, self._method, self._slot = host, contract, method, slot
        self._packed: tuple[str, bytes] | None = None

    def __call__(self, chunk: Chunk) -> list[Outcome]:
        """The outcome of each item; with `stops` the first failure is the last outcome."""
        return chunk.run(self._function)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        if self._packed is None:
            blueprint = self._host.blueprint(self._slot.plugin)
            try:
                data = pickle.dumps(blueprint)
            except Exception as e:
                what = f"another process cannot have what the plugin needs: {type(e).__name__}: {e}"
                raise ContractError(self._contract.id, what, self._method) from e
            self._packed = hashlib.sha256(data).hexdigest(), data
        return RemoteWork, (*self._packed, self._contract.id, self._method, self._slot.plugin)


class RemoteWork:
    """`Work` as it arrives in another process."""

    def __init__(self, key: str, blueprint: bytes, contract: str, method: str, plugin: str) -> None:
        self._key, self._blueprint = key, blueprint
        self._contract, self._method, self._plugin = contract, method, plugin

    def __call__(self, chunk: Chunk) -> list[Outcome]:
        """As `Work`, on the host of this process. Exceptions are those that can go back."""
        host, blueprint = _opened.get(self._key, self._blueprint)
        contract = next(c for c in blueprint.contracts if c.id == self._contract)
        proxy: object = host.get(contract, plugin=self._plugin)  # type: ignore[arg-type]
        return [
            (well, answer if well else _portable(answer)) for well, answer in chunk.run(getattr(proxy, self._method))
        ]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some items, each with its arguments; `seconds` is the time for each call."""

    items: tuple[tuple[object, ...], ...]
    seconds: float | None
    stops: bool

    def run(self, function: Callable[..., Any]) -> list[Outcome]:
        """Call the function for each."""
        outcomes: list[Outcome] = []
        for arguments in self.items:
            try:
                outcomes.append((True, Deadline(self.seconds).run(function, *arguments)))
            except Exception as e:  # noqa: BLE001 - it is raised where the answers are taken
                outcomes.append((False, e))
                if self.stops:
                    break
        return outcomes


def mapped(
    host: Host,
    method: Callable[..., Any],
    iterables: Sequence[Iterable[Any]],
    executor: Executor | None,
    plugin: str | None,
    chunksize: int,
    timeout: float | None,
    *,
    return_exceptions: bool,
) -> Iterator[Any]:
    """What `Host.map` answers; its arguments are checked at once, and nothing is called before the first answer."""
    if chunksize < 1:
        raise ValueError(f"a chunk has at least one item, not {chunksize}")
    Deadline(timeout)  # what is wrong with it shows here
    owner = getattr(method, OWNER, None)
    if owner is None:
        raise TypeError(f"{method!r} is no method of a contract: give one as Tokenizer.count")
    contract = contract_of(owner)
    name = method.__name__
    found = contract.method(name)
    if found is None or opens(found):
        do = "call it for each item instead"
        raise Unsupported(f"mapping {contract.id}.{name}", "a handle or an iterator lives in one process", do)
    proxy: Any = host.get(owner, plugin=plugin)
    slot: Slot = proxy.__latebind_slot__
    work = Work(host, contract, name, slot, proxy)
    items = zip(*iterables, strict=False)  # ends with the shortest, as the built-in map does
    taken = iter(lambda: tuple(itertools.islice(items, chunksize)), ())
    chunks = (Chunk(part, timeout, not return_exceptions) for part in taken)
    return _answers(work, slot, f"{contract.id}.{name}", chunks, executor, return_exceptions=return_exceptions)


def _answers(
    work: Work,
    slot: Slot,
    operation: str,
    chunks: Iterator[Chunk],
    executor: Executor | None,
    *,
    return_exceptions: bool,
) -> Iterator[Any]:
    with ExitStack() as ends, Deadline() as deadline:
        if executor is None:
            generation = slot.generation
            parallel = generation is not None and generation.manifest.parallel
            threads = slot.home.workers.threads if slot.home.workers is not None and parallel else 1
            executor = ends.enter_context(ThreadPoolExecutor(threads, "latebind-map"))
        running: deque[Future[list[Outcome]]] = deque()
        ends.callback(_stop, running, deadline)
        window = 2 * (getattr(executor, "_max_workers", None) or os.cpu_count() or 1)
        try:
            for chunk in chunks:
                running.append(executor.submit(_Under(deadline, work), chunk))
                if len(running) >= window:
                    yield from _settled(running, return_exceptions=return_exceptions)
            while running:
                yield from _settled(running, return_exceptions=return_exceptions)
        except BrokenExecutor as e:
            slot.home.emit(Crashed(plugin=slot.plugin, operation=operation, how=str(e)))
            raise PluginCrashed(slot.plugin, operation, str(e)) from e


class _Under:
    """`Work` under the deadline of the map, in this process; another one gets the work alone."""

    def __init__(self, deadline: Deadline, work: Work) -> None:
        self._deadline, self._work = deadline, work

    def __call__(self, chunk: Chunk) -> list[Outcome]:
        return self._deadline.run(self._work, chunk)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._work.__reduce__()


def _settled(running: deque[Future[list[Outcome]]], *, return_exceptions: bool) -> Iterator[Any]:
    """The answers of the oldest chunk."""
    outcomes = running[0].result()
    running.popleft()
    for well, answer in outcomes:
        if not well and not return_exceptions:
            raise answer
        yield answer


def _stop(running: deque[Future[list[Outcome]]], deadline: Deadline) -> None:
    """Nobody wants further answers: what has not begun is not made, what runs here is told."""
    if running:
        deadline.cancel()
    for future in running:
        future.cancel()


def _portable(error: Exception) -> Exception:
    """The exception, or if it cannot travel one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes of just now
    except Exception:  # noqa: BLE001 - an exception's class may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Hosts:
    """The hosts that this process opened for work from another one, by the hash of their blueprint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: OrderedDict[str, tuple[Host, Blueprint]] = OrderedDict()

    def get(self, key: str, data: bytes) -> tuple[Host, Blueprint]:
        """The one for a blueprint, opened when it is first asked for."""
        with self._lock:
            if key in self._hosts:
                self._hosts.move_to_end(key)
                return self._hosts[key]
            blueprint: Blueprint = pickle.loads(data)  # noqa: S301 - the executor has just unpickled the bytes for us
            if not self._hosts:
                _at_exit(self.close)
            made = self._hosts[key] = blueprint.open(), blueprint
            while len(self._hosts) > KEPT:
                self._hosts.popitem(last=False)[1][0].close()
            return made

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            while self._hosts:
                self._hosts.popitem()[1][0].close()


def _at_exit(function: Callable[[], None]) -> None:
    """At the end of this process. Those of multiprocessing end without what `atexit` knows."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, function, exitpriority=10)
    else:
        atexit.register(function)


_opened: Final = _Hosts()
