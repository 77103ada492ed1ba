"""`latebind contract`: what a contract looks like from the other sides, and what a change of it breaks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.definitions import contract_class
from latebind.cli.files import print_document, print_lines

if TYPE_CHECKING:
    from latebind.contracts import Contract

_CONTRACTS = click.argument("contracts", type=contract_class, nargs=-1, required=True, metavar="FILE:CLASS...")


@click.group()
def command() -> None:
    """Contracts: the interfaces between a host and its plugins."""


@command.command()
@_CONTRACTS
@click.option("--language", "-l", type=click.Choice(["c", "c++", "rust"]), default="c", show_default=True)
@click.option("--requires", "-r", type=contract_class, multiple=True, metavar="FILE:CLASS",
              help="For Rust: a contract that the plugin requires, and does not provide.")  # fmt: skip
@click.option("--folder", "-d", metavar="DIR", help="Write one file for each contract into DIR, named as in #include.")
def header(contracts: tuple[type, ...], language: str, requires: tuple[type, ...], folder: str | None) -> None:
    """Write what a plugin includes: the C header of each contract FILE:CLASS, or its C++ header, or a Rust module.

    The C++ header includes the C header of the same contract, and comes with it where --folder is given. For Rust all
    contracts go into one file, bindings.rs.
    """
    from latebind.contracts import contract_of, cxx_header, rust_module
    from latebind.contracts import header as c_header

    if requires and language != "rust":
        raise click.UsageError("--requires is for Rust; in C and C++ one header serves both sides")
    found = [contract_of(cls) for cls in contracts]
    if language == "rust":
        text = rust_module(found, [contract_of(cls) for cls in requires])
        _write({"bindings.rs": text}, folder)
        return
    files = {f"{c.prefix}.h": c_header(c) for c in found} if language == "c" or folder is not None else {}
    if language == "c++":
        files |= {f"{c.prefix}.hpp": cxx_header(c) for c in found}
    _write(files, folder)


@command.command()
@_CONTRACTS
@click.option("--folder", "-d", metavar="DIR", help="Write one .md file for each contract into DIR.")
def doc(contracts: tuple[type, ...], folder: str | None) -> None:
    """Write a Markdown page about each contract FILE:CLASS, for people."""
    from latebind.contracts import contract_of
    from latebind.contracts.page import markdown

    _write({f"{c.prefix}.md": markdown(c) for c in map(contract_of, contracts)}, folder)


@command.command()
@_CONTRACTS
def schema(contracts: tuple[type, ...]) -> None:
    """Print each contract FILE:CLASS as JSON: the JSON Schema of each method's parameters and result."""
    from latebind.contracts import contract_of
    from latebind.contracts.schema import contract_schema

    for cls in contracts:
        print_document(contract_schema(contract_of(cls)))


@command.command()
@click.argument("old", type=contract_class, metavar="OLD")
@click.argument("new", type=contract_class, metavar="NEW")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def diff(old: type, new: type, as_json: bool) -> int:  # noqa: FBT001  (click passes options by keyword)
    """Compare the contract NEW with OLD (each FILE:CLASS): what changed, what breaks, and the version it needs.

    The exit status is 1 where NEW's version is lower than its changes need.
    """
    from latebind.contracts import contract_of
    from latebind.contracts.evolution import compare

    found = compare(contract_of(old), contract_of(new))
    if as_json:
        print_document({
            "schema": 1, "old": _name(found.old), "new": _name(found.new), "bump": found.bump,
            "needed": str(found.needed), "honest": found.honest,
            "changes": [{"place": c.place, "before": c.before, "after": c.after, "bump": c.bump}
                        for c in found.changes],
        })  # fmt: skip
        return SUCCESS if found.honest else FINDING
    print_lines([f"{_name(found.old)} → {_name(found.new)}"])
    for heading, bump in (("breaks", "major"), ("adds", "minor"), ("changes nothing for others", "patch")):
        rows = [c for c in found.changes if c.bump == bump]
        if rows:
            shown = (f"    {c.place}: {c.before or 'nothing'} → {c.after or 'nothing'}" for c in rows)
            print_lines([f"  {heading}: {len(rows)}", *shown])
    print_lines([f"  needs a {found.bump} bump: {found.needed} or later" if found.bump else "  needs no bump"])
    if not found.honest:
        print_lines([f"  {found.new.version} is too low"])
    return SUCCESS if found.honest else FINDING


def _name(contract: Contract) -> str:
    return f"{contract.id} {contract.version}"


def _write(files: dict[str, str], folder: str | None) -> None:
    """All texts to standard output, or each to its file."""
    for name, text in files.items():
        if folder is None:
            click.echo(text, nl=False)
        else:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
