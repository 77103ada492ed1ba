"""`latebind contract`: what a contract looks like from the other side, for the author of a plugin."""

from __future__ import annotations

import os

import click

from latebind.cli.definitions import contract_class


@click.group()
def command() -> None:
    """Contracts: the interfaces between a host and its plugins."""


@command.command()
@click.argument("contracts", type=contract_class, nargs=-1, required=True, metavar="FILE:CLASS...")
@click.option("--folder", "-d", metavar="DIR", help="Write one file for each contract into DIR, named as in #include.")
def header(contracts: tuple[type, ...], folder: str | None) -> None:
    """Write the C header of each contract FILE:CLASS, for a plugin in C or C++ to include."""
    from latebind.contracts import contract_of
    from latebind.contracts import header as text_of

    for contract in map(contract_of, contracts):
        if folder is None:
            click.echo(text_of(contract), nl=False)
        else:
            with open(os.path.join(folder, f"{contract.prefix}.h"), "w", encoding="utf-8") as file:
                file.write(text_of(contract))
