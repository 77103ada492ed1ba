"""`latebind cache`: the plans that are kept on disk, to load a library again without planning (linkplan/kept.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from latebind.cli.boundary import FINDING, SUCCESS
from latebind.cli.files import print_document, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from latebind.linkplan.kept import Damaged, Entry, Store


def _store() -> Store:
    from latebind.linkplan.kept import store_for

    store = store_for(os.environ)
    if store is None:
        raise click.ClickException("no plans are kept: LATEBIND_CACHE is off, or there is no home folder")
    return store


@click.group()
def command() -> None:
    """List, verify or clear the plans that are kept on disk.

    They lie below LATEBIND_CACHE, else in the folder `latebind` of XDG_CACHE_HOME or ~/.cache; LATEBIND_CACHE=off
    keeps none. Removing one is always safe: it is made again.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> int:  # noqa: FBT001  (click passes options by keyword)
    """List the kept plans: which library, how many objects, how many bytes."""
    return _report(_store(), as_json=as_json, every=True)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def verify(as_json: bool) -> int:  # noqa: FBT001
    """Check each kept plan: whether it is whole, and whether what it rests on is still as it was.

    The exit status is 1 where one is damaged. One that is stale is no fault: it is made again when it is needed.
    """
    return _report(_store(), as_json=as_json, every=False)


@command.command()
def clear() -> int:
    """Remove all kept plans."""
    store = _store()
    count = store.clear()
    print_lines([f"{count} plan{'s' if count != 1 else ''} removed from {store.folder}"])
    return SUCCESS


def _report(store: Store, *, as_json: bool, every: bool) -> int:
    rows = [_row(path, entry) for path, entry in store.entries()]
    if as_json:
        print_document({"schema": 1, "folder": store.folder, "plans": rows})
    else:
        print_lines(_lines(store, rows, every=every))
    return FINDING if not every and any(row["state"] == "damaged" for row in rows) else SUCCESS


def _row(path: str, entry: Entry | Damaged) -> dict[str, Any]:
    size = os.stat(path).st_size if os.path.exists(path) else 0
    row: dict[str, Any] = {"entry": path, "bytes": size, "library": None, "objects": 0, "state": "good", "why": None}
    if isinstance(entry, ValueError):
        return row | {"state": "damaged", "why": str(entry)}
    changed = entry.stale()
    row |= {"library": entry.path, "objects": sum(o.is_new for o in entry.plan.objects)}
    return row if changed is None else row | {"state": "stale", "why": f"{changed} is not as it was"}


def _lines(store: Store, rows: list[dict[str, Any]], *, every: bool) -> Iterator[str]:
    for row in rows:
        if every and row["state"] != "damaged":
            yield f"{row['library']}  objects {row['objects']}, {row['bytes']} bytes, {row['state']}"
        elif row["state"] != "good":
            yield f"{row['library'] or row['entry']}: {row['state']}: {row['why']}"
    counts = [f"{n} {state}" for state in ("good", "stale", "damaged") if (n := sum(r["state"] == state for r in rows))]
    yield f"{store.folder}: {', '.join(counts) or 'no plans'}"
