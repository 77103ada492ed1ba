"""`proxy.aio`: a plugin's methods for `await`. Each call runs in one of the host's threads (workers.py).

    n = await tok.aio.count("…")                       a method
    async for word in tok.aio.words("…"): …            an iterator, pulled one item at a time
    async with tok.aio.open("…") as session: …         a handle, whose methods are awaited as well
    await tok.aio(timeout=0.5).count("…")              at most so many seconds for each call

Cancelling the task, or a deadline that passes, ends the waiting at once and tells the plugin; it cannot end native
code.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from latebind.contracts import Deadline
from latebind.contracts.model import CLOSE
from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LatebindError, LifecycleError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from latebind.contracts import Contract, Method
    from latebind.plugin.slot import Slot

_END = object()


class _Caller:
    """How calls of one plugin are made: in its host's threads, each within `timeout` seconds."""

    def __init__(self, slot: Slot, timeout: float | None) -> None:
        self.slot, self.timeout = slot, timeout

    async def call(self, operation: str, function: Callable[[], Any]) -> Any:
        workers = self.slot.home.workers
        if workers is None:
            raise LifecycleError(self.slot.plugin, f"await {operation}", "it belongs to no host")
        return await workers.run(self.slot, operation, Deadline(self.timeout), function)


class AsyncMethods:
    """The methods of a contract on `target`, a proxy or a handle, for `await`. Looked up by name when first used."""

    def __init__(self, caller: _Caller, contract: Contract, target: object) -> None:
        self._caller, self._contract, self._target = caller, contract, target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        contract: Contract | None = self.__dict__.get("_contract")
        method = contract.method(name) if contract is not None else None
        if contract is None or method is None:
            raise AttributeError(f"{contract.name if contract else 'it'} has no method {name}")
        made = self._method(contract, method)
        made.__name__, made.__doc__ = name, method.doc or None
        setattr(self, name, made)
        return made

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(m.name for m in self._contract.methods)})

    def _method(self, contract: Contract, method: Method) -> Callable[..., Any]:
        caller, function = self._caller, self._guarded(getattr(self._target, method.name))
        operation, handle = f"{contract.id}.{method.name}", handle_in(method.result)

        def call(*args: object, **kwargs: object) -> Any:
            return caller.call(operation, partial(function, *args, **kwargs))

        async def awaited(*args: object, **kwargs: object) -> Any:
            return await call(*args, **kwargs)

        def pulled(*args: object, **kwargs: object) -> AsyncItems:
            return AsyncItems(caller, operation, partial(function, *args, **kwargs))

        def opened(*args: object, **kwargs: object) -> Opening:
            assert handle is not None
            return Opening(caller, handle.contract, partial(call, *args, **kwargs))

        if isinstance(method.result, IteratorOf):
            return pulled
        return awaited if handle is None else opened

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function


class AsyncProxy(AsyncMethods):
    """What `proxy.aio` is. Calling it, `proxy.aio(timeout=2)`, answers the same with a time limit for each call."""

    def __call__(self, *, timeout: float | None) -> AsyncProxy:
        """The same methods, whose calls may take `timeout` seconds each (of waiting for a thread too)."""
        Deadline(timeout)  # what is wrong with it shows here
        return AsyncProxy(_Caller(self._caller.slot, timeout), self._contract, self._target)

    def __repr__(self) -> str:
        return f"<await {self._target!r}>"


class AsyncHandle(AsyncMethods):
    """A handle: its methods are awaited, one at a time; `aclose`, or `async with`, closes it."""

    def __init__(self, caller: _Caller, contract: Contract, target: object) -> None:
        super().__init__(caller, contract, target)
        self._alone = threading.Lock()

    async def aclose(self) -> None:
        """End it, after a call of it that may be running still. More than once does no harm."""
        # Without the caller's time limit: what is open must be closed, also after a call that took too long.
        closing = _under(self._alone, getattr(self._target, CLOSE))
        await _Caller(self._caller.slot, None).call(f"{self._contract.id}.{CLOSE}", closing)

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _close_after(self.aclose, error)

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # A cancelled call goes on in its thread; nothing else may come to the same handle meanwhile.
        return _under(self._alone, function)

    def __repr__(self) -> str:
        return f"<await {self._target!r}>"


class Opening:
    """A call that opens a handle: to be awaited, or entered with `async with`, which closes the handle at the end."""

    def __init__(self, caller: _Caller, contract: Contract, call: Callable[[], Any]) -> None:
        self._caller, self._contract, self._call = caller, contract, call
        self._handle: AsyncHandle | None = None

    async def _open(self) -> AsyncHandle | None:
        target = await self._call()
        return None if target is None else AsyncHandle(self._caller, self._contract, target)

    def __await__(self) -> Generator[Any, None, AsyncHandle | None]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncHandle | None:
        self._handle = await self._open()
        return self._handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            await self._handle.__aexit__(kind, error, trace)


class AsyncItems:
    """An iterator for `async for`: opened at the first item, closed after the last one, by `aclose` or `async with`."""

    def __init__(self, caller: _Caller, operation: str, open_: Callable[[], Any]) -> None:
        self._caller, self._operation, self._open = caller, operation, open_
        self._iterator: Any = None
        self._ended = False
        self._alone = threading.Lock()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        """The next item, of a plugin that fails the `PluginError`, which ends it."""
        if self._ended:
            raise StopAsyncIteration
        item = await self._caller.call(self._operation, _under(self._alone, self._pull))
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """End it, after an item that may be on its way still. More than once does no harm."""
        if not self._ended:
            self._ended = True
            closing = _under(self._alone, self._close)
            await _Caller(self._caller.slot, None).call(f"{self._operation}_{CLOSE}", closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _close_after(self.aclose, error)

    def _pull(self) -> object:
        """In a thread. The iterator is kept before anything else can go wrong, so that it will be closed."""
        if self._iterator is None:
            self._iterator = self._open()
        try:
            item = next(self._iterator, _END)
        except BaseException:
            self._ended = True
            raise
        self._ended = self._ended or item is _END
        return item

    def _close(self) -> None:
        if self._iterator is not None:
            self._iterator.close()


def _under(lock: AbstractContextManager[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> Any:
        with lock:
            return function(*args, **kwargs)

    return call


async def _close_after(close: Callable[[], Any], error: BaseException | None) -> None:
    """Close at the end of a block; the error of the block is the one to see."""
    try:
        await close()
    except LatebindError as e:
        if error is None:
            raise
        error.add_note(f"and, on closing: {e}")


class Aio:
    """The attribute `aio` of every proxy, made when it is first used. A contract's method of that name goes before."""

    def __get__(self, proxy: Any, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        made = AsyncProxy(_Caller(proxy.__latebind_slot__, None), proxy.__latebind_contract__, proxy)
        proxy.__dict__["aio"] = made
        return made
