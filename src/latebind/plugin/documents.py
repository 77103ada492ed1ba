"""YAML, JSON and TOML files as plain values: the boundary where foreign parsers and their errors end.

A manifest is not trusted, so what makes parsers expensive or ambiguous is refused: files above a size, deep nesting,
YAML aliases (a few lines can stand for gigabytes), and keys given twice (the last would silently win).
"""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import ManifestError, NotFound, Problem, SystemFailure, Tried

if TYPE_CHECKING:
    from collections.abc import Callable

    import yaml

LARGEST: Final = 1 << 20  # bytes
DEEPEST: Final = 64  # levels


class _Wrong(ValueError):
    """A document that one of our own rules refuses; `str()` is what was expected."""


def read_document(path: str | os.PathLike[str], suffix: str | None = None) -> object:
    """The value in a `.yaml`, `.yml`, `.json` or `.toml` file; `suffix` tells the format of one with another name.

    Raises `NotFound`, `SystemFailure`, or `ManifestError` with one problem whose path is the line where parsing ended.
    """
    name = os.fspath(path)
    return parse_document(_read(name), name, suffix)


def parse_document(data: bytes, name: str, suffix: str | None = None) -> object:
    """The value in `data`; the suffix of `name`, or `suffix`, tells the format. Raises `ManifestError`."""
    parse = _PARSERS.get(suffix or os.path.splitext(name)[1].lower())
    if parse is None:
        raise ManifestError(name, (Problem("", f"expected a file name that ends with one of {', '.join(_PARSERS)}"),))
    if len(data) > LARGEST:
        raise ManifestError(name, (Problem("", f"expected at most {LARGEST} bytes, not {len(data)}"),))
    try:
        value = parse(data.decode("utf-8-sig"), name)
        _check_depth(value)
    except UnicodeDecodeError as e:
        raise ManifestError(name, (Problem("", f"expected UTF-8 text: {e.reason} at byte {e.start}"),)) from e
    except RecursionError as e:
        raise ManifestError(name, (Problem("", f"expected at most {DEEPEST} levels of nesting"),)) from e
    except _Wrong as e:
        raise ManifestError(name, (Problem("", str(e)),)) from e
    return value


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError as e:
        raise NotFound(name, None, (Tried(name, "no such file"),)) from e
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, name) from e


def _check_depth(value: object, level: int = 0) -> None:
    if level > DEEPEST:
        raise _Wrong(f"expected at most {DEEPEST} levels of nesting")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, level + 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, level + 1)


def _parse_json(text: str, name: str) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                raise _Wrong(f"expected each key once: {key!r} is given twice")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as e:
        raise ManifestError(name, (Problem(f"line {e.lineno}", f"not JSON: {e.msg}"),)) from e


def _parse_toml(text: str, name: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise ManifestError(name, (Problem("", f"not TOML: {e}"),)) from e


def _parse_yaml(text: str, name: str) -> object:
    import yaml

    if yaml.__with_libyaml__:
        from latebind.plugin.plain_yaml import Unusual, read_plain

        try:
            return read_plain(text, DEEPEST)
        except Unusual:
            pass  # the loader below reads it, or says what is wrong
    try:
        return yaml.load(text, Loader=_yaml_loader())  # noqa: S506 - a SafeLoader with fewer features
    except yaml.MarkedYAMLError as e:
        where = f"line {e.problem_mark.line + 1}" if e.problem_mark else ""
        raise ManifestError(name, (Problem(where, f"not YAML: {e.problem or e.context or 'broken'}"),)) from e
    except (yaml.YAMLError, ValueError, OverflowError) as e:  # e.g. an impossible date, a control character
        raise ManifestError(name, (Problem("", f"not YAML: {e}"),)) from e


@functools.cache
def _yaml_loader() -> type[yaml.SafeLoader]:
    """A safe loader for plain data: each key once, no aliases. It scans with libyaml (five times faster) if it can."""
    import yaml

    if not yaml.__with_libyaml__:
        plain: type[yaml.SafeLoader] = _strict(yaml.SafeLoader)
        return plain
    from yaml._yaml import CParser
    from yaml.composer import Composer
    from yaml.constructor import SafeConstructor
    from yaml.resolver import Resolver

    class Fast(Composer, CParser, SafeConstructor, Resolver):
        """As yaml.CSafeLoader, but nodes are composed in Python, whose recursion has a limit, unlike that in C."""

        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    fast: type[yaml.SafeLoader] = _strict(Fast)
    return fast


def _strict(base: Any) -> Any:
    """The loader `base`, which refuses aliases and keys given twice."""
    import yaml

    class Loader(base):  # type: ignore[misc]  # which of two classes it is, only the machine knows
        def compose_node(self, parent: yaml.Node | None, index: int) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.MarkedYAMLError(problem="aliases (*name) are not supported", problem_mark=mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    problem = f"the key {key.value!r} is given twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    return Loader


_PARSERS: Final[dict[str, Callable[[str, str], object]]] = {
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".json": _parse_json,
    ".toml": _parse_toml,
}
