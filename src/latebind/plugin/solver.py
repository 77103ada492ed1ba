"""Choosing versions: one version of each plugin, and somebody for each requirement, so that everything fits.

Mostly everyone's first choice fits, and that is looked at first. Otherwise resolvelib (the resolver of pip) searches,
with backtracking over versions and providers. What is optional is decided last and may stay open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from latebind.plugin.candidates import Ask, Candidates
    from latebind.plugin.manifest import Manifest


@dataclass(slots=True)
class Solution:
    """A version for each plugin, and who meets each requirement (None: nobody, and it is optional)."""

    chosen: dict[str, Manifest] = field(default_factory=dict)
    met: dict[Ask, Manifest | None] = field(default_factory=dict)


class NoSolution(Exception):
    """Nothing fits. `asks` are requirements that the search ran into. For `explain` only; users get its error."""

    def __init__(self, asks: tuple[Ask, ...]) -> None:
        super().__init__(asks)
        self.asks = asks


def solve(roots: Sequence[Ask], candidates: Candidates, dropped: frozenset[Ask] = frozenset()) -> Solution:
    """Meet the roots and all that follows from them; `dropped` requirements are left out of account.

    Raises `NoSolution`, or `Unsupported` when the search takes too long.
    """
    problem = Problem(candidates, dropped)
    wanted = [r for r in roots if r not in dropped]
    found = _first_choices(wanted, problem)
    if found is None:
        from latebind.plugin.backtracking import search

        found = search(wanted, problem)
    return found


class Problem:
    """The candidates, without what is dropped and without versions that a requirement makes impossible."""

    def __init__(self, candidates: Candidates, dropped: frozenset[Ask]) -> None:
        self.candidates, self.dropped = candidates, dropped
        self.dead: dict[int, Ask] = {}

    def asks(self, manifest: Manifest) -> Iterable[Ask]:
        """What a plugin asks of others."""
        found = self.candidates.asks(manifest)
        return [a for a in found if a not in self.dropped] if self.dropped else found

    def options(self, ask: Ask) -> Sequence[Manifest]:
        """Who can meet it, best first."""
        found = self.candidates.options(ask)
        return [m for m in found if id(m) not in self.dead] if self.dead else found

    def versions(self, plugin: str) -> Iterable[Manifest]:
        """The versions of a plugin, newest first."""
        return (m for m in self.candidates.versions(plugin) if id(m) not in self.dead)

    def bury(self, roots: Iterable[Ask]) -> None:
        """Find the versions that have a requirement which nobody meets, and those that need them, and so on."""
        reachable: dict[int, Manifest] = {}
        pending = [m for root in roots for m in self.candidates.options(root)]
        while pending:
            manifest = pending.pop()
            if id(manifest) not in reachable:
                reachable[id(manifest)] = manifest
                pending += [m for ask in self.asks(manifest) for m in self.candidates.options(ask)]
        found = True
        while found:
            found = False
            for key, manifest in reachable.items():
                if key in self.dead:
                    continue
                hopeless = [a for a in self.asks(manifest) if not a.required.optional and not self.options(a)]
                if hopeless:
                    self.dead[key] = hopeless[0]
                    found = True


def _first_choices(roots: Sequence[Ask], problem: Problem) -> Solution | None:
    """What everyone would choose alone, if that fits; None if it takes a search to find what does."""
    problem.bury(roots)
    solution = Solution()
    first: dict[str, Manifest] = {}
    pending = list(roots)
    for ask in roots:
        options = problem.options(ask)
        if not options:
            return None
        first.setdefault(ask.required.id, options[0])
    while pending:
        ask = pending.pop()
        options = problem.options(ask)
        if not options:
            if not ask.required.optional:
                return None
            solution.met[ask] = None
            continue
        choice = options[0]
        if choice.id not in first:
            first[choice.id] = next(iter(problem.versions(choice.id)))
        if choice is not first[choice.id]:
            return None
        solution.met[ask] = choice
        if choice.id not in solution.chosen:
            solution.chosen[choice.id] = choice
            pending += problem.asks(choice)
    return solution
