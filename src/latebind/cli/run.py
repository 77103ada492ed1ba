"""`latebind plugin run`: one call of one plugin; services that are not there only show what they are told."""

from __future__ import annotations

import os
import sys

import click

from latebind.cli.calling import CONTEXT, call_options, worded_call
from latebind.cli.definitions import contract_class
from latebind.cli.ids import plugins_around
from latebind.cli.places import as_declared, in_places, manifest_in


@click.command(context_settings=CONTEXT)
@click.argument("plugin", metavar="PLUGIN", shell_complete=plugins_around)
@click.argument("words", nargs=-1, required=True, metavar="[FILE:CLASS] METHOD [ARG...]")
@in_places
@call_options
@click.option("--service", "services", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="Stand in for this service: its calls are shown on standard error, and answered by nothing, "
                   "zero or no text.")  # fmt: skip
@click.option("--config", metavar="JSON", help="The plugin's configuration, or @FILE.")
def run(
    plugin: str,
    words: tuple[str, ...],
    places: tuple[str, ...],
    named: tuple[str, ...],
    document: str | None,
    as_json: bool,  # noqa: FBT001  (click passes options by keyword)
    services: tuple[type, ...],
    config: str | None,
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
    from latebind.cli.arguments import MISMATCH, json_from
    from latebind.contracts import contract_of
    from latebind.plugin import Host
    from latebind.plugin.standin import StandIn

    manifest = manifest_in(plugin, places)
    call = worded_call(manifest, words, named, document, services=services)
    try:
        settings = None if config is None else json_from(config, "--config")
    except MISMATCH as error:
        raise click.UsageError(str(error)) from error
    around = [os.path.abspath(place) for place in places]
    stand_ins = {cls: StandIn(contract_of(cls), _tell) for cls in (*services, *call.services)}
    with Host(as_declared(manifest, around), services=stand_ins, contracts=[call.cls]) as host:
        host.discover(manifest.folder, *around)
        host.load(manifest.id, version=f"={manifest.version}", config=settings)
        call.answer(host, manifest.id, as_json=as_json)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
