"""The registry: which plugins there are, in which versions, and which were left out and why.

A folder is scanned for manifests in itself and in its immediate subfolders; a manifest can be named by its path, and
installed Python distributions bring plugins too (installed.py). A plugin that cannot be read is left out with its
reason and never hides the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from latebind.errors import LatebindError, ManifestError, NotFound, Problem, SystemFailure, Tried
from latebind.plugin.installed import installed_manifests
from latebind.plugin.manifest import Manifest, find_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Rejected:
    """A manifest that was left out, and why."""

    path: str
    error: LatebindError


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one scan found. `left_out` are plugins that a host could not load at once, by id (activation "start")."""

    found: tuple[Manifest, ...]
    rejected: tuple[Rejected, ...]
    left_out: Mapping[str, LatebindError] = field(default_factory=dict)


class Registry:
    """All known plugins by id, each with its versions, newest first."""

    def __init__(self) -> None:
        self._plugins: dict[str, list[Manifest]] = {}
        self._ids: dict[str, str] = {}  # by the manifest's path

    def discover(self, *places: str | os.PathLike[str], installed: bool = False) -> Discovery:
        """Scan folders, and read manifests that are given by their path; with `installed`, those of entry points too.

        What is there is added. A folder or file that does not exist, or a folder that cannot be listed, raises.
        """
        found: list[Manifest] = []
        rejected: list[Rejected] = []
        for place, read in _candidates([os.fspath(p) for p in places], installed=installed):
            try:
                manifest = read()
                self.add(manifest)
            except LatebindError as e:
                rejected.append(Rejected(place, e))
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
        before = self._ids.get(manifest.path, manifest.id)
        if before != manifest.id:
            self._plugins[before] = [m for m in self._plugins[before] if m.path != manifest.path]
        self._ids[manifest.path] = manifest.id
        self._plugins[manifest.id] = sorted([*versions, manifest], key=lambda m: m.version, reverse=True)

    def versions(self, plugin: str) -> tuple[Manifest, ...]:
        """The known versions of a plugin, newest first; none for an unknown id."""
        return tuple(self._plugins.get(plugin, ()))

    def providers(self, contract: str) -> tuple[Manifest, ...]:
        """The plugins that provide a contract, by id, newest version first."""
        return tuple(m for m in self if any(p.contract == contract for p in m.provides))

    def plugins(self) -> tuple[tuple[Manifest, ...], ...]:
        """The versions of each plugin, newest first, by id."""
        return tuple(tuple(self._plugins[plugin]) for plugin in sorted(self._plugins) if self._plugins[plugin])

    def __iter__(self) -> Iterator[Manifest]:
        return (m for plugin in sorted(self._plugins) for m in self._plugins[plugin])


def _candidates(places: Iterable[str], *, installed: bool) -> Iterator[tuple[str, Callable[[], Manifest]]]:
    """(Where a manifest is, what reads it) for everything that was asked for."""
    for place in places:
        for path in (place,) if os.path.isfile(place) else _manifests(place):
            yield path, partial(read_manifest, path)
    if installed:
        yield from installed_manifests()


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
