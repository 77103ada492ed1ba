"""The registry: which plugins there are, in which versions, and which were left out and why.

A folder is scanned for manifests in itself and in its immediate subfolders. A plugin that cannot be read is left out
with its reason and never hides the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latebind.errors import LatebindError, ManifestError, NotFound, Problem, SystemFailure, Tried
from latebind.plugin.manifest import FILE_NAMES, Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Rejected:
    """A manifest that was left out, and why."""

    path: str
    error: LatebindError


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one scan found."""

    found: tuple[Manifest, ...]
    rejected: tuple[Rejected, ...]


class Registry:
    """All known plugins by id, each with its versions, newest first."""

    def __init__(self) -> None:
        self._plugins: dict[str, list[Manifest]] = {}

    def discover(self, *folders: str | os.PathLike[str]) -> Discovery:
        """Scan folders and add what is there. A folder that does not exist or cannot be listed raises."""
        found: list[Manifest] = []
        rejected: list[Rejected] = []
        for folder in folders:
            for path in _manifests(os.fspath(folder)):
                try:
                    manifest = read_manifest(path)
                    self.add(manifest)
                except LatebindError as e:
                    rejected.append(Rejected(path, e))
                else:
                    found.append(manifest)
        return Discovery(tuple(found), tuple(rejected))

    def add(self, manifest: Manifest) -> None:
        """Add a plugin; the same file again replaces what it said before.

        The same id and version from another place raises `ManifestError`: which of the two is meant, nobody knows.
        """
        versions = [m for m in self._plugins.get(manifest.id, []) if m.path != manifest.path]
        twin = next((m for m in versions if m.version == manifest.version), None)
        if twin is not None:
            raise ManifestError(manifest.path, (Problem("version", f"{manifest} is already known from {twin.path}"),))
        for known in self._plugins.values():
            known[:] = [m for m in known if m.path != manifest.path]
        self._plugins[manifest.id] = sorted([*versions, manifest], key=lambda m: m.version, reverse=True)

    def versions(self, plugin: str) -> tuple[Manifest, ...]:
        """The known versions of a plugin, newest first; none for an unknown id."""
        return tuple(self._plugins.get(plugin, ()))

    def providers(self, contract: str) -> tuple[Manifest, ...]:
        """The plugins that provide a contract, by id, newest version first."""
        return tuple(m for m in self if any(p.contract == contract for p in m.provides))

    def __iter__(self) -> Iterator[Manifest]:
        return (m for plugin in sorted(self._plugins) for m in self._plugins[plugin])


def find_manifest(folder: str) -> str | None:
    """The path of a folder's manifest, or None."""
    return next((p for name in FILE_NAMES if os.path.isfile(p := os.path.join(folder, name))), None)


def _manifests(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            subfolders = sorted(entry.path for entry in entries if entry.is_dir())
    except FileNotFoundError as e:
        raise NotFound(folder, None, (Tried(folder, "no such folder"),)) from e
    except OSError as e:
        raise SystemFailure("scandir", e.errno or 0, folder) from e
    for place in (folder, *subfolders):
        path = find_manifest(place)
        if path is not None:
            yield path
