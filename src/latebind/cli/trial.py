"""One call of one plugin from the command line: arguments from text, services that only show what they are told."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from latebind.contracts import Contract, Method, Parameter, contract_of
from latebind.contracts.schema import from_json, to_json
from latebind.contracts.types import (
    Bytes,
    Enumeration,
    IteratorOf,
    Nothing,
    OptionalOf,
    ResultKind,
    Text,
    handle_in,
)
from latebind.errors import LatebindError, Unsupported
from latebind.plugin import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.plugin import Manifest
    from latebind.sandbox import Policy


def call_once(
    manifest: Manifest,
    policy: Policy,
    contract: type,
    method: str,
    arguments: Sequence[str],
    services: Sequence[type],
    config: str | None,
) -> None:
    """Load the plugin with everything in its folder's neighbourhood, call it once, print the result.

    Raises ValueError or TypeError for arguments that do not fit, LatebindError for everything that the host refuses.
    """
    wanted = contract_of(contract)
    found = wanted.method(method)
    if found is None:
        raise ValueError(f"{wanted.id} has no method {method}; it has {', '.join(m.name for m in wanted.methods)}")
    values = _values(wanted, found, arguments)
    stand_ins = {cls: StandIn(contract_of(cls)) for cls in services}
    settings = None if config is None else _json(config, "--config")
    with Host(policy, services=stand_ins, contracts=[contract]) as host:
        host.discover(manifest.folder)
        host.load(manifest.id, version=f"={manifest.version}", config=settings)
        result = getattr(host.get(contract, plugin=manifest.id), method)(*values)
        if not isinstance(found.result, Nothing):
            _print(found.result, result)


def _values(contract: Contract, method: Method, arguments: Sequence[str]) -> list[Any]:
    if len(arguments) > len(method.parameters):
        takes = ", ".join(p.name for p in method.parameters) or "nothing"
        raise ValueError(f"{contract.id}.{method.name} takes {takes}, not {len(arguments)} arguments")
    return [_value(p, text) for p, text in zip(method.parameters, arguments, strict=False)]  # some have defaults


def _value(parameter: Parameter, text: str) -> object:
    """Text, bytes and names of an enumeration as they are typed, everything else as JSON."""
    kind: ResultKind = parameter.kind
    if isinstance(kind, OptionalOf):
        if text == "null":
            return None
        kind = kind.element
    if isinstance(kind, Text):
        return text
    if isinstance(kind, Bytes):
        return text.encode("utf-8", "surrogateescape")
    value = text if isinstance(kind, Enumeration) else _json(text, parameter.name)
    try:
        return from_json(parameter.kind, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{parameter.name}: {error}") from error


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}: {text!r} is not JSON: {error}") from error


def _print(kind: ResultKind, result: Any) -> None:
    """A result; the items of an iterator one after the other, as they come."""
    if isinstance(kind, IteratorOf):
        with result:
            for item in result:
                _print(kind.item, item)
    elif isinstance(result, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(result)
    elif handle_in(kind) is not None:
        print(result)
    else:
        print(result if isinstance(result, str) else json.dumps(to_json(kind, result)))


class StandIn:
    """A service that shows each call on standard error. It has no answers, so only methods without a result work."""

    def __init__(self, contract: Contract) -> None:
        for method in contract.methods:
            setattr(self, method.name, self._method(contract, method))

    @staticmethod
    def _method(contract: Contract, method: Method) -> Callable[..., None]:
        def show(*arguments: object) -> None:
            print(f"[{contract.id}] {method.name}({', '.join(map(repr, arguments))})", file=sys.stderr)
            if not isinstance(method.result, Nothing):
                raise _no_answer(contract, method)

        return show


def _no_answer(contract: Contract, method: Method) -> LatebindError:
    return Unsupported(f"{contract.id}.{method.name}", "the stand-in of the command line has no answer for it")
