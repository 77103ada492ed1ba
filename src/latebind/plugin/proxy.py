"""Proxies: what `host.get(Contract)` answers. An object with the contract's methods that outlives every reload.

Methods are arranged as Python calls are: positional and keyword arguments, defaults, and a TypeError that names the
method when they do not fit.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from latebind.plugin.slot import Slot, bound_method

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.contracts import Contract, Method


class Proxy:
    """The base of all proxies. `==` and `hash` go by identity; the plugin's id is in `repr`."""

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
        setattr(proxy, method.name, callable_method(contract, method, bound_method(slot, contract, method, proxy)))
    return proxy


def callable_method(
    contract: Contract, method: Method, bound: Callable[[Sequence[object]], object]
) -> Callable[..., object]:
    """`bound`, which takes one argument a parameter, with the method's own signature, name and documentation."""
    signature = _signature(method)
    count = len(method.parameters)
    simple = not any(p.keyword_only for p in method.parameters)

    def call(*args: object, **kwargs: object) -> object:
        if simple and not kwargs and len(args) == count:
            return bound(args)
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as e:
            raise TypeError(f"{contract.id}.{method.name}(): {e}") from None
        given.apply_defaults()
        return bound(tuple(given.arguments.values()))

    call.__name__ = method.name
    call.__qualname__ = f"{contract.name}.{method.name}"
    call.__doc__ = method.doc or None
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


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
