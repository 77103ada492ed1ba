"""Signed plugins: `plugin.sig` beside the manifest, a signed statement of the SHA-256 of every file in the folder.

It covers the manifest and what the entry may load from its folder, so it serves Python plugins of many files too. A
file that is missing, changed or not in the statement is refused: an added module or library could take the place of
a signed one. Byte code is left out: what is loaded is a copy without it (store.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import ManifestError, NotTrusted, Problem, SystemFailure
from latebind.plugin.documents import read_document
from latebind.plugin.manifest import manifest_from
from latebind.plugin.schema import problems
from latebind.sandbox import public_bytes, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from latebind.plugin.manifest import Manifest
    from latebind.sandbox import Policy, PrivateKey, TrustedKey, TrustStore

SIGNATURE_NAME: Final = "plugin.sig"
_CONTEXT: Final = b"latebind plugin signature 1\n"  # so that nothing else that the key signs can pass for one

_SCHEMA: Final[dict[str, Any]] = {
    "type": "object", "additionalProperties": False,
    "required": ["schema", "id", "version", "files", "key", "signature"],
    "properties": {
        "schema": {"const": 1},
        "id": {"type": "string"},
        "version": {"type": "string"},
        "files": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        "key": {"type": "string", "format": "key"},
        "signature": {"type": "string"},
    },
}  # fmt: skip
_FORMATS: Final[Mapping[str, Callable[[str], object]]] = {"key": public_bytes}


@dataclass(frozen=True, slots=True)
class Signature:
    """What `plugin.sig` says: which plugin, the SHA-256 of each file by its path in the folder, and who signed it."""

    id: str
    version: str
    files: Mapping[str, str]
    key: str
    signature: str

    @property
    def message(self) -> bytes:
        """The bytes that are signed: a line that says what this is, then JSON with sorted keys and no blanks."""
        return _message(self.id, self.version, self.files)


def sign_plugin(manifest: Manifest, key: PrivateKey) -> str:
    """Sign everything in the plugin's folder as it is now, and write `plugin.sig`; returns its path.

    Raises `NotTrusted` for what a signature cannot cover, `SystemFailure` if a file cannot be read or written.
    """
    if not manifest.is_python and not os.path.isfile(manifest.entry_path):
        raise NotTrusted(manifest.id, (Problem(manifest.entry, "is not there: build it before signing"),))
    files = digests(manifest.id, manifest.folder)
    version = str(manifest.version)
    document = {
        "schema": 1, "id": manifest.id, "version": version, "files": files, "key": key.public,
        "signature": key.sign(_message(manifest.id, version, files)),
    }  # fmt: skip
    path = os.path.join(manifest.folder, SIGNATURE_NAME)
    draft = f"{path}.{os.getpid()}"
    try:
        with open(draft, "x", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
        os.replace(draft, path)
    except OSError as e:
        raise SystemFailure("write a signature", e.errno or 0, path) from e
    finally:
        if os.path.exists(draft):
            os.unlink(draft)
    return path


def is_signed(folder: str) -> bool:
    """Whether there is a signature, good or bad."""
    return os.path.lexists(os.path.join(folder, SIGNATURE_NAME))


def read_signature(folder: str) -> Signature:
    """Read a folder's `plugin.sig`. Raises `NotFound`, `SystemFailure`, or `ManifestError` with every problem."""
    path = os.path.join(folder, SIGNATURE_NAME)
    if os.path.lexists(path) and not os.path.isfile(path):  # a pipe would keep us for ever
        raise ManifestError(path, (Problem("", "expected a regular file"),))
    document = read_document(path, ".json")
    found = problems(document, _SCHEMA, _FORMATS)
    if found or not isinstance(document, dict):
        raise ManifestError(path, tuple(found))
    return Signature(document["id"], document["version"], document["files"], document["key"], document["signature"])


def verify_plugin(manifest: Manifest, trust: TrustStore, folder: str | None = None) -> tuple[Signature, TrustedKey]:
    """The plugin's signature and the trusted key that made it; `folder` is a copy to look at instead of its own.

    Raises `NotTrusted` with everything that is wrong: an unknown key, a signature that does not match, each file that
    is missing, changed or added. And `ManifestError` for a broken `plugin.sig`.
    """
    folder = folder if folder is not None else manifest.folder
    if not is_signed(folder):
        raise NotTrusted(manifest.id, (Problem(SIGNATURE_NAME, "is missing: the plugin is not signed"),))
    signature = read_signature(folder)
    trusted = _check_signer(manifest, signature, trust)
    found = list(_differences(signature.files, digests(manifest.id, folder)))
    name = os.path.basename(manifest.path)
    if not found and not _says(os.path.join(folder, name), manifest):
        found.append(Problem(name, "has changed since it was read"))
    if found:
        raise NotTrusted(manifest.id, tuple(found))
    return signature, trusted


