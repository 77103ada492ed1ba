"""`latebind plugin`: the author's and the operator's tools. `check`, `list` and `show` execute nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS, complain
from latebind.cli.definitions import contract_class
from latebind.cli.files import print_document, print_lines
from latebind.cli.packages import install, pack, remove, search
from latebind.cli.signing import keygen, sign, verify
from latebind.cli.top import top
from latebind.cli.watch import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts import ContractNote
    from latebind.plugin import Manifest
    from latebind.sandbox import Policy


@click.group()
def command() -> None:
    """Plugins: write, check, look at, try, sign, install and remove them."""


for _command in (keygen, sign, verify, pack, search, install, remove, top, watch):
    command.add_command(_command)


@command.command()
@click.argument("folder", metavar="DIR")
@click.option("--id", "identifier", metavar="ID", help="The plugin's id (default: example.DIR).")
def new(folder: str, identifier: str | None) -> None:
    """Start a plugin in C in the new folder DIR: a contract, the source, a manifest and a Makefile."""
    from latebind.cli.scaffold import write_plugin

    name = os.path.basename(os.path.abspath(folder)).lower().replace("-", "_")
    made = write_plugin(folder, identifier or f"example.{name}")
    print_lines([*made, "", f"next: make -C {folder} check run"])


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
@click.argument("place", metavar="DIR")
@click.argument("contracts", type=contract_class, nargs=-1, metavar="[FILE:CLASS...]")
def check(place: str, contracts: tuple[type, ...]) -> int:
    """Check everything that can be known of the plugin in DIR before an instruction of it runs.

    The manifest, the notes in the compiled file, its exports, its imports and the capabilities that they imply; and,
    with the contracts FILE:CLASS that a host has, whether versions and types fit. Where the file has debug
    information, every compiled signature and structure is compared too. Each mismatch is shown as expected and found.
    """
    from latebind.contracts import contract_of
    from latebind.elf import read
    from latebind.plugin.check import Surroundings, check_native
    from latebind.plugin.conformity import mismatches
    from latebind.plugin.store import Store

    manifest = manifest_in(place)
    if manifest.is_python:
        raise click.UsageError(f"{manifest} is a Python plugin; only compiled ones can be checked without running them")
    found, why_not = mismatches(manifest, read(manifest.entry_path), [contract_of(c) for c in contracts])
    if found:
        print_lines([f"{manifest}: {len(found)} mismatch{'es' if len(found) > 1 else ''}", *map(str, found)])
        return FINDING
    store = Store()
    try:
        around = Surroundings([contract_of(c) for c in contracts], {}, as_declared(manifest))
        checked = check_native(manifest, store.put_plugin(manifest.folder, manifest.entry), around)
    finally:
        store.close()
    print_lines([
        f"{manifest} is fine:",
        *(f"  provides {note.id} {note.version}: {_functions(note)}" for note in checked.note.provides.values()),
        *(f"  {symbol} will be bound to the service {service}" for symbol, service in sorted(checked.imports.items())),
        f"  compiled signatures: {why_not or 'as declared'}",
        f"  capabilities: {', '.join(map(str, manifest.capabilities)) or 'none'}",
    ])  # fmt: skip
    return SUCCESS


@command.command()
@click.argument("place", metavar="DIR")
@click.argument("contract", type=contract_class, metavar="FILE:CLASS")
@click.argument("method", metavar="METHOD")
@click.argument("arguments", nargs=-1, metavar="[ARG...]")
@click.option("--service", "services", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="Stand in for this service: its calls are shown on standard error.")  # fmt: skip
@click.option("--config", metavar="JSON", help="The plugin's configuration.")
def run(
    place: str,
    contract: type,
    method: str,
    arguments: tuple[str, ...],
    services: tuple[type, ...],
    config: str | None,
) -> None:
    """Load the plugin in DIR, call METHOD of the contract FILE:CLASS once, and print the result.

    Text parameters take ARG as it is, all others read it as JSON. The plugin runs in this process with what its
    manifest declares: run only what you trust.
    """
    from latebind.cli.trial import call_once

    manifest = manifest_in(place)
    try:
        call_once(manifest, as_declared(manifest), contract, method, arguments, services, config)
    except (TypeError, ValueError) as error:  # an argument that does not fit the contract
        raise click.UsageError(str(error)) from error


@command.command()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    from latebind.plugin import manifest_schema

    print_document(manifest_schema())


def manifest_in(place: str) -> Manifest:
    """The manifest in the folder `place`, or the manifest file itself."""
    from latebind.errors import NotFound, Tried
    from latebind.plugin import read_manifest
    from latebind.plugin.manifest import find_manifest

    path = find_manifest(place) if os.path.isdir(place) else place
    if path is None:
        raise NotFound(
            f"a manifest in {place}", None, (Tried(place, "has no plugin.yaml, plugin.json or plugin.toml"),)
        )
    return read_manifest(path)


def _functions(note: ContractNote) -> str:
    """The methods and functions that a note promises."""
    return ", ".join(note.symbols().values())


def as_declared(manifest: Manifest) -> Policy:
    """The policy of someone who grants a plugin exactly what its manifest declares, in this process."""
    from latebind.sandbox import Policy

    return Policy(grants={manifest.id: [str(c) for c in manifest.capabilities]}, inline=[manifest.id])


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
    }
    yield from (f"  {name}: {value}" for name, value in facts.items() if value)
    if not manifest.is_python:
        yield from _compiled(manifest)


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
    }
