"""A generation: one loaded code of a plugin. A hot reload makes the next one and lets the old one go.

`NativeGeneration` (native.py) and `PythonGeneration` (pykind.py) are the kinds; whoever calls, reloads or unloads
knows only what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from latebind.contracts import CallPool, Contract, Method
    from latebind.errors import LatebindError
    from latebind.plugin.manifest import Manifest

Invoke: TypeAlias = Callable[[Sequence[object]], object]
"""Calls one method with one argument a parameter."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A plugin's state on its way from one generation to the next; `schema` numbers the format of `data`."""

    schema: int
    data: bytes


class Opened(Protocol):
    """A handle or an iterator that a plugin answered, of any kind of plugin; `opened.py` hands it out."""

    @property
    def contract(self) -> Contract | None:
        """The contract of a handle; None for an iterator."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        ...

    def bind(self, method: Method, proxy: object) -> Invoke:
        """A method of the handle, as `Generation.bind` answers those of the plugin."""
        ...

    def next(self) -> object:
        """The next item of the iterator. Raises `Ended` after the last one."""
        ...

    def close(self) -> None:
        """End it; more than once does no harm. Raises `PluginError`."""
        ...

    def abandon(self) -> None:
        """Nobody holds it any more; it may be closed when it suits the plugin. Called by the garbage collector."""
        ...


class Generation(Protocol):
    """What the host does with a loaded plugin of any kind."""

    @property
    def manifest(self) -> Manifest:
        """The manifest that it was loaded by."""
        ...

    @property
    def number(self) -> int:
        """Counts up with every reload, from 1."""
        ...

    @property
    def config(self) -> Mapping[str, object]:
        """The configuration that it was started with, for the next generation."""
        ...

    def check_contract(self, contract: Contract) -> None:
        """Raise `VersionConflict` or `ContractError` unless it can serve this contract, which it provides by id."""
        ...

    def bind(self, contract: Contract, method: Method, proxy: object) -> Invoke:
        """A method as something to call.

        A missing one runs its default body with `proxy` as self, or raises `NotProvided` when it is called. A handle
        or an iterator is answered as an `Opened`.
        """
        ...

    def direct(self, contract: Contract, method: Method) -> tuple[CallPool, int] | None:
        """Its calls and the address of a method's C function, for other native plugins; None where there is none."""
        ...

    def save(self) -> Saved | None:
        """The state, or None if the plugin keeps none. Raises `PluginError`."""
        ...

    def restore(self, saved: Saved) -> None:
        """Take over a state. Raises `PluginError`."""
        ...

    def selftest(self) -> bool:
        """Run the plugin's lb_selftest; whether it has one. Raises `PluginError` with what it says is wrong."""
        ...

    def lasting(self) -> tuple[str, ...]:
        """Why parts of it stay in memory after `close`; empty where nothing does."""
        ...

    def stop(self) -> list[LatebindError]:
        """Close what is open and let the plugin end (lb_fini), whatever happens; what went wrong. Idempotent."""
        ...

    def close(self) -> list[LatebindError]:
        """Stop the plugin, unless that was done, and unload it, whatever happens; what went wrong. Idempotent."""
        ...
