"""Whether the next generation of a plugin may take the place of the last: what others require of it must still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.errors import DependencyCycle, LifecycleError, VersionConflict
from latebind.plugin.resolve import needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from latebind.contracts import Contract
    from latebind.plugin.manifest import Manifest

    Providers = Mapping[str, Mapping[str, str]]
    """Plugin id → contract id → id of the plugin that provides it."""


def check_succession(
    old: Manifest, new: Manifest, users: Iterable[Manifest], providers: Providers, contracts: Iterable[Contract]
) -> None:
    """Raise unless `new` is the same plugin as `old`, and still what `users` and the host require of it.

    `users` are the loaded plugins that require it, `contracts` what the host uses. Raises `LifecycleError` or
    `VersionConflict`.
    """
    if new.id != old.id:
        raise LifecycleError(old.id, "reload", f"{new.path} is now the manifest of {new.id}")
    provided = {p.contract: p.version for p in new.provides}
    for user in users:
        for required in user.requires:
            by_id = required.kind == "plugin" and required.id == new.id
            version = new.version if by_id else provided.get(required.id)
            if version is not None and not required.range.accepts(version):
                raise VersionConflict(f"{new} does not fit {user.id}", (f"{user.id} requires {required}",))
            if version is None and providers[user.id].get(required.id) == new.id:
                why = (f"{user.id} requires {required}",)
                raise VersionConflict(f"{new} no longer provides {required.id}", why)
    lost = sorted(c.id for c in contracts if c.id in {p.contract for p in old.provides} - provided.keys())
    if lost:
        raise VersionConflict(f"{new} no longer provides {', '.join(lost)}", (f"the host uses {lost[0]}",))


def check_circle(
    manifest: Manifest, providers: Mapping[str, str], loaded: Mapping[str, Manifest], others: Providers
) -> None:
    """Raise `DependencyCycle` if a plugin, requiring from now on what `manifest` says, would require itself.

    `providers` are those of its contracts, `others` those of the plugins that are loaded.
    """
    pending = [[manifest.id, p] for p in needed(manifest, providers)]
    while pending:
        path = pending.pop()
        if path[-1] == manifest.id:
            raise DependencyCycle(tuple(path))
        if path[-1] in loaded:
            pending += [[*path, p] for p in needed(loaded[path[-1]], others[path[-1]])]
