"""How `latebind plugin run` and `check` find what a command line means: the plugin, its neighbours, its contracts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from latebind.cli.definitions import contract_classes
from latebind.errors import NotFound, Tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.plugin import Manifest
    from latebind.sandbox import Policy

_NEIGHBOURS: Final = ("contract.py", "contracts.py")

in_places = click.option("--dir", "-d", "places", multiple=True, metavar="DIR", envvar="LATEBIND_PLUGINS",
                         type=click.Path(),
                         help="Where to look for the plugin by its ID (default: here), and for the plugins that it "
                              "requires. Can be repeated.")  # fmt: skip


def manifest_in(place: str, places: Sequence[str] = ()) -> Manifest:
    """The manifest in the folder `place`, the manifest file itself, or the newest plugin of that id in `places`."""
    from latebind.plugin import Registry, read_manifest
    from latebind.plugin.manifest import find_manifest

    if os.path.isfile(place):
        return read_manifest(place)
    path = find_manifest(place) if os.path.isdir(place) else None
    if path is not None:
        return read_manifest(path)
    tried = [Tried(place, "has no plugin.yaml, plugin.json or plugin.toml")] if os.path.isdir(place) else []
    if os.sep not in place and "." in place.strip("."):
        registry = Registry()
        looked = registry.discover(*(places or (".",)))
        for manifest in registry.versions(place):
            return manifest
        known = ", ".join(sorted({m.id for m in looked.found})) or "no plugin"
        tried += [Tried(where, f"has {known}") for where in [", ".join(places) or "."]]
        tried += [Tried(r.path, f"was left out: {r.error}") for r in looked.rejected]
    elif not tried:
        tried = [Tried(place, "is no folder, no file and no plugin's id")]
    raise NotFound(f"a plugin: {place}" if not os.path.isdir(place) else f"a manifest in {place}", None, tuple(tried))


def contracts_beside(manifest: Manifest) -> list[type]:
    """The contract classes in contract.py or contracts.py, in the plugin's folder or the one above.

    They are of this plugin if it provides or requires one of them. The file is executed.
    """
    from latebind.contracts import contract_of

    wanted = {p.contract for p in manifest.provides} | {r.id for r in manifest.requires if r.kind == "contract"}
    for folder in (manifest.folder, os.path.dirname(os.path.abspath(manifest.folder))):
        for name in _NEIGHBOURS:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                found = [cls for cls in contract_classes(path) if contract_of(cls).id in wanted]
                if found:
                    return found
    return []


def as_declared(manifest: Manifest, places: Sequence[str] = ()) -> Policy:
    """The policy of someone who grants a plugin, and those in `places`, exactly what their manifests declare."""
    from latebind.plugin import Registry
    from latebind.sandbox import Policy

    manifests = [manifest, *(Registry().discover(*places).found if places else ())]
    grants = {m.id: [str(c) for c in m.capabilities] for m in reversed(manifests)}
    return Policy(grants=grants, inline=list(grants))
