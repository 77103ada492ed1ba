"""One call of a plugin as a command line words it, for `plugin run` and `plugin watch`: found, made, printed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from latebind.cli.definitions import contract_class
from latebind.cli.places import contracts_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from latebind.contracts import Contract, Method
    from latebind.contracts.types import ResultKind
    from latebind.plugin import Host, Manifest

Function = TypeVar("Function", bound="Callable[..., object]")

# Without "-5" and "-x" being taken for options: they may be arguments.
CONTEXT = {"ignore_unknown_options": True}


def call_options(function: Function) -> Function:
    """The options of a command that has the words of a call."""
    options = [
        click.option("--arg", "-a", "named", multiple=True, metavar="NAME=VALUE", help="An argument by its name."),
        click.option("--args", "document", metavar="JSON", help="All arguments as one JSON object, or @FILE."),
        click.option("--json", "as_json", is_flag=True,
                     help="The result as JSON (bytes as base64), each item on a line."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Call:
    """A method of a plugin with arguments that fit it."""

    cls: type
    """The class of the contract."""
    method: Method
    arguments: Sequence[object]
    services: tuple[type, ...]
    """The contracts beside the plugin that it requires, for stand-ins; none where the contract's place was told."""

    def answer(self, host: Host, plugin: str, *, as_json: bool, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Make the call and print its result; whether there is one. Items are printed as they come while `go_on()`.

        Raises LatebindError for everything that the host or the plugin refuses.
        """
        from latebind.contracts.types import Nothing

        positional, by_name = self.method.spread(self.arguments)
        proxy: Any = host.get(cast("Any", self.cls), plugin=plugin)
        result = getattr(proxy, self.method.name)(*positional, **by_name)
        if isinstance(self.method.result, Nothing):
            return False
        _print(self.method.result, result, as_json=as_json, go_on=go_on)
        return True


def worded_call(
    manifest: Manifest,
    words: Sequence[str],
    named: Sequence[str],
    document: str | None,
    *,
    contracts: Sequence[type] = (),
    services: Sequence[type] = (),
) -> Call:
    """What `[FILE:CLASS] METHOD [ARG...]` means for a plugin; `named` and `document` are --arg and --args.

    Without FILE:CLASS the contract is one of `contracts`, or else one beside the plugin. `services` have stand-ins
    already. Raises click.UsageError for what is no method of a contract of the plugin's, and what does not fit it.
    """
    from latebind.cli.arguments import MISMATCH, typed_arguments
    from latebind.contracts import contract_of

    given = contract_class(words[0]) if ":" in words[0] else None
    name, *texts = words if given is None else (words[1:] or _no_method(given))
    if not name.isidentifier():
        raise click.UsageError(f"{name!r} is no method; write METHOD, or FILE:CLASS METHOD")
    stand_ins: tuple[type, ...] = ()
    if given is None:
        beside = contracts_beside(manifest)
        given = _having([*_provided(contracts, manifest)] or beside, manifest, name)
        required = {r.id for r in manifest.requires} - {contract_of(s).id for s in services}
        stand_ins = tuple(cls for cls in beside if contract_of(cls).id in required)
    contract = contract_of(given)
    method = contract.method(name)
    if method is None:
        known = ", ".join(m.name for m in contract.methods)
        raise click.UsageError(f"{contract.id} has no method {name}; it has {known}")
    try:
        return Call(given, method, typed_arguments(contract, method, texts, named, document), stand_ins)
    except MISMATCH as error:
        raise click.UsageError(str(error)) from error


def _provided(classes: Iterable[type], manifest: Manifest) -> list[type]:
    from latebind.contracts import contract_of

    provided = {p.contract for p in manifest.provides}
    return [cls for cls in classes if contract_of(cls).id in provided]


def _having(classes: Sequence[type], manifest: Manifest, method: str) -> type:
    """The class of the contract that the plugin provides and that has the method."""
    from latebind.contracts import contract_of

    known = _provided(classes, manifest)
    if not known:
        which = "no contract.py in its folder or above has one that it provides"
        raise click.UsageError(f"what is the contract of {manifest}? {which}; write FILE:CLASS before the method")
    having = [cls for cls in known if contract_of(cls).method(method) is not None]
    if len(having) > 1:
        names = ", ".join(contract_of(cls).id for cls in having)
        raise click.UsageError(f"{names} have a method {method}; write FILE:CLASS before it")
    return (having or known)[0]


def _no_method(cls: type) -> tuple[str, ...]:
    from latebind.contracts import contract_of

    known: Contract = contract_of(cls)
    raise click.UsageError(f"Missing argument 'METHOD': {known.id} has {', '.join(m.name for m in known.methods)}")


def _print(kind: ResultKind, result: Any, *, as_json: bool, go_on: Callable[[], bool]) -> None:
    """A result; the items of an iterator one after the other, as they come."""
    from latebind.contracts.schema import to_json
    from latebind.contracts.types import IteratorOf, handle_in

    if isinstance(kind, IteratorOf):
        with result:
            for item in result:
                _print(kind.item, item, as_json=as_json, go_on=go_on)
                sys.stdout.flush()
                if not go_on():
                    return
    elif isinstance(result, bytes) and not as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(result)
    elif handle_in(kind) is not None or (isinstance(result, str) and not as_json):
        print(result)
    elif isinstance(result, float) and not as_json:
        print(result)  # also inf and nan, which JSON does not have
    else:
        print(json.dumps(to_json(kind, result)))
