"""Proxies: what `host.get(Contract)` answers. An object with the contract's methods that outlives every reload.

Methods are arranged as Python calls are: positional and keyword arguments, defaults, and a TypeError that names the
method when they do not fit.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from latebind import _core
from latebind.plugin.aio import Aio
from latebind.plugin.slot import Slot, opens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from latebind.contracts import CallPool, Contract, Method
    from latebind.plugin.generation import Generation, Invoke
    from latebind.plugin.services import Service


ServiceFunction: TypeAlias = _core.Callback | _core.Link
"""What a native plugin's symbol for a service is bound to; `address` is where."""


class Proxy:
    """The base of all proxies. `==` and `hash` go by identity; the plugin's id is in `repr`; `aio` is for `await`."""

    aio = Aio()

    def __init__(self, slot: Slot, contract: Contract) -> None:
        self.__latebind_slot__ = slot
        self.__latebind_contract__ = contract

    def __repr__(self) -> str:
        contract, slot = self.__latebind_contract__, self.__latebind_slot__
        return f"<{contract.name} of plugin {slot.generation.manifest if slot.generation else slot.plugin}>"


def make_proxy(slot: Slot, contract: Contract) -> Proxy:
    """A proxy for one contract of a plugin."""
    proxy = Proxy(slot, contract)
    for method in contract.methods:
        # On the instance, not on the class: calling it costs no binding of `self`.
        setattr(proxy, method.name, entry(slot, contract, method, partial(slot.bind, contract, method, proxy)))
    return proxy


def entry(slot: Slot, contract: Contract, method: Method, bind: Callable[[], tuple[Generation, Invoke]]) -> _core.Entry:
    """A method for callers, with its own signature, name and documentation, looked up anew in each generation.

    A call runs in the generation of the moment; it waits while that is being exchanged. `bind` answers the generation
    that serves, and its method, which is remembered while it does; or raises why there is none.
    """
    signature = _signature(method)
    return _core.Entry(
        slot.gate,
        slot.meter(contract, method),
        bind,
        _arranger(contract, method, signature),
        -1 if any(p.keyword_only for p in method.parameters) else len(method.parameters),
        slot.hand_out if opens(method) else None,
        method.name,
        f"{contract.name}.{method.name}",
        method.doc or None,
        signature,
    )


def _arranger(contract: Contract, method: Method, signature: inspect.Signature) -> Callable[..., tuple[object, ...]]:
    """What makes one argument a parameter of positional and keyword ones, and of defaults."""

    def arrange(*args: object, **kwargs: object) -> tuple[object, ...]:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as e:
            raise TypeError(f"{contract.id}.{method.name}(): {e}") from None
        given.apply_defaults()
        return tuple(given.arguments.values())

    return arrange


def direct_functions(
    service: Service, functions: Mapping[str, _core.Callback], callers: CallPool
) -> dict[str, ServiceFunction]:
    """The C functions of a service for a native plugin: by way of Python, and without it where a plugin answers.

    `functions` are those by way of Python, `callers` the calls of the plugin that is given them.
    """
    found: dict[str, ServiceFunction] = dict(functions)
    if isinstance(service.implementation, Proxy):
        slot, contract = service.implementation.__latebind_slot__, service.contract
        for method in contract.methods:
            symbol = contract.symbol(method)
            found[symbol] = slot.link(contract, method, callers, functions[symbol]) or functions[symbol]
    return found


def _signature(method: Method) -> inspect.Signature:
    kinds = {False: inspect.Parameter.POSITIONAL_OR_KEYWORD, True: inspect.Parameter.KEYWORD_ONLY}
    return inspect.Signature(
        [
            inspect.Parameter(
                p.name, kinds[p.keyword_only], default=inspect.Parameter.empty if p.required else p.default
            )
            for p in method.parameters
        ]
    )
