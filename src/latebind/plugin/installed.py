"""Plugins in installed Python distributions: entry points of the group `latebind.plugins`.

An entry point's name is the plugin's id, its value the package in whose folder the manifest lies:

    [project.entry-points."latebind.plugins"]
    "acme.tokenizer" = "acme_tokenizer"

Packages are located and not imported: to look for plugins executes none of their code. The folder of a Python plugin
is a package without `__init__.py` (a namespace package), as that of any Python plugin (pykind.py).
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from latebind.errors import ManifestError, NotFound, Problem, Tried
from latebind.plugin.manifest import Manifest, find_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import EntryPoint

GROUP: Final = "latebind.plugins"


def installed_manifests() -> Iterator[tuple[str, Callable[[], Manifest]]]:
    """For each entry point, by name: where it comes from in words, and what reads its manifest or raises why not."""
    from importlib.metadata import entry_points

    # The same distribution can be on the path twice; Python imports from the first.
    unique = {(p.name, p.value): p for p in reversed(tuple(entry_points(group=GROUP)))}
    for _, point in sorted(unique.items()):
        yield _place(point), partial(_read, point)


def _place(point: EntryPoint) -> str:
    where = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return f"entry point {point.name} = {point.value}{where}"


def _read(point: EntryPoint) -> Manifest:
    """The manifest that an entry point names. Raises `NotFound`, `ManifestError`, `SystemFailure`."""
    place = _place(point)
    if not all(part.isidentifier() for part in point.value.split(".")):
        raise ManifestError(place, (Problem("", f"expected the name of a package, not {point.value!r}"),))
    tried: list[Tried] = []
    for folder in _folders(point.value):
        path = find_manifest(folder)
        if path is not None:
            manifest = read_manifest(path)
            if manifest.id != point.name:
                raise ManifestError(path, (Problem("id", f"expected {point.name}, as its {place}"),))
            return manifest
        tried.append(Tried(folder, "has no plugin.yaml, plugin.json or plugin.toml"))
    raise NotFound(f"the manifest of {place}", None, tuple(tried) or (Tried(point.value, "is no package"),))


def _folders(package: str) -> tuple[str, ...]:
    """The folders of a package; none where it is not there or no package."""
    from importlib.util import find_spec

    top, *rest = package.split(".")
    try:
        spec = find_spec(top)  # of a top-level name, this imports nothing
    except ValueError:  # a module that was put into sys.modules by hand
        return ()
    if spec is None or spec.submodule_search_locations is None:
        return ()
    folders = (os.path.abspath(os.path.join(folder, *rest)) for folder in spec.submodule_search_locations)
    return tuple(folder for folder in folders if os.path.isdir(folder))
