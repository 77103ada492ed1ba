"""The host's own services: one object for all plugins, one for each plugin, or one for each call; and overrides.

    Host(services={
        Logger: my_logger,                                    # one for all
        Files: per_plugin(lambda plugin: Folder(plugin.id)),  # made when a plugin that requires it is loaded
        Session: per_call(lambda plugin: Session()),          # made at a call's first use of it, closed with the call
    })

A plugin holds a stand-in and never the object itself, so that an override reaches plugins that are loaded already. What
a factory made is closed when its plugin or its call ends, if it has a `close`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts import contract_of
from latebind.errors import ContractError, LatebindError, NotFound, Tried
from latebind.plugin.scopes import CallScopes, close_all
from latebind.plugin.services import Service, check_implements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from latebind.contracts import Contract, Method, Version
    from latebind.plugin.generation import Invoke
    from latebind.plugin.manifest import Manifest


class Scope(StrEnum):
    """How long a service lives, and who shares it."""

    SINGLETON = "singleton"
    """One for all plugins: the object that the host was given."""
    PLUGIN = "plugin"
    """One for each plugin, across its reloads, until it is unloaded."""
    CALL = "call"
    """One for each call of a plugin. Outside of one (in lb_init, in a plugin's own thread) one for each use."""


@dataclass(frozen=True, slots=True)
class ScopedService:
    """What makes a service for a plugin. From `per_plugin` or `per_call`."""

    scope: Scope
    make: Callable[[Manifest], object]


def per_plugin(make: Callable[[Manifest], object]) -> ScopedService:
    """A service of which each plugin gets its own; `make` is called with the plugin's manifest, when it is loaded."""
    return ScopedService(Scope.PLUGIN, make)


def per_call(make: Callable[[Manifest], object]) -> ScopedService:
    """A service of which each call of a plugin gets its own; `make` is called when the call first uses it."""
    return ScopedService(Scope.CALL, make)


class StandIn:
    """What a plugin is given for a service: it has the contract's methods, and `find` finds who answers each call."""

    def __init__(self, contract: Contract, find: Callable[[], object]) -> None:
        self.__latebind_contract__ = contract
        self.__latebind_find__ = find
        for method in contract.methods:
            setattr(self, method.name, _method(method, find))

    def __getattr__(self, name: str) -> Any:
        """What else the object has; a Python plugin may use it."""
        find = self.__dict__.get("__latebind_find__")
        if find is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(find(), name)

    def __repr__(self) -> str:
        return f"<the host's service {self.__latebind_contract__.id}>"


def _method(method: Method, find: Callable[[], object]) -> Callable[..., object]:
    name = method.name

    def call(*args: object, **kwargs: object) -> object:
        target = find()
        found = getattr(target, name, None)
        if found is None:
            found = method.on(target)  # the default body
            assert found is not None, "an object without the method is not let in"
        return found(*args, **kwargs)

    return call


class _Transient:
    """A service outside of any call: made for one use, and closed."""

    def __init__(self, contract: Contract, make: Callable[[], object]) -> None:
        self._contract, self._make = contract, make

    def __getattr__(self, name: str) -> Any:
        method = self._contract.method(name)
        if method is None:
            raise AttributeError(name)

        def use(*args: object, **kwargs: object) -> object:
            made = self._make()
            bound = method.on(made)
            assert bound is not None, "it was looked at when it was made"
            try:
                return bound(*args, **kwargs)
            finally:
                for problem in close_all([made]):
                    raise problem

        return use


class _Offer:
    """One service: what was given for it, and what overrides that at the moment."""

    def __init__(self, contract: Contract, given: object) -> None:
        self.contract, self.given = contract, given
        self.scoped = given if isinstance(given, ScopedService) else None
        self.overrides: list[object] = []
        if self.scoped is None and given is not _NOTHING:
            check_implements(contract, given, "the service")

    def make(self, manifest: Manifest) -> object:
        """The factory's object. Raises `ContractError` if it makes none, or one that lacks a method."""
        assert self.scoped is not None
        try:
            made = self.scoped.make(manifest)
        except Exception as e:
            what = f"making it for plugin {manifest.id} failed: {type(e).__name__}: {e}"
            raise ContractError(self.contract.id, what) from e
        check_implements(self.contract, made, f"what was made for plugin {manifest.id},")
        return made

    def single(self) -> object:
        """Who answers at the moment, if there is one for all."""
        if self.overrides:
            return self.overrides[-1]
        if self.given is _NOTHING:
            raise NotFound(f"service {self.contract.id}", None, (Tried("the override that it was", "has ended"),))
        return self.given


_NOTHING: Final = object()


class HostServices:
    """All services of a host, by contract id. Everything but calls runs under the host's lock."""

    def __init__(self, given: Mapping[Any, object]) -> None:
        self._offers: dict[str, _Offer] = {}
        self._scopes = CallScopes()
        self._made: dict[str, dict[str, object]] = {}  # plugin → contract → its own object
        for cls, implementation in given.items():
            contract = contract_of(cls)
            if contract.id in self._offers:
                raise ContractError(contract.id, "two services are given for it")
            self._offers[contract.id] = _Offer(contract, implementation)

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """Their contracts."""
        return tuple(offer.contract for offer in self._offers.values())

    def given(self) -> tuple[tuple[Contract, object], ...]:
        """What the host was given, by contract; overrides are for tests in this process."""
        return tuple((o.contract, o.given) for o in self._offers.values() if o.given is not _NOTHING)

    def versions(self) -> dict[str, Version]:
        """Their versions."""
        return {name: offer.contract.version for name, offer in self._offers.items()}

    def for_plugin(self, manifest: Manifest) -> dict[str, Service]:
        """The services as one plugin gets them; what it requires for itself is made, unless it has it already.

        Raises `ContractError` if that fails.
        """
        required = {r.id for r in manifest.requires if r.kind == "contract"}
        for name in sorted(required & self._offers.keys()):
            offer, own = self._offers[name], self._made.setdefault(manifest.id, {})
            if offer.scoped is not None and offer.scoped.scope is Scope.PLUGIN and name not in own:
                own[name] = offer.make(manifest)
        return {n: Service(o.contract, StandIn(o.contract, self._finder(o, manifest))) for n, o in self._offers.items()}

    def around(self, manifest: Manifest) -> Callable[[Invoke], Invoke] | None:
        """What a plugin's calls must go through, if it requires a service that lives for a call."""
        offers = (self._offers.get(r.id) for r in manifest.requires if r.kind == "contract")
        needed = any(o is not None and o.scoped is not None and o.scoped.scope is Scope.CALL for o in offers)
        return self._scopes.around(manifest.id) if needed else None

    def release(self, plugin: str) -> list[LatebindError]:
        """Close what was made for a plugin, which is unloaded; what went wrong."""
        own = self._made.pop(plugin, {})
        return [
            ContractError(plugin, f"closing a service that was made for it: {type(e).__name__}: {e}")
            for e in close_all(own.values())
        ]

    def override(self, given: Mapping[Any, object]) -> dict[Contract, object]:
        """Let other objects answer; what is no service so far becomes one. Whole or not at all; what to `restore`."""
        chosen = {contract_of(cls): implementation for cls, implementation in given.items()}
        for contract, implementation in chosen.items():
            offer = self._offers.get(contract.id)
            if offer is not None and offer.contract != contract:
                what = f"the host's service has version {offer.contract.version}, the override {contract.version}"
                raise ContractError(contract.id, what)
            check_implements(contract, implementation, "the override")
        for contract, implementation in chosen.items():
            self._offers.setdefault(contract.id, _Offer(contract, _NOTHING)).overrides.append(implementation)
        return chosen

    def restore(self, chosen: Mapping[Contract, object]) -> set[str]:
        """End an override; the ids of the contracts that are no services any more."""
        gone: set[str] = set()
        for contract, implementation in chosen.items():
            offer = self._offers[contract.id]
            place = max(i for i, o in enumerate(offer.overrides) if o is implementation)
            del offer.overrides[place]
            if offer.given is _NOTHING and not offer.overrides:
                del self._offers[contract.id]
                gone.add(contract.id)
        return gone

    def overriding(self, contract: Contract) -> StandIn | None:
        """A stand-in for what overrides a contract at the moment, or None."""
        offer = self._offers.get(contract.id)
        return StandIn(contract, offer.single) if offer is not None and offer.overrides else None

    def _finder(self, offer: _Offer, manifest: Manifest) -> Callable[[], object]:
        scoped, plugin, name = offer.scoped, manifest.id, offer.contract.id
        if scoped is None:
            return offer.single

        def own() -> object:
            if offer.overrides:
                return offer.overrides[-1]
            return self._made[plugin][name]

        def for_call() -> object:
            if offer.overrides:
                return offer.overrides[-1]
            found = self._scopes.find(plugin, name, lambda: offer.make(manifest))
            return found if found is not None else _Transient(offer.contract, lambda: offer.make(manifest))

        return own if scoped.scope is Scope.PLUGIN else for_call
