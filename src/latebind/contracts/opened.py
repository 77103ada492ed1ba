"""What a native plugin answers: results that are data, and handles and iterators, which stay open.

`Exports` are the functions of one loaded plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.contracts.model import iterator_functions
from latebind.contracts.native import Ended, Owner, native_method
from latebind.contracts.openings import Openings
from latebind.contracts.types import IteratorOf, handle_in
from latebind.errors import LatebindError, NotProvided

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from latebind import _core
    from latebind.contracts.calls import CallPool
    from latebind.contracts.model import Contract, Function, Method

    Invoke = Callable[[Sequence[object]], object]


class Opened:
    """A handle or an iterator of a native plugin. It does not know who holds it (`plugin/opened.py` does)."""

    __slots__ = ("_closing", "_exports", "_following", "_pointer", "contract")

    def __init__(
        self,
        exports: Exports,
        pointer: int,
        closing: Function,
        *,
        contract: Contract | None = None,
        following: Function | None = None,
    ) -> None:
        self.contract = contract
        """The contract of a handle; None for an iterator."""
        self._exports, self._pointer, self._closing, self._following = exports, pointer, closing, following

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        return not self._pointer

    def bind(self, method: Method, proxy: object) -> Invoke:
        """A method of the handle, to be called while it is open."""
        assert self.contract is not None
        return self._exports.bind_handle(self, self.contract, method, proxy)

    def next(self) -> object:
        """The next item of the iterator; raises `Ended` after the last one. Failing closes it, as ending does."""
        assert self._following is not None
        try:
            return self._exports.call(self._following, (), self.pointer)
        except BaseException as e:
            if not self.closed:
                try:
                    self.close()
                except LatebindError as also:
                    if isinstance(e, Ended):
                        raise
                    e.add_note(f"and, on closing: {also}")
            raise

    def close(self) -> None:
        """End it, once. Raises what the plugin's close function says."""
        pointer, self._pointer = self._pointer, 0
        if pointer:
            self._exports.forget(self)
            self._exports.call(self._closing, (), pointer)

    def abandon(self) -> None:
        """Nobody holds it any more: close it when the plugin is called next, or ends."""
        if not self.closed:
            self._exports.abandon(self)

    @property
    def pointer(self) -> int:
        """The plugin's pointer; 0 once it is closed."""
        return self._pointer


class Exports(Openings[Opened]):
    """The functions of one loaded plugin, by the contracts that it provides.

    `entries` are those of its notes: what is not among them it does not have. `address` finds a C function.
    """

    def __init__(self, owner: Owner, calls: CallPool, address: Callable[[str], int]) -> None:
        super().__init__()
        self.owner = owner
        self._calls, self._address = calls, address
        self._functions: dict[str, _core.Method] = {}
        self._entries: dict[str, Container[str]] = {}

    def provide(self, contract: str, entries: Container[str]) -> None:
        """Say which entries of a contract there are."""
        self._entries[contract] = entries

    def bind(self, contract: Contract, method: Method, proxy: object) -> Invoke:
        """A method of the plugin; a missing one runs its default body, or raises `NotProvided` when it is called."""
        if method.name not in self._entries[contract.id]:
            return missing_method(self.owner, contract, method, proxy)
        invoke = self._function(contract.function(method))
        return invoke if method.body is None else _or_default(invoke, method.body, method, proxy)

    def bind_handle(self, opened: Opened, contract: Contract, method: Method, proxy: object) -> Invoke:
        """A method of a handle."""
        function = contract.function(method, handle=True)
        if not any(function.entry in entries for entries in self._entries.values()):
            return missing_method(self.owner, contract, method, proxy)
        native: _core.Method | None = None

        def invoke(arguments: Sequence[object]) -> object:
            nonlocal native
            if native is None:  # not before the handle is used: it may have ended, with the library
                native = self._function(function)
            return native(arguments, opened.pointer)

        return invoke if method.body is None else _or_default(invoke, method.body, method, proxy)

    def call(self, function: Function, arguments: Sequence[object], pointer: int) -> object:
        """One call of a handle's or iterator's function."""
        return self._function(function)(arguments, pointer)

    def abandon(self, opened: Opened) -> None:
        """As `Openings` says."""
        super().abandon(opened)
        self._calls.untidy = True

    def close_abandoned(self) -> list[LatebindError]:
        """As `Openings` says; the core asks for it where `abandon` told it to."""
        self._calls.untidy = False
        return super().close_abandoned()

    def _function(self, function: Function) -> _core.Method:
        known = self._functions.get(function.symbol)
        if known is None:
            known = self._functions[function.symbol] = native_method(
                self.owner,
                function,
                self._address(function.symbol),
                pool=self._calls,
                wrap=self._wrapper(function),
                tidy=self.close_abandoned,
            )
        return known

    def _wrapper(self, function: Function) -> Callable[[object], object] | None:
        """What makes an `Opened` of a function's answer; None for data."""
        handle = handle_in(function.result)
        if handle is not None:
            held = handle.contract
            *_, closing = held.own_functions(handle=True)
            return lambda answer: self._opened(answer, closing, contract=held)
        if isinstance(function.result, IteratorOf):
            following, closing = iterator_functions(function)
            return lambda answer: self._opened(answer, closing, following=following)
        return None

    def _opened(self, pointer: object, closing: Function, **rest: Any) -> Opened | None:
        if not pointer:
            return None
        assert isinstance(pointer, int)
        return self.remember(Opened(self, pointer, closing, **rest))


def missing_method(owner: Owner, contract: Contract, method: Method, proxy: object) -> Invoke:
    """What a call of a method does that the plugin, built against an older contract, does not have."""
    body = method.body
    if body is not None:
        return lambda arguments: _run_default(body, method, proxy, arguments)

    def refuse(_arguments: Sequence[object]) -> object:
        name = f"{contract.id}.{method.name}"
        raise NotProvided(
            owner.plugin, owner.version, name, "the plugin was built against an older contract without it"
        )

    return refuse


def _or_default(invoke: Invoke, body: Callable[..., object], method: Method, proxy: object) -> Invoke:
    """`invoke`, and the default body where the plugin answers LB_NOT_PROVIDED: some languages export everything."""

    def call(arguments: Sequence[object]) -> object:
        try:
            return invoke(arguments)
        except NotProvided:
            return _run_default(body, method, proxy, arguments)

    return call


def _run_default(body: Callable[..., object], method: Method, proxy: object, arguments: Sequence[object]) -> object:
    positional, named = method.spread(arguments)
    return body(proxy, *positional, **named)
