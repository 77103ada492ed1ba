"""What has to go when one plugin fails: only what cannot do without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.plugin.manifest import Manifest
    from latebind.plugin.resolve import Resolution


def cannot_do_without(plugin: str, resolution: Resolution) -> frozenset[str]:
    """The plugins of a resolution that require `plugin`, directly or not, and not as optional; itself among them."""
    gone = {plugin}
    while True:
        more = {m.id for m in resolution.order if m.id not in gone and _needs(m, gone, resolution)}
        if not more:
            return frozenset(gone)
        gone |= more


def _needs(manifest: Manifest, gone: set[str], resolution: Resolution) -> bool:
    providers = resolution.providers[manifest.id]
    return any(
        not required.optional and (required.id if required.kind == "plugin" else providers.get(required.id)) in gone
        for required in manifest.requires
    )
