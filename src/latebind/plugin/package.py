"""Plugins as archives: packed into the folder of an index, installed from an index, removed.

An archive is a zip file of the plugin's folder. It is not trusted: only regular files below the folder are taken, each
once, up to a size. A plugin is installed by renaming a finished folder, so it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from latebind.contracts import Range, Version
from latebind.errors import LifecycleError, NotFound, NotTrusted, Problem, SystemFailure, Tried
from latebind.plugin.index import INDEX_NAME, Index, Published, download, read_index
from latebind.plugin.manifest import Manifest, find_manifest, read_manifest
from latebind.plugin.signing import SIGNATURE_NAME, digests, is_signed, verify_plugin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from latebind.sandbox import TrustStore

_LARGEST: Final = 1 << 31  # bytes of all files together
_MOST: Final = 10_000  # files


def pack_plugin(manifest: Manifest, folder: str) -> Published:
    """Write the plugin as `HASH.zip` into the folder of an index, and put it into `index.json` there.

    The same files make the same archive. Raises `LifecycleError` if the index has another build of this version.
    """
    names = sorted([*digests(manifest.id, manifest.folder), *([SIGNATURE_NAME] if is_signed(manifest.folder) else [])])
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="draft-", delete=False) as draft:
            try:
                _write_zip(draft, manifest.folder, names)
                return _publish(manifest, folder, draft.name)
            finally:
                if os.path.exists(draft.name):
                    os.unlink(draft.name)
    except OSError as e:
        raise SystemFailure("pack", e.errno or 0, e.filename or folder) from e


def install(index: Index, plugin: str, folder: str, *, version: str = "*", trust: TrustStore | None = None) -> Manifest:
    """Download the newest version in the range, verify it and put it below `folder`; returns its manifest there.

    With `trust`, a trusted key must have signed it. Raises `NotFound`, `SystemFailure`, `ManifestError`, `NotTrusted`
    for what is not what the index or the signature says, and `LifecycleError` if this version is installed already.
    """
    published = index.newest(plugin, Range.parse(version))
    target = os.path.join(folder, f"{published.id}-{published.version}")
    if os.path.lexists(target):
        raise LifecycleError(plugin, "install", f"{target} is there already; remove it first")
    try:
        os.makedirs(folder, exist_ok=True)
        # Below a folder that no scan looks into: a half-finished plugin must not be discovered.
        draft = tempfile.mkdtemp(dir=folder, prefix=".draft-")
        try:
            place = os.path.join(draft, "a", "plugin")
            os.makedirs(place)
            with tempfile.TemporaryFile(dir=draft) as archive:
                download(published, archive)
                _extract(published.id, archive, place)
            _check(published, place, trust)
            os.rename(place, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as e:
        raise SystemFailure("install", e.errno or 0, e.filename or folder) from e
    return read_manifest(find_manifest(target) or target)


def remove(plugin: str, folder: str, *, version: str = "*") -> tuple[str, ...]:
    """Remove the installed versions of a plugin within the range; returns their folders. Raises `NotFound`."""
    wanted, gone = Range.parse(version), []
    try:
        for installed, place in _installed(plugin, folder):
            if wanted.accepts(installed):
                draft = tempfile.mkdtemp(dir=folder, prefix=".draft-")
                os.rename(place, os.path.join(draft, "a"))  # it disappears at once
                shutil.rmtree(draft)
                gone.append(place)
    except OSError as e:
        raise SystemFailure("remove", e.errno or 0, e.filename or folder) from e
    if not gone:
        raise NotFound(f"plugin {plugin} {version}", None, (Tried(folder, "it is not installed there"),))
    return tuple(gone)


def _installed(plugin: str, folder: str) -> Iterator[tuple[Version, str]]:
    """The versions of a plugin that `install` put there, by the names of their folders: the contents may be broken."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(f"{plugin}-"):
            try:
                yield Version.parse(name.removeprefix(f"{plugin}-")), os.path.join(folder, name)
            except ValueError:  # another plugin, whose id begins alike
                continue


def _check(published: Published, place: str, trust: TrustStore | None) -> None:
    path = find_manifest(place)
    if path is None:
        raise NotTrusted(published.id, (Problem(published.archive, "has no manifest"),))
    manifest = read_manifest(path)
    if (manifest.id, manifest.version) != (published.id, published.version):
        raise NotTrusted(published.id, (Problem(published.archive, f"holds {manifest}, the index says {published}"),))
    if trust is not None:
        verify_plugin(manifest, trust)


def _write_zip(target: IO[bytes], folder: str, names: Iterable[str]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)  # of 1980, by default: the time of packing must not change the hash
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            with open(os.path.join(folder, name), "rb") as file:
                archive.writestr(info, file.read())
    target.flush()


def _publish(manifest: Manifest, folder: str, draft: str) -> Published:
    with open(draft, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    entry = {
        "id": manifest.id, "version": str(manifest.version), "summary": manifest.summary,
        "provides": [p.contract for p in manifest.provides],
        "archive": f"{sha256}.zip", "sha256": sha256, "size": os.path.getsize(draft),
    }  # fmt: skip
    path = os.path.join(folder, INDEX_NAME)
    entries = []
    if os.path.exists(path):
        known = read_index(path).plugins
        if any((p.id, p.version) == (manifest.id, manifest.version) and p.sha256 != sha256 for p in known):
            raise LifecycleError(manifest.id, "pack", f"{path} has another build of {manifest}; raise the version")
        with open(path, encoding="utf-8") as text:
            entries = json.load(text)["plugins"]
        entries = [e for e in entries if (e["id"], e["version"]) != (entry["id"], entry["version"])]
    os.chmod(draft, 0o644)
    os.replace(draft, os.path.join(folder, f"{sha256}.zip"))
    with open(f"{path}.draft", "w", encoding="utf-8") as text:
        text.write(json.dumps({"schema": 1, "plugins": [*entries, entry]}, indent=2) + "\n")
    os.replace(f"{path}.draft", path)
    return next(p for p in read_index(path).plugins if p.sha256 == sha256)


def _extract(plugin: str, source: IO[bytes], place: str) -> None:
    """Write the files of an archive below `place`. Raises `NotTrusted` for an archive that is broken or reaches out."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > _MOST or sum(m.file_size for m in members) > _LARGEST:
                raise NotTrusted(plugin, (Problem("the archive", f"has more than {_MOST} files or {_LARGEST} bytes"),))
            seen: set[str] = set()
            for member in members:
                _check_member(plugin, member, seen)
            for member in members:
                path = os.path.join(place, member.filename)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(member) as data, open(path, "xb") as target:
                    shutil.copyfileobj(data, target)  # zipfile gives no more than file_size, and checks the CRC
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as e:
        raise NotTrusted(plugin, (Problem("the archive", f"is no zip file that can be read: {e}"),)) from e


def _check_member(plugin: str, member: zipfile.ZipInfo, seen: set[str]) -> None:
    name, mode = member.orig_filename, member.external_attr >> 16
    parts = set(name.split("/"))
    if name != member.filename or os.path.isabs(name) or "\\" in name or not parts.isdisjoint({"", ".", ".."}):
        raise NotTrusted(plugin, (Problem(repr(name), "in the archive is no path within the plugin's folder"),))
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise NotTrusted(plugin, (Problem(repr(name), "in the archive is no regular file"),))
    if name in seen:
        raise NotTrusted(plugin, (Problem(repr(name), "is in the archive twice"),))
    seen.add(name)
