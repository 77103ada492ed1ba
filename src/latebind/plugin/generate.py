"""One generation of a plugin, made: its files copied to the store, checked, loaded and started. Native or Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.errors import ContractError, LifecycleError, ManifestError
from latebind.plugin.check import Surroundings, check_native
from latebind.plugin.native import load_native
from latebind.plugin.pykind import check_claim, load_python
from latebind.plugin.schema import problems, with_defaults
from latebind.plugin.signing import check_signature
from latebind.sandbox import check_declared, require_inline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.store import Store, Stored
    from latebind.sandbox import Policy, TrustedKey


@dataclass(frozen=True, slots=True)
class Staged:
    """A plugin's copy in the store, and who signed it, if anybody whom the policy trusts did."""

    stored: Stored
    signer: TrustedKey | None


def stage(manifest: Manifest, policy: Policy, store: Store) -> Staged:
    """Copy a plugin's files to the store, and look at their signature there."""
    require_inline(manifest.id, policy)
    if manifest.is_python:
        stored = store.put_tree(manifest.folder)
        return Staged(stored, check_signature(manifest, policy, copy=stored.path))
    stored = store.put_plugin(manifest.folder, manifest.entry)
    return Staged(stored, check_signature(manifest, policy, copied=stored.files))


def generate(
    manifest: Manifest,
    staged: Staged,
    around: Surroundings,
    config: Mapping[str, object],
    number: int,
    loaded: Callable[[], object] = lambda: None,
) -> Generation:
    """Check and load what `stage` copied, and start it; whole or not at all.

    `loaded` is called when the code is there, before it is started.
    """
    filled = checked_config(manifest, config)
    if not manifest.is_python:
        checked = check_native(manifest, staged.stored, around)
        return load_native(checked, around.services, filled, number, loaded)
    check_declared(manifest.id, manifest.capabilities, around.policy)
    for contract in around.contracts:
        check_claim(manifest, contract)
    if around.policy.require_sha256 and staged.signer is None:  # a signature holds the sha256 of every file
        what = "the policy requires a sha256, which a Python plugin can only have in a trusted signature"
        raise ContractError(manifest.id, what)
    return load_python(manifest, staged.stored, around.services, around.contracts, filled, number, loaded)


def check_same(manifest: Manifest, staged: Staged, whole: str | None) -> None:
    """Raise `LifecycleError` unless the copy is what was on probation (None: nothing was)."""
    if whole is not None and staged.stored.whole != whole:
        why = "its files changed while they were tried out; what is there now was not"
        raise LifecycleError(manifest.id, "reload", why)


def checked_config(manifest: Manifest, config: Mapping[str, object]) -> dict[str, object]:
    """The configuration with its defaults. Raises `ManifestError` with every problem."""
    schema = manifest.config if manifest.config is not None else {"type": "object", "additionalProperties": False}
    found = problems(dict(config), schema)
    if found:
        raise ManifestError(f"the configuration of {manifest}", tuple(found))
    filled = with_defaults(dict(config), schema)
    assert isinstance(filled, dict)
    return filled
