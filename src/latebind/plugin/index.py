"""An index of plugins: `index.json` in a folder or on a web server, beside the archives that it names by their hash.

The index says which plugins there are, and of each archive the SHA-256 and the size. Nothing of it is believed: what is
downloaded must have that hash, and the plugin in it be the one that was asked for (package.py).
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from latebind.contracts import Range, Version
from latebind.errors import ManifestError, NotFound, NotTrusted, Problem, SystemFailure, Tried
from latebind.plugin.documents import parse_document
from latebind.plugin.schema import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INDEX_NAME: Final = "index.json"
LARGEST_ARCHIVE: Final = 1 << 30  # bytes
_LARGEST_INDEX: Final = 1 << 20  # bytes
_CHUNK: Final = 1 << 16
_TIMEOUT: Final = 30  # seconds that a server may be silent
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object", "required": ["schema", "plugins"], "additionalProperties": False,
    "properties": {
        "schema": {"const": 1},
        "plugins": {
            "type": "array",
            "items": {
                "type": "object", "required": ["id", "version", "archive", "sha256", "size"],
                "additionalProperties": False,
                "properties": {
                    "id": {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$", "maxLength": 200},
                    "version": {"type": "string", "format": "semver"},
                    "summary": {"type": "string"},
                    "provides": {"type": "array", "items": {"type": "string"}},
                    "archive": {"type": "string", "minLength": 1},
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "size": {"type": "integer", "minimum": 0, "maximum": LARGEST_ARCHIVE},
                },
            },
        },
    },
}  # fmt: skip
_FORMATS: Final[Mapping[str, Callable[[str], object]]] = {"semver": Version.parse}


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a plugin in an index; `archive` is a whole URL or path, `provides` are contract ids."""

    id: str
    version: Version
    archive: str
    sha256: str
    size: int
    summary: str = ""
    provides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.id} {self.version}"


@dataclass(frozen=True, slots=True)
class Index:
    """What an index offers; `place` is where it was read from."""

    place: str
    plugins: tuple[Published, ...]

    def search(self, *words: str) -> tuple[Published, ...]:
        """The plugins in whose id, summary or contracts every word occurs, by id, newest version first."""
        found = [p for p in self.plugins if all(word.lower() in _text(p) for word in words)]
        return tuple(sorted(sorted(found, key=lambda p: p.version, reverse=True), key=lambda p: p.id))

    def newest(self, plugin: str, versions: Range) -> Published:
        """The newest version of a plugin within a range. Raises `NotFound` with the versions that there are."""
        known = [p for p in self.search() if p.id == plugin]
        for published in known:
            if versions.accepts(published.version):
                return published
        tried = [Tried(self.place, f"has version {p.version}, not {versions}") for p in known]
        raise NotFound(f"plugin {plugin}", None, tuple(tried) or (Tried(self.place, "does not have it"),))


def read_index(place: str) -> Index:
    """Read an index: an `http:` or `https:` URL, the path of the file, or of the folder that `index.json` lies in.

    Raises `NotFound`, `SystemFailure`, or `ManifestError` with every problem.
    """
    if not _is_url(place) and os.path.isdir(place):
        place = os.path.join(place, INDEX_NAME)
    with closing(_open(place)) as source:
        data = _part(source, _LARGEST_INDEX + 1, place)
    document = parse_document(data, place, ".json")
    found = problems(document, _SCHEMA, _FORMATS)
    if found or not isinstance(document, dict):
        raise ManifestError(place, tuple(found))
    return Index(place, tuple(_published(item, place) for item in document["plugins"]))


def download(published: Published, target: IO[bytes]) -> None:
    """Write the archive to `target`. Raises `NotTrusted` unless size and SHA-256 are those of the index."""
    digest, size = hashlib.sha256(), 0
    with closing(_open(published.archive)) as source:
        while chunk := _part(source, _CHUNK, published.archive):
            size += len(chunk)
            if size > published.size:
                break
            digest.update(chunk)
            target.write(chunk)
    if size != published.size:
        more = "more than" if size > published.size else f"{size} bytes instead of"
        raise NotTrusted(published.id, (Problem(published.archive, f"has {more} the {published.size} of the index"),))
    if digest.hexdigest() != published.sha256:
        what = f"has the SHA-256 {digest.hexdigest()}, the index says {published.sha256}"
        raise NotTrusted(published.id, (Problem(published.archive, what),))


def _published(item: Mapping[str, Any], place: str) -> Published:
    archive = item["archive"]
    if _is_url(place):
        archive = urljoin(place, archive)
    elif not _is_url(archive):
        archive = os.path.join(os.path.dirname(os.path.abspath(place)), archive)
    if _is_url(place) and not _is_url(archive):  # a server must not make us read our own files
        raise ManifestError(place, (Problem(f"{item['id']}.archive", f"expected http or https, not {archive!r}"),))
    return Published(
        item["id"], Version.parse(item["version"]), archive, item["sha256"], item["size"], item.get("summary", ""),
        tuple(item.get("provides", ())),
    )  # fmt: skip


def _text(published: Published) -> str:
    return " ".join([published.id, published.summary, *published.provides]).lower()


def _is_url(place: str) -> bool:
    return urlsplit(place).scheme in {"http", "https"}


def _open(place: str) -> IO[bytes]:
    from http.client import HTTPException, InvalidURL
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        if not _is_url(place):
            return open(place, "rb")
        answer: IO[bytes] = urlopen(place, timeout=_TIMEOUT)  # noqa: S310  (http and https only, see above)
    except FileNotFoundError as e:
        raise NotFound(place, None, (Tried(place, "no such file"),)) from e
    except HTTPError as e:
        with e:
            raise NotFound(place, None, (Tried(place, f"the server answers {e.code} {e.reason}"),)) from e
    except URLError as e:
        raise SystemFailure(f"download: {e.reason}", 0, place) from e
    except (InvalidURL, HTTPException) as e:
        raise SystemFailure(f"download: {e!r}", 0, place) from e
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, place) from e
    return answer


def _part(source: IO[bytes], size: int, place: str) -> bytes:
    from http.client import HTTPException, IncompleteRead

    try:
        return source.read(size)
    except IncompleteRead as e:
        raise SystemFailure("download: the server broke off", 0, place) from e
    except HTTPException as e:
        raise SystemFailure(f"download: {e!r}", 0, place) from e
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, place) from e
