"""`latebind plugin`: the author's and the operator's tools. `list` and `show` execute nothing."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS, complain
from latebind.cli.check import check
from latebind.cli.definitions import contract_place
from latebind.cli.files import print_document, print_lines
from latebind.cli.packages import install, pack, remove, search
from latebind.cli.places import manifest_in
from latebind.cli.run import run
from latebind.cli.signing import keygen, sign, verify
from latebind.cli.top import top
from latebind.cli.watch import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.plugin import Manifest


@click.group()
def command() -> None:
    """Plugins: write, check, look at, try, sign, install and remove them."""


for _command in (check, run, keygen, sign, verify, pack, search, install, remove, top, watch):
    command.add_command(_command)


@command.command()
@click.argument("folder", metavar="DIR")
@click.option("--id", "identifier", metavar="ID", help="The plugin's id (default: example.DIR).")
@click.option("--language", "-l", type=click.Choice(["c", "c++", "rust", "python"]), default="c", show_default=True)
@click.option("--contract", "contracts", type=contract_place, multiple=True, metavar="FILE:CLASS",
              help="Begin to implement this contract, usually the host's. Can be repeated.")  # fmt: skip
@click.option("--requires", "-r", type=contract_place, multiple=True, metavar="FILE:CLASS",
              help="With --contract: a service that the plugin calls. Can be repeated.")  # fmt: skip
def new(
    folder: str,
    identifier: str | None,
    language: str,
    contracts: tuple[tuple[str, type], ...],
    requires: tuple[tuple[str, type], ...],
) -> None:
    """Start a plugin in the new folder DIR: a contract, the source, a manifest, tests and a Makefile.

    It builds, passes its check and its tests, and answers a call as it is. Nothing that is there is overwritten.

    With --contract the file of that contract is copied into DIR (an installed module is named only), and the source
    has each of its methods, with their types: until you write it, a method fails and says that it is not implemented
    yet, and its test expects that.
    """
    from latebind.cli.given import given_contracts
    from latebind.cli.scaffold import default_id, write_plugin

    if requires and not contracts:
        raise click.UsageError("--requires goes with --contract")
    given = given_contracts(contracts, requires) if contracts else None
    made = write_plugin(folder, identifier or default_id(folder), language, given)
    print_lines([*made, "", f"next: make -C {shlex.quote(folder)} check test{'' if contracts else ' run'}"])


@command.command("list")
@click.argument("folders", nargs=-1, metavar="[DIR...]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each plugin.")
@click.option("--installed", is_flag=True, help="Also those of installed Python packages.")
def list_(folders: tuple[str, ...], as_json: bool, installed: bool) -> int:  # noqa: FBT001  (click passes options by keyword)
    """List the plugins in each DIR (default: here). What cannot be read is told, and hides no other."""
    from latebind.plugin import Registry
    from latebind.view.table import table

    found = Registry().discover(*(folders or (() if installed else (".",))), installed=installed)
    if as_json:
        for manifest in found.found:
            print_document(_document(manifest))
    else:
        rows = [(m.id, str(m.version), m.entry, _provided(m), m.summary) for m in found.found]
        print_lines(table(("ID", "VERSION", "ENTRY", "PROVIDES", "SUMMARY"), rows))
    for rejected in found.rejected:
        complain(rejected.error)
    return FINDING if found.rejected else SUCCESS


@command.command()
@click.argument("place", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(place: str, as_json: bool) -> None:  # noqa: FBT001
    """Show what the plugin in DIR says of itself, and what its compiled file implies."""
    manifest = manifest_in(place)
    if as_json:
        print_document(_document(manifest))
    else:
        print_lines(_description(manifest))


@command.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    from latebind.plugin import manifest_schema

    print_document(manifest_schema())


def _provided(manifest: Manifest) -> str:
    return ", ".join(f"{p.contract} {p.version}" for p in manifest.provides)


def _description(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest}{': ' + manifest.summary if manifest.summary else ''}"
    facts = {
        "manifest": manifest.path,
        "entry": manifest.entry,
        "author": manifest.author,
        "sha256": manifest.sha256,
        "provides": _provided(manifest),
        "requires": ", ".join(f"{r}{' (optional)' if r.optional else ''}" for r in manifest.requires),
        "capabilities": ", ".join(map(str, manifest.capabilities)) or "none",
        "signature": _signer(manifest),
        "calls": "by many threads at once" if manifest.parallel else "one at a time",
        "state": "" if manifest.state_schema is None else f"schema {manifest.state_schema}",
        "priority": str(manifest.priority or ""),
        "limits": _limits(manifest),
        "configuration": ", ".join(_settings(manifest)),
    }
    yield from (f"  {name}: {value}" for name, value in facts.items() if value)
    if not manifest.is_python:
        yield from _compiled(manifest)


def _limits(manifest: Manifest) -> str:
    limits = manifest.limits
    units = {"memory": "bytes", "call_time": "s a call", "cpu": "processors"}
    given = {name: getattr(limits, name) for name in units}
    return ", ".join(f"{name} {value} {units[name]}" for name, value in given.items() if value is not None)


def _settings(manifest: Manifest) -> Iterator[str]:
    """Each setting with its type and its default, as far as the manifest's schema says them."""
    schema = manifest.config or {}
    for name, one in schema.get("properties", {}).items():
        facts = [str(one["type"])] if "type" in one else []
        facts += ["required"] if name in schema.get("required", ()) else []
        facts += [f"default {json.dumps(one['default'])}"] if "default" in one else []
        yield f"{name} ({', '.join(facts)})" if facts else name


def _signer(manifest: Manifest) -> str:
    """Who says to have signed the plugin; without a trust store, that is all that can be said."""
    from latebind.errors import ManifestError
    from latebind.plugin import is_signed, read_signature

    if not is_signed(manifest.folder):
        return ""
    try:
        return f"by {read_signature(manifest.folder).key}, not verified"
    except ManifestError as error:
        return f"broken: {error.problems[0].path or 'document'}: {error.problems[0].expected}"


def _compiled(manifest: Manifest) -> Iterator[str]:
    """What the compiled file says by itself."""
    from latebind.elf import read
    from latebind.errors import NotFound
    from latebind.sandbox import implied_by

    try:
        elf = read(manifest.entry_path)
    except NotFound:
        yield f"  {manifest.entry} is not there: build it first"
        return
    implied = implied_by(s.name for s in elf.symbols if not s.defined)
    for one in implied:
        yield f"  implied by its imports: {one.capability} ({', '.join(one.symbols)})"


def _document(manifest: Manifest) -> dict[str, object]:
    return {
        "schema": 1,
        "file": manifest.path,
        "id": manifest.id,
        "version": str(manifest.version),
        "summary": manifest.summary,
        "author": manifest.author,
        "entry": manifest.entry,
        "sha256": manifest.sha256,
        "provides": [{"contract": p.contract, "version": str(p.version)} for p in manifest.provides],
        "requires": [{r.kind: r.id, "version": str(r.range), "optional": r.optional} for r in manifest.requires],
        "capabilities": [str(c) for c in manifest.capabilities],
        "parallel": manifest.parallel,
        "state_schema": manifest.state_schema,
        "priority": manifest.priority,
        "limits": {name: getattr(manifest.limits, name) for name in ("memory", "call_time", "cpu")},
        "config": None if manifest.config is None else dict(manifest.config),
    }
