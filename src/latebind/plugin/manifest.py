"""The manifest: what a plugin says of itself, in `plugin.yaml`, `plugin.json` or `plugin.toml`.

`schema.py` checks the document against the one schema below (which `manifest_schema` publishes) and a few rules that
no schema can say; only a document without any problem becomes a `Manifest`.
"""

from __future__ import annotations

import copy
import functools
import os
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from latebind.contracts import Range, Version, symbol_prefix
from latebind.errors import ManifestError, Problem
from latebind.plugin.documents import parse_document, read_document
from latebind.plugin.schema import problems, schema_problems
from latebind.sandbox import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FILE_NAMES: Final = ("plugin.yaml", "plugin.yml", "plugin.json", "plugin.toml")
"""What a manifest's file is called, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class Provided:
    """A contract that the plugin implements, in the version that it was built against."""

    contract: str
    version: Version


@dataclass(frozen=True, slots=True)
class Required:
    """Something that the plugin needs: a contract (a host service or another plugin's) or a plugin by its id."""

    kind: str  # "contract" or "plugin"
    id: str
    range: Range
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.id} {self.range}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the plugin may use up: bytes, seconds, processors. None where unlimited.

    They are enforced by isolations with a boundary. An inline plugin shares the host's memory and threads: `call_time`
    is told to its calls, and an answer that comes later is none (limits.py); nothing ends a call that does not end.
    """

    memory: int | None = None
    call_time: float | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest. `path` is where it was read from; `entry` is relative to its folder."""

    path: str
    id: str
    version: Version
    entry: str
    summary: str = ""
    author: str = ""
    sha256: str | None = None
    provides: tuple[Provided, ...] = ()
    requires: tuple[Required, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    limits: Limits = field(default_factory=Limits)
    state_schema: int | None = None
    parallel: bool = False
    config: Mapping[str, Any] | None = field(default=None, hash=False)  # a mapping has no hash
    priority: int = 0

    @property
    def folder(self) -> str:
        """The plugin's folder."""
        return os.path.dirname(os.path.abspath(self.path))

    @property
    def entry_path(self) -> str:
        """The path of the entry's file."""
        return os.path.join(self.folder, self.entry)

    @property
    def is_python(self) -> bool:
        """Whether the entry is a Python class (`package.module:Class`) rather than a file."""
        return _PYTHON.fullmatch(self.entry) is not None

    def __str__(self) -> str:
        return f"{self.id} {self.version}"


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check a manifest.

    Raises `ManifestError` with *every* problem, `NotFound` without the file, `SystemFailure` if it cannot be read.
    """
    return manifest_from(read_document(path), os.fspath(path))


def find_manifest(folder: str) -> str | None:
    """The path of a folder's manifest, or None."""
    return next((p for name in FILE_NAMES if os.path.isfile(p := os.path.join(folder, name))), None)


def parse_manifest(data: bytes, name: str) -> Manifest:
    """The manifest in `data`; `name` stands for its path. Raises `ManifestError`."""
    return manifest_from(parse_document(data, name), name)


def manifest_from(document: object, path: str) -> Manifest:
    """The manifest in a parsed document. Raises `ManifestError` with every problem."""
    found = problems(document, _SCHEMA, _FORMATS)
    if isinstance(document, dict):
        found += _beyond_schema(document)
    if found or not isinstance(document, dict):
        raise ManifestError(path, tuple(found))
    return _build(document, path)


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, for editors and other tools."""
    published: dict[str, Any] = copy.deepcopy(_SCHEMA)
    return published


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KiB|MiB|GiB|KB|MB|GB)?")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)")
_PYTHON = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_TIME_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


# Each text is parsed to check it and again to keep it, and the same ones stand in many manifests.
_version = functools.lru_cache(4096)(Version.parse)
_range = functools.lru_cache(4096)(Range.parse)
_capability = functools.lru_cache(4096)(Capability.parse)


def parse_size(text: str) -> int:
    """`256MiB` in bytes; ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a size such as 256MiB, not {text!r}")
    return int(float(match[1]) * _SIZE_UNITS[match[2] or ""])


def parse_duration(text: str) -> float:
    """`500ms` in seconds; ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a duration such as 500ms or 2s, not {text!r}")
    return float(match[1]) * _TIME_UNITS[match[2]]


def _check_entry(text: str) -> None:
    if _PYTHON.fullmatch(text):
        return
    if ":" in text:
        raise ValueError(f"expected a file name or package.module:Class, not {text!r}")
    if os.path.isabs(text) or ".." in text.split("/") or text.endswith("/") or "\0" in text:
        raise ValueError(f"expected a file within the plugin's folder, not {text!r}")


_FORMATS: Final[dict[str, Callable[[str], object]]] = {
    "semver": _version,
    "semver-range": _range,
    "capability": _capability,
    "size": parse_size,
    "duration": parse_duration,
    "entry": _check_entry,
}

_CONTRACT_ID: Final = {
    "type": "string",
    "pattern": r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$",
    "maxLength": 200,
    "description": "Lower-case words with dots between, such as acme.tokenizer",
}
_ID: Final = {**_CONTRACT_ID, "pattern": r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$"}
_VERSION_TEXT: Final = {"type": "string", "format": "semver", "description": "SemVer, such as 1.4.2"}
_RANGE_TEXT: Final = {
    "type": "string",
    "format": "semver-range",
    "default": "*",
    "description": "Such as ^1.0 or >=2, <3",
}

_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "latebind plugin manifest",
    "type": "object",
    "required": ["id", "version", "entry"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "id": _ID,
        "version": _VERSION_TEXT,
        "summary": {"type": "string"},
        "author": {"type": "string"},
        "entry": {
            "type": "string", "minLength": 1, "maxLength": 4096, "format": "entry",
            "description": "A shared object in the manifest's folder, or package.module:Class",
        },
        "sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "Of the entry's file"},
        "provides": {
            "type": "array",
            "items": {
                "type": "object", "required": ["contract", "version"], "additionalProperties": False,
                "properties": {"contract": _CONTRACT_ID, "version": _VERSION_TEXT},
            },
        },
        "requires": {
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": False,
                "oneOf": [{"required": ["contract"]}, {"required": ["plugin"]}],
                "properties": {
                    "contract": _CONTRACT_ID, "plugin": _ID, "version": _RANGE_TEXT,
                    "optional": {"type": "boolean", "default": False},
                },
            },
        },
        "capabilities": {"type": "array", "items": {"type": "string", "format": "capability"}, "uniqueItems": True},
        "limits": {
            "type": "object", "additionalProperties": False,
            "properties": {
                "memory": {"type": "string", "format": "size", "description": "Such as 256MiB"},
                "call_time": {"type": "string", "format": "duration", "description": "Such as 2s"},
                "cpu": {"type": "number", "exclusiveMinimum": 0, "description": "Processors"},
            },
        },
        "state": {
            "type": "object", "required": ["schema"], "additionalProperties": False,
            "properties": {"schema": {"type": "integer", "minimum": 0, "maximum": 0xFFFFFFFF}},
        },
        "priority": {
            "type": "integer", "minimum": -1000, "maximum": 1000, "default": 0,
            "description": "Of several plugins that provide a contract, the one with the highest comes first",
        },
        "concurrency": {"enum": ["serial", "parallel"], "default": "serial"},
        "config": {"type": "object", "description": "A JSON Schema of the configuration"},
    },
}  # fmt: skip


def _beyond_schema(document: Mapping[str, Any]) -> Iterator[Problem]:
    """The rules that JSON Schema cannot say, for the parts that have the right shape."""
    config = document.get("config")
    if isinstance(config, dict):
        if config.get("type") != "object":
            yield Problem("config.type", "expected 'object': a configuration is a mapping")
        yield from schema_problems(config, "config")
    yield from _clashes(document)
    entry = document.get("entry")
    if isinstance(entry, str) and _PYTHON.fullmatch(entry) and "sha256" in document:
        yield Problem("sha256", "is not supported for a Python entry, which may be many files")


def _clashes(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What is provided or required twice."""
    seen: dict[str, str] = {}
    for index, item in enumerate(_mappings(document.get("provides"))):
        contract = item.get("contract")
        if isinstance(contract, str):
            # Two contracts whose C functions begin alike could claim the same exported name.
            if symbol_prefix(contract) in seen:
                yield Problem(f"provides[{index}].contract", f"clashes with {seen[symbol_prefix(contract)]}")
            seen[symbol_prefix(contract)] = contract
    required: set[tuple[str, str]] = set()
    for index, item in enumerate(_mappings(document.get("requires"))):
        for kind in ("contract", "plugin"):
            if isinstance(item.get(kind), str):
                if (kind, item[kind]) in required:
                    yield Problem(f"requires[{index}].{kind}", f"{item[kind]} is required already")
                required.add((kind, item[kind]))


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def _build(document: Mapping[str, Any], path: str) -> Manifest:
    limits, config = document.get("limits", {}), document.get("config")
    return Manifest(
        path=path,
        id=document["id"],
        version=_version(document["version"]),
        entry=document["entry"],
        summary=document.get("summary", ""),
        author=document.get("author", ""),
        sha256=document["sha256"].lower() if "sha256" in document else None,
        provides=tuple(Provided(p["contract"], _version(p["version"])) for p in document.get("provides", ())),
        requires=tuple(_required(r) for r in document.get("requires", ())),
        capabilities=tuple(_capability(c) for c in document.get("capabilities", ())),
        limits=Limits(
            parse_size(limits["memory"]) if "memory" in limits else None,
            parse_duration(limits["call_time"]) if "call_time" in limits else None,
            limits.get("cpu"),
        ),
        state_schema=document["state"]["schema"] if "state" in document else None,
        parallel=document.get("concurrency") == "parallel",
        config=MappingProxyType(dict(config)) if config is not None else None,
        priority=document.get("priority", 0),
    )


def _required(item: Mapping[str, Any]) -> Required:
    kind = "contract" if "contract" in item else "plugin"
    return Required(kind, item[kind], _range(item.get("version", "*")), item.get("optional", False))
