"""Near misses: the names that someone who asked for an unknown symbol may have meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_COMPARED = 4000  # difflib costs about 10 µs a pair; a library can export fifty thousand names


def near_names(wanted: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Up to `most` of `names` that resemble `wanted`, best first."""
    letters = set(wanted.lower())
    close = []
    for name in set(names):
        if name.lower() == wanted.lower():
            return (name,)
        if abs(len(name) - len(wanted)) <= 3 and len(letters.symmetric_difference(name.lower())) <= 4:
            close.append(name)
    close.sort(key=lambda n: (n[:1] != wanted[:1], n))
    return tuple(difflib.get_close_matches(wanted, close[:_MOST_COMPARED], n=most, cutoff=0.7))
