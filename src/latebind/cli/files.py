"""What the reporting verbs share: several files in one run; a bad one is reported and does not stop the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from latebind.cli.group import FINDING, SUCCESS, complain
from latebind.errors import LatebindError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def for_each(files: Sequence[str], report: Callable[[str], bool]) -> int:
    """Call `report` for each file; the exit status is a finding if one answers False or cannot be read."""
    status = SUCCESS
    for file in files:
        try:
            fine = report(file)
        except LatebindError as error:
            complain(error)
            fine = False
        if not fine:
            status = FINDING
    return status


def print_lines(lines: Iterable[str]) -> None:
    """Print text, all of it at once: half a report of a broken file would be worse than none."""
    print("\n".join(lines))


def print_document(document: dict[str, Any]) -> None:
    """Print one JSON document on one line."""
    print(json.dumps(document, separators=(",", ":"), ensure_ascii=True))
