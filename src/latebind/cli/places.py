"""How `latebind plugin run` and `check` find what a command line means: the plugin, its neighbours, its contracts."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import click

from latebind.cli.definitions import contract_classes
from latebind.errors import NotFound, Tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.plugin import Manifest
    from latebind.sandbox import Policy

_FILE: Final = re.compile(r"(\w+_)?contracts?\.py")
_LEVELS: Final = 3

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
    """The contract classes in the nearest contract.py, contracts.py or …_contract(s).py that are the plugin's.

    Nearest to its folder: there, above it, or above that. Only a file that has the id of a contract that the plugin
    provides is executed.
    """
    from latebind.contracts import contract_of

    provided = {p.contract for p in manifest.provides}
    wanted = provided | {r.id for r in manifest.requires if r.kind == "contract"}
    folder = os.path.abspath(manifest.folder)
    for _ in range(_LEVELS):
        for name in sorted(filter(names_contracts, os.listdir(folder))):
            path = os.path.join(folder, name)
            if _mentions(path, provided):
                found = [cls for cls in contract_classes(path) if contract_of(cls).id in wanted]
                if found:
                    return found
        folder = os.path.dirname(folder)
    return []


def names_contracts(file: str) -> bool:
    """Whether a file's name says that contracts are in it: only such files are looked into."""
    return _FILE.fullmatch(file) is not None


def _mentions(path: str, ids: set[str]) -> bool:
    """Whether the text of a file has one of the ids in quotes."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return False  # a folder of that name, or no source of Python
    return any(f"{quote}{name}{quote}" in text for name in ids for quote in "\"'")


def as_declared(manifest: Manifest, places: Sequence[str] = ()) -> Policy:
    """The policy of someone who grants a plugin, and those in `places`, exactly what their manifests declare."""
    from latebind.plugin import Registry
    from latebind.sandbox import Policy

    manifests = [manifest, *(Registry().discover(*places).found if places else ())]
    grants = {m.id: [str(c) for c in m.capabilities] for m in reversed(manifests)}
    return Policy(grants=grants, inline=list(grants))
