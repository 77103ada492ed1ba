"""One generation of a plugin, made: its files copied to the store, checked, loaded and started, by its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.errors import LifecycleError, ManifestError
from latebind.plugin.kinds import Kind, Making, Staged, kind_of
from latebind.plugin.schema import problems, with_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from latebind.errors import PluginError
    from latebind.plugin.check import Surroundings
    from latebind.plugin.generation import Generation
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.store import Store
    from latebind.sandbox import Policy


def stage(manifest: Manifest, policy: Policy, store: Store, kinds: Sequence[Kind] = ()) -> Staged:
    """Copy a plugin's files to the store, and look at their signature there. Raises `Unsupported`, `NotTrusted`."""
    return kind_of(manifest, kinds).stage(manifest, policy, store)


def generate(
    manifest: Manifest,
    staged: Staged,
    around: Surroundings,
    config: Mapping[str, object],
    number: int,
    loaded: Callable[[], object] = lambda: None,
    kinds: Sequence[Kind] = (),
    failed: Callable[[PluginError], object] = lambda _: None,
) -> Generation:
    """Check and load what `stage` copied, and start it; whole or not at all.

    `loaded` is called when the code is there, before it is started; `failed` with each failure of a call.
    """
    making = Making(manifest, staged, around, checked_config(manifest, config), number, loaded, failed)
    return kind_of(manifest, kinds).make(making)


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
