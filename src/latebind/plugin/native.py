"""A native plugin, loaded: its library, its bound services, its life-cycle functions.

Loading is a transaction. What `check.py` allowed is mapped and bound by our linker, with each imported symbol of a
required contract bound to a function that reaches the service; then lb_init runs. If anything fails, nothing stays.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts import (
    CallPool,
    Contract,
    Exports,
    Method,
    Owner,
    missing_service,
    service_callbacks,
)
from latebind.contracts.clayout import size_of
from latebind.contracts.marshal import decode
from latebind.contracts.native import check_status
from latebind.contracts.signature import POINTER, SPAN, UINT32, bind, prototype
from latebind.contracts.types import Bytes
from latebind.elf.segment import PF_R, PT_LOAD
from latebind.errors import LatebindError
from latebind.linker import Library, load
from latebind.linker.lasting import will_last
from latebind.plugin.check import CheckedPlugin, check_contracts
from latebind.plugin.generation import Saved
from latebind.plugin.proxy import ServiceFunction, direct_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from latebind.errors import PluginError
    from latebind.ffi.ctype import CType
    from latebind.plugin.generation import Invoke
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.services import Service

_BYTES: Final = Bytes()


class NativeGeneration:
    """One loaded generation of a native plugin. Made by `load_native`."""

    def __init__(
        self,
        checked: CheckedPlugin,
        number: int,
        config: Mapping[str, object],
        failed: Callable[[PluginError], object] | None = None,
    ) -> None:
        self.manifest: Manifest = checked.manifest
        self.number = number
        self.config = config
        self._checked = checked
        self._owner = Owner(checked.manifest.id, str(checked.manifest.version))
        # A nested call of the same thread (plugin → service → plugin) does not wait for itself: the lock is reentrant.
        self._calls = CallPool(serial=not self.manifest.parallel)
        self._callbacks: dict[str, ServiceFunction] = {}
        self._library: Library | None = None
        self._started = False
        self._exports = Exports(replace(self._owner, tell=failed), self._calls, self._address)
        for contract in checked.note.provides.values():
            there = {entry for symbol, entry in contract.symbols().items() if symbol in checked.exports}
            self._exports.provide(contract.id, there)

    def load(self, services: Mapping[str, Service]) -> None:
        """Map and bind the file, and run its constructors."""
        self._callbacks = self._bind_services(services)
        hooks = {symbol: callback.address for symbol, callback in self._callbacks.items()}
        self._library = load(self._checked.plan, namespace=self._checked.namespace, hooks=hooks)
        for segment in self._checked.plan.root.elf.segments:
            if segment.type == PT_LOAD and segment.flags & PF_R and segment.memsz:
                self._calls.add_image(self._library.base + segment.vaddr, segment.memsz)

    def start(self) -> None:
        """Run lb_init."""
        if "lb_init" in self._checked.exports:
            config = json.dumps(dict(self.config), ensure_ascii=False).encode()
            self._lifecycle("lb_init", [SPAN], [config, len(config)], keep_state=True)
        self._started = True

    def check_contract(self, contract: Contract) -> None:
        """Compare what was compiled with the host's contract."""
        check_contracts(self.manifest, self._checked.note, [contract])

    def bind(self, contract: Contract, method: Method, proxy: object) -> Invoke:
        """The exported function of a method, or what stands in for one that this plugin does not have yet."""
        return self._exports.bind(contract, method, proxy)

    def direct(self, contract: Contract, method: Method) -> tuple[CallPool, int] | None:
        """The exported function of a method, if this plugin has it."""
        symbol = contract.symbol(method)
        return (self._calls, self._address(symbol)) if symbol in self._checked.exports else None

    def save(self) -> Saved | None:
        """What lb_save answers, or None without an lb_save."""
        if "lb_save" not in self._checked.exports:
            return None
        schema = bytearray((self.manifest.state_schema or 0).to_bytes(4, sys.byteorder))
        state = bytearray(size_of(_BYTES))
        data = self._lifecycle("lb_save", [POINTER, POINTER], [schema, state], lambda copy: decode(_BYTES, state, copy))
        assert isinstance(data, bytes)
        number = int.from_bytes(schema, sys.byteorder)
        if self.manifest.state_schema is not None and number != self.manifest.state_schema:
            what = f"it saved state of schema {number}, its manifest says {self.manifest.state_schema}"
            raise self._owner.error("lb_save", what)
        return Saved(number, data)

    def restore(self, saved: Saved) -> None:
        """Hand a state to lb_restore."""
        if "lb_restore" not in self._checked.exports:
            raise self._owner.error("lb_restore", "the plugin does not export it, so it cannot take over the state")
        arguments = [saved.schema, saved.data, len(saved.data)]
        self._lifecycle("lb_restore", [UINT32, SPAN], arguments, keep_state=True)

    def selftest(self) -> bool:
        """Run lb_selftest, if there is one."""
        if "lb_selftest" not in self._checked.exports:
            return False
        self._lifecycle("lb_selftest", [], [])
        return True

    def lasting(self) -> tuple[str, ...]:
        """What of it cannot be unloaded."""
        reasons = self._library.lasting() if self._library is not None else will_last(self._checked.plan)
        return tuple(str(reason) for reason in reasons)

    def stop(self) -> list[LatebindError]:
        """Close what is open, while everything that it needs is there, and run lb_fini if lb_init went well."""
        problems: list[LatebindError] = []
        if not self._started:
            return problems
        problems += self._exports.close_all()
        self._started = False
        if "lb_fini" in self._checked.exports:
            try:
                self._lifecycle("lb_fini", [], [])
            except LatebindError as e:
                problems.append(e.with_traceback(None))  # whose frames would keep the library
        return problems

    def close(self) -> list[LatebindError]:
        """Stop, then unload."""
        if self._library is None:
            return []
        problems = self.stop()
        library, self._library = self._library, None
        try:
            library.close()
        except LatebindError as e:
            problems.append(e.with_traceback(None))
        else:
            self._callbacks = {}  # not before: destructors may still call services
        problems += self._take_back()
        del self._checked  # the plan keeps the file mapped for reading, and a proxy may keep us until its next call
        return problems

    def _take_back(self) -> list[LatebindError]:
        """Close the handles and iterators of services that the plugin left open."""
        problems: list[LatebindError] = []
        for thing in self._calls.forget_lent():
            try:
                if callable(close := getattr(thing, "close", None)):
                    close()
            except Exception as e:  # noqa: BLE001 - a service may raise anything; it is told, and unloading goes on
                problems.append(self._owner.error("unload", f"closing what it left open: {type(e).__name__}: {e}"))
        return problems

    def _address(self, symbol: str) -> int:
        assert self._library is not None
        return self._library.symbol(symbol)

    def _bind_services(self, services: Mapping[str, Service]) -> dict[str, ServiceFunction]:
        callbacks: dict[str, ServiceFunction] = {}
        for contract in set(self._checked.imports.values()) & services.keys():
            service = services[contract]
            functions = service_callbacks(service.contract, service.implementation, self._calls)
            callbacks |= direct_functions(service, functions, self._calls)
        bound = {s: callbacks[s] for s, c in self._checked.imports.items() if c in services}
        optional = [s for s, c in self._checked.imports.items() if c not in services]
        return bound | {symbol: missing_service(symbol, self._calls) for symbol in optional}

    def _lifecycle(
        self,
        name: str,
        types: Sequence[CType],
        arguments: Sequence[Any],
        read: Callable[[Callable[[int, int], bytes]], object] | None = None,
        *,
        keep_state: bool = False,
    ) -> object:
        """Call one of the lb_… functions; `read` takes its answer over before the call's memory ends."""
        function = bind(prototype(name, *types), self._address(name), self._owner.plugin)
        with self._calls:
            call = self._calls.begin()
            try:
                check_status(self._owner, name, call, function(call.address, *arguments))
                if keep_state:
                    self._calls.state = call.state
                return read(call.copy) if read is not None else None
            except ValueError as e:
                raise self._owner.error(name, f"its answer cannot be read: {e}") from e
            finally:
                self._calls.end(call)


def load_native(
    checked: CheckedPlugin,
    services: Mapping[str, Service],
    config: Mapping[str, object],
    number: int,
    loaded: Callable[[], object] = lambda: None,
    failed: Callable[[PluginError], object] | None = None,
) -> NativeGeneration:
    """Load a checked plugin and start it; whole or not at all.

    `services` are those that are there, by contract id; `config` has passed the manifest's schema; `loaded` is called
    when its code is there, before it is started, and `failed` with each failure of a call.
    """
    generation = NativeGeneration(checked, number, config, failed)
    try:
        generation.load(services)
        loaded()
        generation.start()
    except BaseException:
        generation.close()
        raise
    return generation
