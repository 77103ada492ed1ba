"""`latebind plugin pack`, `search`, `install` and `remove`: plugins from an index, and into one."""

from __future__ import annotations

import os

import click

from latebind.cli.files import print_lines
from latebind.cli.ids import plugins_installed, plugins_offered

_INDEX = click.option("--index", "place", metavar="PLACE", envvar="LATEBIND_INDEX", required=True,
                      help="The index: a URL, a folder or a file (default: $LATEBIND_INDEX).")  # fmt: skip
_INTO = click.option("--dir", "folder", metavar="DIR", envvar="LATEBIND_PLUGINS",
                     help="Where plugins are installed (default: $LATEBIND_PLUGINS or ~/.local/share/…).")  # fmt: skip
_VERSION = click.option("--version", default="*", metavar="RANGE", help="Which versions, such as ^1.2 (default: any).")


@click.command()
@click.argument("place", metavar="DIR")
@click.argument("folder", metavar="FOLDER")
def pack(place: str, folder: str) -> None:
    """Pack the plugin in DIR, and add it to the index in FOLDER, which any web server can then offer."""
    from latebind.cli.places import manifest_in
    from latebind.plugin import pack_plugin

    print_lines([pack_plugin(manifest_in(place), folder).archive])


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD...]")
@_INDEX
def search(words: tuple[str, ...], place: str) -> None:
    """List the plugins of an index in whose id, summary or contracts every WORD occurs."""
    from latebind.plugin import read_index
    from latebind.view.table import table

    rows = [(p.id, str(p.version), ", ".join(p.provides), p.summary) for p in read_index(place).search(*words)]
    print_lines(table(("ID", "VERSION", "PROVIDES", "SUMMARY"), rows))


@click.command()
@click.argument("plugin", metavar="ID", shell_complete=plugins_offered)
@_INDEX
@_INTO
@_VERSION
@click.option("--trust", "store", metavar="FILE", envvar="LATEBIND_TRUST",
              help="Install only what a key in this trust store signed (default: $LATEBIND_TRUST).")  # fmt: skip
def install(plugin: str, place: str, folder: str | None, version: str, store: str | None) -> None:
    """Download the plugin ID from an index, verify it and install it. None of its code is run.

    Without --trust, the archive is only known to be the one that the index means.
    """
    from latebind.plugin import install as install_plugin
    from latebind.plugin import read_index
    from latebind.sandbox import TrustStore

    trust = TrustStore.read(store) if store else None
    _check_range(version)
    manifest = install_plugin(read_index(place), plugin, folder or own_folder(), version=version, trust=trust)
    print_lines([f"{manifest}: {manifest.folder}"])


@click.command()
@click.argument("plugin", metavar="ID", shell_complete=plugins_installed)
@_INTO
@_VERSION
def remove(plugin: str, folder: str | None, version: str) -> None:
    """Remove the installed plugin ID, in every version or those in RANGE."""
    from latebind.plugin import remove as remove_plugin

    _check_range(version)
    print_lines([f"removed {gone}" for gone in remove_plugin(plugin, folder or own_folder(), version=version)])


def _check_range(version: str) -> None:
    from latebind.contracts import Range

    try:
        Range.parse(version)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def own_folder() -> str:
    """Where plugins are installed unless something else is said."""
    # The XDG Base Directory Specification: an unset or relative $XDG_DATA_HOME means ~/.local/share.
    base = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.local/share"), "latebind", "plugins")
