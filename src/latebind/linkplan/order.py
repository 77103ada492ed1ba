"""The order of constructors (dependencies first) and of destructors (dependencies last).

Both are as glibc sorts (elf/dl-sort-maps.c, the depth-first algorithm).

Objects are visited from the last loaded to the first, each after everything that it needs; where needs form a
cycle, the edge that closes it is ignored. The first object, for which the others are loaded, always comes last
(`force_first` there), which makes a difference where it is itself part of a cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def constructor_order(needs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Object indexes in the order in which their constructors run; `needs[i]` are the objects that object i needs."""
    return tuple(sorted(_dependencies_first(needs), key=lambda index: index == 0))  # stable: only the first one moves


def destructor_order(needs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Indexes of objects that leave together in the order in which their destructors run; no object is special."""
    return tuple(reversed(_dependencies_first(needs)))


def _dependencies_first(needs: Sequence[Sequence[int]]) -> list[int]:
    done: list[int] = []
    visited = [False] * len(needs)
    for start in range(len(needs) - 1, -1, -1):
        if visited[start]:
            continue
        visited[start] = True
        path = [(start, iter(needs[start]))]
        while path:
            at, rest = path[-1]
            following = next((n for n in rest if not visited[n]), None)
            if following is None:
                done.append(at)
                path.pop()
            else:
                visited[following] = True
                path.append((following, iter(needs[following])))
    return done
