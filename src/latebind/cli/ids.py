"""What the shell offers where a plugin can be named: the ids of those that are there. No code of theirs is run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click
    from click.shell_completion import CompletionItem


def plugins_around(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """For an argument that is a folder or an id: folders, and the plugins in `--dir`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type="dir"), *_found(typed, context.params.get("places") or (".",))]


def plugins_installed(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """For an argument that is the id of an installed plugin."""
    from latebind.cli.packages import own_folder

    return _found(typed, [context.params.get("folder") or own_folder()])


def plugins_offered(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """For an argument that is an id in an index. Only an index on this machine is read for it."""
    place = context.params.get("place") or ""
    if not os.path.exists(place):
        return []
    from latebind.plugin import read_index

    try:
        return _matching(typed, ((p.id, p.summary) for p in read_index(place).search()))
    except LatebindError:
        return []  # the command itself tells what is wrong


def _found(typed: str, places: Iterable[str]) -> list[CompletionItem]:
    from latebind.plugin import Registry

    try:
        return _matching(typed, ((m.id, m.summary) for m in Registry().discover(*places).found))
    except LatebindError:
        return []


def _matching(typed: str, plugins: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    by_id = dict(reversed([*plugins]))
    return [CompletionItem(name, help=by_id[name] or None) for name in sorted(by_id) if name.startswith(typed)]
