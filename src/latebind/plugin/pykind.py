"""A Python plugin, loaded: an instance of the class that its entry names (`module:Class`).

The class implements its contracts itself and is made with what its constructor asks for (injection.py). It may have
`lb_save()` → bytes, `lb_restore(schema, state)` and `lb_fini()`, which mean what they mean for a native plugin. Each
generation is imported from a copy of the plugin's folder, under names of its own, so two of them stand side by side.
"""

from __future__ import annotations

import importlib
import itertools
import os
import re
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from latebind.contracts import Contract, Method, Owner, compatible, contract_of
from latebind.errors import ContractError, LatebindError, LifecycleError, PluginError, VersionConflict
from latebind.plugin.generation import Invoke, Saved
from latebind.plugin.injection import arguments
from latebind.plugin.pycalls import PythonCalls, run
from latebind.plugin.services import Service, check_implements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from latebind.plugin.manifest import Manifest
    from latebind.plugin.store import Stored

T = TypeVar("T")
_numbers: Final = itertools.count(1)


class PluginContext:
    """What a Python plugin is given: its configuration, and the services that its manifest requires."""

    def __init__(self, plugin: str, config: Mapping[str, object], services: Mapping[str, Service]) -> None:
        self.plugin = plugin
        self.config = config
        self._services = services

    def service(self, contract: Callable[..., T]) -> T:
        """The service that answers to a contract class. Raises `LifecycleError` if the manifest does not require it."""
        wanted = contract_of(contract).id
        if wanted not in self._services:
            raise LifecycleError(
                self.plugin, f"use {wanted}", "its manifest does not require it, or it is optional and absent"
            )
        implementation: Any = self._services[wanted].implementation
        return implementation  # type: ignore[no-any-return]


class PythonGeneration:
    """One loaded generation of a Python plugin. Made by `load_python`."""

    def __init__(
        self,
        manifest: Manifest,
        number: int,
        config: Mapping[str, object],
        failed: Callable[[PluginError], object] | None = None,
    ) -> None:
        self.manifest = manifest
        self.number = number
        self.config = config
        self._owner = Owner(manifest.id, str(manifest.version))
        self._provided = {p.contract: p.version for p in manifest.provides}
        self._package = f"_latebind_plugin_{next(_numbers)}_{re.sub('[^a-z0-9]', '_', manifest.id)}"
        self._instance: Any = None
        serial: AbstractContextManager[Any] = nullcontext() if manifest.parallel else threading.RLock()
        self._calls = PythonCalls(replace(self._owner, tell=failed), serial)

    def load(self, folder: str) -> Callable[..., object]:
        """Import the module from `folder`; the class that the entry names."""
        return self._import(folder)

    def start(
        self,
        cls: Callable[..., object],
        services: Mapping[str, Service],
        contracts: Sequence[Contract],
    ) -> None:
        """Make the class."""
        required = {r.id for r in self.manifest.requires}
        there = {k: v for k, v in services.items() if k in required}
        given = arguments(cls, self.manifest, PluginContext(self.manifest.id, self.config, there), there)
        self._instance = self._run("__init__", lambda: cls(**given))
        for contract in contracts:
            if contract.id in self._provided:
                self.check_contract(contract)

    def check_contract(self, contract: Contract) -> None:
        """Version by the manifest's word; with equal versions the class must have every method."""
        check_claim(self.manifest, contract)
        if self._provided[contract.id] == contract.version:
            check_implements(contract, self._instance, "the plugin's class")

    def bind(self, contract: Contract, method: Method, proxy: object) -> Invoke:
        """The instance's method, with its arguments and its result held to the contract."""
        return self._calls.bind(contract, method, self._instance, proxy)

    def direct(self, contract: Contract, method: Method) -> None:  # noqa: ARG002 - as every kind has it
        """It has no C functions."""
        return

    def save(self) -> Saved | None:
        """What the plugin's lb_save answers, or None without one."""
        function = getattr(self._instance, "lb_save", None)
        if function is None:
            return None
        data = self._run("lb_save", function)
        if not isinstance(data, bytes):
            raise self._owner.error("lb_save", f"it answered {type(data).__name__}, expected bytes")
        return Saved(self.manifest.state_schema or 0, data)

    def restore(self, saved: Saved) -> None:
        """Hand a state to the plugin's lb_restore."""
        function = getattr(self._instance, "lb_restore", None)
        if function is None:
            raise self._owner.error("lb_restore", "the plugin does not have it, so it cannot take over the state")
        self._run("lb_restore", lambda: function(saved.schema, saved.data))

    def selftest(self) -> bool:
        """Run the plugin's lb_selftest, if it has one."""
        function = getattr(self._instance, "lb_selftest", None)
        if function is not None:
            self._run("lb_selftest", function)
        return function is not None

    def lasting(self) -> tuple[str, ...]:
        """Nothing that latebind knows of: modules go when nobody refers to them."""
        return ()

    def stop(self) -> list[LatebindError]:
        """Close what is open and run the plugin's lb_fini."""
        problems = self._calls.close_all()
        instance, self._instance = self._instance, None
        finish = getattr(instance, "lb_fini", None)
        if finish is not None:
            try:
                self._run("lb_fini", finish)
            except PluginError as e:
                problems.append(e)
        return problems

    def close(self) -> list[LatebindError]:
        """Stop, then forget its modules."""
        problems = self.stop()
        for name in [n for n in sys.modules if n == self._package or n.startswith(self._package + ".")]:
            del sys.modules[name]
        return problems

    def _import(self, folder: str) -> Callable[..., object]:
        """The entry's class. The folder becomes a package of an unused name, so that its modules find each other."""
        module_name, _, class_name = self.manifest.entry.partition(":")
        package = ModuleType(self._package)
        package.__path__ = [folder]
        sys.modules[self._package] = package
        if os.path.exists(os.path.join(folder, "__init__.py")):
            what = "the plugin's folder is a package itself; put its modules beside the manifest"
            raise ContractError(self.manifest.id, what)
        importlib.invalidate_caches()  # the folder has just appeared; a finder may remember its parent without it
        module = self._run("import", lambda: importlib.import_module(f"{self._package}.{module_name}"))
        cls = getattr(module, class_name, None)
        if not isinstance(cls, type):
            raise ContractError(self.manifest.id, f"{module_name} has no class {class_name}")
        return cls

    def _run(self, method: str, function: Callable[[], Any]) -> Any:
        return run(self._owner, method, function)


def check_claim(manifest: Manifest, contract: Contract) -> None:
    """A Python class carries no note: the manifest's word is all there is. Raises `VersionConflict`."""
    for provided in manifest.provides:
        why = compatible(provided.version, contract.version) if contract.id == provided.contract else None
        if why is not None:
            text = (
                f"plugin {manifest} implements {contract.id} {provided.version}, the host has {contract.version}: {why}"
            )
            raise VersionConflict(text, (f"the host uses {contract.id} {contract.version}",))


def load_python(
    manifest: Manifest,
    stored: Stored,
    services: Mapping[str, Service],
    contracts: Sequence[Contract],
    config: Mapping[str, object],
    number: int,
    loaded: Callable[[], object] = lambda: None,
    failed: Callable[[PluginError], object] | None = None,
) -> PythonGeneration:
    """Import a Python plugin from its copy in the store and make its class; whole or not at all.

    `loaded` is called when its code is there, before the class is made; `failed` with each failure of a call.
    """
    generation = PythonGeneration(manifest, number, config, failed)
    try:
        cls = generation.load(stored.path)
        loaded()
        generation.start(cls, services, contracts)
    except BaseException:
        generation.close()
        raise
    return generation
