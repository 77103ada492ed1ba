"""Columns that line up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: str = "", indent: str = "") -> Iterator[str]:
    """The lines of a table: `head`, then `rows`.

    `right` names the columns that align to the right, by their heads, separated by blanks. The last column is not
    padded. Without rows there is no table.
    """
    body = [tuple(row) for row in rows]
    if not body:
        return
    lines = [tuple(head), *body]
    last = len(head) - 1
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    to_the_right = [name in right.split() for name in head]
    for line in lines:
        cells = [
            cell.rjust(width) if flush else cell if column == last else cell.ljust(width)
            for column, (cell, width, flush) in enumerate(zip(line, widths, to_the_right, strict=True))
        ]
        yield indent + "  ".join(cells).rstrip()
