"""`latebind plugin run`: one call of one plugin; services that are not there only show what they are told."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import click

from latebind.cli.definitions import contract_class
from latebind.cli.ids import plugins_around
from latebind.cli.places import as_declared, contracts_beside, in_places, manifest_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.contracts import Contract, Method
    from latebind.contracts.types import ResultKind
    from latebind.plugin import Manifest


# Without "-5" and "-x" being taken for options: they may be arguments.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("plugin", metavar="PLUGIN", shell_complete=plugins_around)
@click.argument("words", nargs=-1, required=True, metavar="[FILE:CLASS] METHOD [ARG...]")
@in_places
@click.option("--arg", "-a", "named", multiple=True, metavar="NAME=VALUE", help="An argument by its name.")
@click.option("--args", "document", metavar="JSON", help="All arguments as one JSON object, or @FILE.")
@click.option("--service", "services", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="Stand in for this service: its calls are shown on standard error, and answered by nothing, "
                   "zero or no text.")  # fmt: skip
@click.option("--config", metavar="JSON", help="The plugin's configuration, or @FILE.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON (bytes as base64), each item on a line.")
def run(
    plugin: str,
    words: tuple[str, ...],
    places: tuple[str, ...],
    named: tuple[str, ...],
    document: str | None,
    services: tuple[type, ...],
    config: str | None,
    as_json: bool,  # noqa: FBT001  (click passes options by keyword)
) -> None:
    """Load PLUGIN, a folder or an id, call METHOD of its contract once, and print the result.

    The contract is FILE:CLASS, or the one with METHOD in the nearest contract.py, contracts.py or NAME_contract(s).py,
    in the plugin's folder or the two above it; services whose contracts are there have stand-ins.

    ARG is JSON or plain: text and bytes as they are, 12 and 0x1f, true, the name of an enumeration's member, 1,2,3
    for a list, name=late,start=1 for a dataclass, null for an optional value. @FILE is what a file holds, for bytes,
    lists and dataclasses; @- is standard input, @@ a literal @. Items of an iterator are printed as they come.

    The plugin runs in this process with what its manifest declares: run only what you trust. The exit status is 1
    where the plugin fails or is refused, and 2 where the arguments do not fit the contract.
    """
    from latebind.cli.arguments import MISMATCH, json_from, typed_arguments
    from latebind.contracts import contract_of

    manifest = manifest_in(plugin, places)
    given = contract_class(words[0]) if ":" in words[0] else None
    name, *texts = words if given is None else (words[1:] or _no_method(given))
    if not name.isidentifier():
        raise click.UsageError(f"{name!r} is no method; write METHOD, or FILE:CLASS METHOD")
    stand_ins = list(services)
    if given is None:
        beside = contracts_beside(manifest)
        given = _having(beside, manifest, name)
        required = {r.id for r in manifest.requires} - {contract_of(s).id for s in services}
        stand_ins += [cls for cls in beside if contract_of(cls).id in required]
    contract = contract_of(given)
    method = contract.method(name)
    if method is None:
        known = ", ".join(m.name for m in contract.methods)
        raise click.UsageError(f"{contract.id} has no method {name}; it has {known}")
    try:
        arguments = typed_arguments(contract, method, texts, named, document)
        settings = None if config is None else json_from(config, "--config")
    except MISMATCH as error:
        raise click.UsageError(str(error)) from error
    _call(manifest, given, method, arguments, stand_ins, [os.path.abspath(p) for p in places], settings, as_json)


def _call(
    manifest: Manifest,
    contract: type,
    method: Method,
    arguments: Sequence[object],
    services: Sequence[type],
    places: Sequence[str],
    config: Any,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Load, call, print. Raises LatebindError for everything that the host or the plugin refuses."""
    from latebind.contracts import contract_of
    from latebind.contracts.types import Nothing
    from latebind.plugin import Host
    from latebind.plugin.standin import StandIn

    stand_ins = {cls: StandIn(contract_of(cls), _tell) for cls in services}
    with Host(as_declared(manifest, places), services=stand_ins, contracts=[contract]) as host:
        host.discover(manifest.folder, *places)
        host.load(manifest.id, version=f"={manifest.version}", config=config)
        positional, by_name = method.spread(arguments)
        proxy: Any = host.get(cast("Any", contract), plugin=manifest.id)
        result = getattr(proxy, method.name)(*positional, **by_name)
        if not isinstance(method.result, Nothing):
            _print(method.result, result, as_json=as_json)


def _having(classes: Sequence[type], manifest: Manifest, method: str) -> type:
    """The class of the contract that the plugin provides and that has the method."""
    from latebind.contracts import contract_of

    provided = {p.contract for p in manifest.provides}
    known = [cls for cls in classes if contract_of(cls).id in provided]
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


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _print(kind: ResultKind, result: Any, *, as_json: bool) -> None:
    """A result; the items of an iterator one after the other, as they come."""
    from latebind.contracts.schema import to_json
    from latebind.contracts.types import IteratorOf, handle_in

    if isinstance(kind, IteratorOf):
        with result:
            for item in result:
                _print(kind.item, item, as_json=as_json)
                sys.stdout.flush()
    elif isinstance(result, bytes) and not as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(result)
    elif handle_in(kind) is not None or (isinstance(result, str) and not as_json):
        print(result)
    elif isinstance(result, float) and not as_json:
        print(result)  # also inf and nan, which JSON does not have
    else:
        print(json.dumps(to_json(kind, result)))
