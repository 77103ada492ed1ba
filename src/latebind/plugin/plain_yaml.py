"""Plain YAML documents in a fraction of the time: libyaml's events become values, without nodes in between.

What a manifest usually is: mappings, lists and scalars without tags, anchors or merge keys. Anything else, and what is
wrong, is `Unusual`, and `documents.py` reads it again with PyYAML's own loader, which also words the error. What both
read is the same (tests/plugin/test_plain_yaml.py compares them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml._yaml import CParser
from yaml.constructor import SafeConstructor
from yaml.events import DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent, StreamEndEvent
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable


class Unusual(Exception):
    """Not for this reader."""


_RESOLVERS: Final[dict[str, list[tuple[str, Any]]]] = Resolver.yaml_implicit_resolvers
_MAKERS: Final[dict[str, Callable[[Any, Any], object]]] = {
    tag: maker
    for tag, maker in SafeConstructor.yaml_constructors.items()
    if tag is not None and tag.rpartition(":")[2] in {"int", "float", "bool", "null", "timestamp"}
}


def read_plain(text: str, deepest: int) -> object:
    """The value of a document. Raises `Unusual` for all but plain ones, also for more than `deepest` levels."""
    try:
        get = CParser(text).get_event
        get()  # the beginning of the stream
        begin = get()
        if type(begin) is not DocumentStartEvent:
            raise Unusual
        value = _value(get(), get, deepest)
        get()  # the end of the document
        if type(get()) is not StreamEndEvent:
            raise Unusual
    except (yaml.YAMLError, ValueError, OverflowError) as e:
        raise Unusual from e
    return value


def _value(event: Any, get: Callable[[], Any], deeper: int) -> object:
    kind = type(event)
    if kind is ScalarEvent:
        if event.tag is not None or event.anchor is not None:
            raise Unusual
        return _scalar(event.value) if event.implicit[0] else event.value
    if kind not in {MappingStartEvent, SequenceStartEvent}:
        raise Unusual  # an alias
    if not event.implicit or event.anchor is not None or deeper == 0:
        raise Unusual
    return _mapping(get, deeper - 1) if kind is MappingStartEvent else _list(get, deeper - 1)


def _mapping(get: Callable[[], Any], deeper: int) -> dict[object, object]:
    found: dict[object, object] = {}
    seen: set[str] = set()
    while type(event := get()) is ScalarEvent:
        if event.value in seen:
            raise Unusual  # a key that is given twice, even if one is a number and the other a text
        seen.add(event.value)
        key = _value(event, get, 0)
        found[key] = _value(get(), get, deeper)
    if not isinstance(event, yaml.MappingEndEvent):
        raise Unusual  # a key that is no scalar
    return found


def _list(get: Callable[[], Any], deeper: int) -> list[object]:
    found = []
    while not isinstance(event := get(), yaml.SequenceEndEvent):
        found.append(_value(event, get, deeper))
    return found


def _scalar(text: str) -> object:
    """A plain scalar: a text, unless it looks like something else (YAML 1.1, as PyYAML resolves it)."""
    for tag, pattern in _RESOLVERS.get(text[0] if text else "", ()):
        if pattern.match(text):
            maker = _MAKERS.get(tag)
            if maker is None:
                raise Unusual  # `<<` and `=`
            return maker(SafeConstructor(), ScalarNode(tag, text))
    return text
