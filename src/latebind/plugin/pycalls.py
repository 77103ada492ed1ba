"""Calls of a Python plugin: its objects' methods, with arguments and results held to the contract.

What is caught here is the same as for a native plugin: an argument that does not fit is the caller's mistake, an
exception or a wrong answer the plugin's. Handles and iterators are what the plugin's methods return, wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.contracts import Deadline, missing_method
from latebind.contracts.marshal import check_argument
from latebind.contracts.model import CLOSE
from latebind.contracts.native import Ended, argument_encoder
from latebind.contracts.openings import Openings
from latebind.contracts.types import IteratorOf, Nothing, OptionalOf, ResultKind, handle_in
from latebind.contracts.values import type_of
from latebind.errors import CallCancelled, CallTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from latebind.contracts import Contract, Method, Owner
    from latebind.errors import PluginError
    from latebind.plugin.generation import Invoke


class PythonCalls(Openings["PythonOpened"]):
    """The calls of one loaded plugin, and what they left open. `serial` is held around each."""

    def __init__(self, owner: Owner, serial: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.owner, self.serial = owner, serial

    def bind(self, contract: Contract, method: Method, target: object, proxy: object) -> Invoke:
        """A method of the plugin's object `target`."""
        function = getattr(target, method.name, None)
        if function is None:
            return missing_method(self.owner, contract, method, proxy)
        name = f"{contract.id}.{method.name}"
        checks = [argument_encoder(name, p) for p in method.parameters]

        def invoke(arguments: Sequence[object]) -> object:
            for check, value in zip(checks, arguments, strict=True):
                check(value)
            positional, named = method.spread(arguments)
            with self.serial:
                self.close_abandoned()
                answer = run(self.owner, name, lambda: function(*positional, **named))
                return self._checked(name, method.result, answer)

        return invoke

    def check(self, name: str, kind: ResultKind, answer: object) -> None:
        """Raise `PluginError` unless the answer is of the kind."""
        try:
            check_argument(kind, answer)
        except (TypeError, ValueError, OverflowError) as e:
            raise self.owner.broken(name, f"its result breaks the contract: {e}") from e

    def _checked(self, name: str, kind: ResultKind, answer: object) -> object:
        handle = handle_in(kind)
        if isinstance(kind, IteratorOf):
            if not hasattr(type(answer), "__iter__"):
                raise self._broken(name, f"expected an iterator, not {type_of(answer)}")
            return self.remember(PythonOpened(self, name, iter(answer), None, kind.item))  # type: ignore[call-overload]
        if handle is None:
            self.check(name, kind, answer)
            return answer
        if answer is None and isinstance(kind, OptionalOf):
            return None
        lacking = [m.name for m in handle.contract.methods if m.body is None and not _has(answer, m.name)]
        if lacking:
            what = f"expected a {handle.contract.id}, not {type_of(answer)}, which has no {', '.join(lacking)}"
            raise self._broken(name, what)
        return self.remember(PythonOpened(self, name, answer, handle.contract, Nothing()))

    def _broken(self, name: str, what: str) -> PluginError:
        return self.owner.broken(name, f"its result breaks the contract: {what}")


class PythonOpened:
    """A handle or an iterator of a Python plugin: an object of its own."""

    __slots__ = ("_calls", "_item", "_name", "_target", "contract")

    def __init__(
        self, calls: PythonCalls, name: str, target: object, contract: Contract | None, item: ResultKind
    ) -> None:
        self.contract = contract
        """The contract of a handle; None for an iterator."""
        self._calls, self._name, self._target, self._item = calls, name, target, item

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        return self._target is None

    def bind(self, method: Method, proxy: object) -> Invoke:
        """A method of the handle."""
        assert self.contract is not None
        return self._calls.bind(self.contract, method, self._target, proxy)

    def next(self) -> object:
        """The next item; raises `Ended` after the last one. Failing closes it, as ending does."""
        target: Any = self._target
        with self._calls.serial:
            try:
                item = run(self._calls.owner, f"{self._name}_next", lambda: next(target, _END))
                if item is _END:
                    raise Ended  # noqa: TRY301 - ending closes as failing does
                self._calls.check(f"{self._name}_next", self._item, item)
            except BaseException:
                self.close()
                raise
        return item

    def close(self) -> None:
        """End it, once: with the object's own `close`, if it has one."""
        target, self._target = self._target, None
        if target is None:
            return
        self._calls.forget(self)
        close = getattr(target, CLOSE, None)
        if close is not None:
            with self._calls.serial:
                run(self._calls.owner, f"{self._name}_close", close)

    def abandon(self) -> None:
        """Nobody holds it any more: close it when the plugin is called next, or ends."""
        if not self.closed:
            self._calls.abandon(self)


_END = object()


def run(owner: Owner, method: str, function: Callable[[], Any]) -> Any:
    """Run the plugin's code; any exception of it is a `PluginError`, `sys.exit` too: the process is the host's."""
    try:
        return function()
    except (CallTimeout, CallCancelled) as e:
        deadline = Deadline.current()
        if deadline is not None and deadline.over:
            raise deadline.error(owner.plugin, method) from e
        raise owner.error(method, f"{type(e).__name__}: {e}") from e
    except (Exception, SystemExit) as e:
        raise owner.error(method, f"{type(e).__name__}: {e}") from e


def _has(thing: object, name: str) -> bool:
    return name == CLOSE or callable(getattr(thing, name, None))