def check_signature(
    manifest: Manifest, policy: Policy, copy: str | None = None, copied: Mapping[str, str] | None = None
) -> TrustedKey | None:
    """Who signed a plugin that is to be loaded; None where it is not signed and the policy does not mind.

    `copy` is the folder that is loaded, where that is a copy of the plugin's own; `copied` the SHA-256 of each file
    that was copied out of it, by its path there.
    Without trusted keys a signature says nothing and is not looked at, unless the policy requires one. Raises as
    `verify_plugin`.
    """
    folder = copy if copy is not None else manifest.folder
    if not policy.require_signature and not (policy.trust.keys and is_signed(folder)):
        return None
    signature, trusted = verify_plugin(manifest, policy.trust, folder)
    other = [name for name, sha256 in (copied or {}).items() if signature.files.get(name) != sha256]
    if other:
        raise NotTrusted(manifest.id, tuple(Problem(name, "is not the file that was signed") for name in other))
    return trusted


def _check_signer(manifest: Manifest, signature: Signature, trust: TrustStore) -> TrustedKey:
    if (signature.id, signature.version) != (manifest.id, str(manifest.version)):
        what = f"is for {signature.id} {signature.version}, not {manifest}"
        raise NotTrusted(manifest.id, (Problem(SIGNATURE_NAME, what),))
    trusted = trust.signer(manifest.id, signature.key)
    if trusted is None:
        what = f"is by {signature.key}, which is not trusted to sign {manifest.id}"
        raise NotTrusted(manifest.id, (Problem(SIGNATURE_NAME, what),))
    try:
        genuine = verify(signature.key, signature.signature, signature.message)
    except ValueError as e:
        raise NotTrusted(manifest.id, (Problem(f"{SIGNATURE_NAME}: signature", str(e)),)) from e
    if not genuine:
        what = f"does not match: it was changed, or not made with {signature.key}"
        raise NotTrusted(manifest.id, (Problem(SIGNATURE_NAME, what),))
    return trusted


def _message(plugin: str, version: str, files: Mapping[str, str]) -> bytes:
    statement = {"files": dict(files), "id": plugin, "version": version}
    return _CONTEXT + json.dumps(statement, sort_keys=True, separators=(",", ":")).encode("ascii")


def _says(path: str, manifest: Manifest) -> bool:
    """Whether the file at `path`, which was just found to be as signed, is the manifest in hand."""
    return manifest_from(read_document(path), manifest.path) == manifest


def _differences(signed: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted(signed.keys() | found.keys()):
        if name not in found:
            yield Problem(name, "was signed and is missing")
        elif name not in signed:
            yield Problem(name, "is not signed; a file that was added could take the place of a signed one")
        elif signed[name] != found[name]:
            yield Problem(name, f"has changed: its SHA-256 is {found[name]}, signed was {signed[name]}")


def digests(plugin: str, folder: str) -> dict[str, str]:
    """The SHA-256 of each file below the folder, by its path there."""
    found: dict[str, str] = {}
    try:
        for place, folders, files in os.walk(folder, onerror=_reraise):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in folders:
                if os.path.islink(os.path.join(place, name)):
                    what = "is a link to a folder, which a signature cannot cover"
                    raise NotTrusted(plugin, (Problem(os.path.relpath(os.path.join(place, name), folder), what),))
            for name in sorted(files):
                path = os.path.join(place, name)
                relative = os.path.relpath(path, folder)
                if relative != SIGNATURE_NAME and not name.endswith(".pyc"):
                    found[relative] = _digest(plugin, path, relative)
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, e.filename or folder) from e
    return found


def _digest(plugin: str, path: str, name: str) -> str:
    # Opened without waiting: a pipe would keep us for ever.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotTrusted(plugin, (Problem(name, "is no regular file, so a signature cannot cover it"),))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reraise(error: OSError) -> None:
    raise error
