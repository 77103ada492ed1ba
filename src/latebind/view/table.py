"""Columns that line up, and that fit the terminal where there is one."""

from __future__ import annotations

from latebind.view.look import PLAIN, Look, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final

_NARROWEST: Final = 12  # a column that is cut below this says nothing any more
_GAP: Final = 2


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: str = "",
    indent: str = "",
    look: Look = PLAIN,
    roles: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The lines of a table: `head`, then `rows`.

    `right` names the columns that align to the right, by their heads, separated by blanks. The last column is not
    padded. Without rows there is no table. `roles` maps heads to the colour role of their column (view.look).
    """
    body = [tuple(row) for row in rows]
    if not body:
        return
    lines = [tuple(head), *body]
    last = len(head) - 1
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    if look.width is not None:
        widths = _fitted(widths, look.width - len(indent))
    to_the_right = [name in right.split() for name in head]
    columns = [(roles or {}).get(name, "") for name in head]
    for number, line in enumerate(lines):
        cells = []
        for column, (text, width, flush) in enumerate(zip(line, widths, to_the_right, strict=True)):
            cut = shorten(text, width)
            padded = cut.rjust(width) if flush else cut if column == last else cut.ljust(width)
            cells.append(look.paint("dim" if number == 0 else columns[column], padded))
        yield indent + (" " * _GAP).join(cells).rstrip()


def _fitted(widths: list[int], room: int) -> list[int]:
    """Widths that fill at most `room`, taken from the widest columns first."""
    fitted = list(widths)
    over = sum(fitted) + _GAP * (len(fitted) - 1) - room
    while over > 0:
        widest = max(fitted)
        if widest <= _NARROWEST:
            break  # too many columns for this terminal; it wraps the lines
        column = len(fitted) - 1 - fitted[::-1].index(widest)
        second = max([w for w in fitted if w < widest], default=0)
        cut = min(over, widest - max(second, _NARROWEST)) or 1
        fitted[column] -= cut
        over -= cut
    return fitted
