"""Kinds of plugins: by its entry, who copies a plugin to the store, and who checks, loads and starts it.

Whatever a plugin is written in, the contract, the proxy, services, state and reloads are the same: a kind makes a
`Generation` (generation.py) of it. A host may be given more kinds: `Host(kinds=[…])`; they are asked first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from latebind.errors import ContractError, Unsupported
from latebind.plugin.check import Surroundings, check_native
from latebind.plugin.native import load_native
from latebind.plugin.pykind import check_claim, load_python
from latebind.plugin.signing import check_signature
from latebind.sandbox import check_declared, require_inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from latebind.errors import PluginError
    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.store import Store, Stored
    from latebind.sandbox import Policy, TrustedKey


@dataclass(frozen=True, slots=True)
class Staged:
    """A plugin's copy in the store, and who signed it, if anybody whom the policy trusts did."""

    stored: Stored
    signer: TrustedKey | None


@dataclass(frozen=True, slots=True)
class Making:
    """One generation that is to be made.

    `around` holds the host's contracts, the services that are there for it, and the policy; `config` has passed the
    manifest's schema. `loaded` is to be called when the code is there, before it is started, and `failed` with each
    error of a call that is the plugin's doing, before it is raised.
    """

    manifest: Manifest
    staged: Staged
    around: Surroundings
    config: Mapping[str, object]
    number: int
    loaded: Callable[[], object] = lambda: None
    failed: Callable[[PluginError], object] = lambda _: None


class Kind(Protocol):
    """What a host does with the plugins of one kind."""

    @property
    def name(self) -> str:
        """What it is called, for people."""
        ...

    def claims(self, entry: str) -> bool:
        """Whether a manifest's entry is of this kind."""
        ...

    def stage(self, manifest: Manifest, policy: Policy, store: Store) -> Staged:
        """Copy the files to the store, and look at their signature there. What is loaded must be the copy."""
        ...

    def make(self, making: Making) -> Generation:
        """Check, load and start it; whole or not at all."""
        ...


class NativeKind:
    """A shared object: any file that no other kind claims."""

    name = "native"

    def claims(self, entry: str) -> bool:
        """Whether it is a file."""
        return ":" not in entry

    def stage(self, manifest: Manifest, policy: Policy, store: Store) -> Staged:
        """The entry, and the libraries beside it."""
        require_inline(manifest.id, policy)
        stored = store.put_plugin(manifest.folder, manifest.entry)
        return Staged(stored, check_signature(manifest, policy, copied=stored.files))

    def make(self, making: Making) -> Generation:
        """By our linker."""
        checked = check_native(making.manifest, making.staged.stored, making.around)
        return load_native(checked, making.around.services, making.config, making.number, making.loaded, making.failed)


class PythonKind:
    """A class: `package.module:Class`."""

    name = "python"

    def claims(self, entry: str) -> bool:
        """Whether it names a class."""
        return ":" in entry

    def stage(self, manifest: Manifest, policy: Policy, store: Store) -> Staged:
        """The whole folder."""
        require_inline(manifest.id, policy)
        stored = store.put_tree(manifest.folder)
        return Staged(stored, check_signature(manifest, policy, copy=stored.path))

    def make(self, making: Making) -> Generation:
        """By import."""
        manifest, around = making.manifest, making.around
        check_declared(manifest.id, manifest.capabilities, around.policy)
        for contract in around.contracts:
            check_claim(manifest, contract)
        if around.policy.require_sha256 and making.staged.signer is None:  # a signature holds the sha256 of every file
            what = "the policy requires a sha256, which a Python plugin can only have in a trusted signature"
            raise ContractError(manifest.id, what)
        return load_python(
            manifest, making.staged.stored, around.services, around.contracts, making.config, making.number,
            making.loaded, making.failed,
        )  # fmt: skip


class WasmKind:
    """A WebAssembly module, which this version cannot run."""

    name = "wasm"

    def claims(self, entry: str) -> bool:
        """By its suffix."""
        return entry.endswith(".wasm")

    def stage(self, manifest: Manifest, policy: Policy, store: Store) -> Staged:
        """Raises `Unsupported`."""
        del policy, store
        raise _no_wasm(manifest)

    def make(self, making: Making) -> Generation:
        """Raises `Unsupported`."""
        raise _no_wasm(making.manifest)


def _no_wasm(manifest: Manifest) -> Unsupported:
    return Unsupported(
        f"plugin {manifest}",
        f"{manifest.entry} is WebAssembly, which this version does not run",
        "compile its source to a shared object, or give the host a kind that runs it: Host(kinds=[…])",
    )


BUILT_IN: Final[tuple[Kind, ...]] = (PythonKind(), WasmKind(), NativeKind())


def kind_of(manifest: Manifest, kinds: Iterable[Kind] = ()) -> Kind:
    """The kind of a plugin; `kinds` are asked before those that are built in."""
    return next(kind for kind in (*kinds, *BUILT_IN) if kind.claims(manifest.entry))


def check_built_in(manifest: Manifest, kinds: Iterable[Kind]) -> None:
    """Raise `Unsupported` for a plugin of a kind that another process does not know."""
    kind = kind_of(manifest, kinds)
    if kind not in BUILT_IN:
        what = f"a plugin of the kind {kind.name} cannot be tried out in a process of its own"
        raise Unsupported(f"plugin {manifest}", what, "reload it without probation")
