"""Choosing versions: one version of each plugin, and somebody for each requirement, so that everything fits.

Mostly everyone's first choice fits, and that is looked at first. Otherwise resolvelib (the resolver of pip) searches,
with backtracking over versions and providers. What is optional is decided last and may stay open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from latebind.plugin.candidates import Ask, Candidates
    from latebind.plugin.manifest import Manifest


_TRIES: Final = 16
"""Rounds of first choices before the search."""


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
    problem.narrow(wanted)
    found = _first_choices(wanted, problem)
    if found is None:
        from latebind.plugin.backtracking import search

        found = search(wanted, problem)
    return found


class Problem:
    """The candidates, without what is dropped and without versions that a requirement makes impossible."""

    def __init__(self, candidates: Candidates, dropped: frozenset[Ask]) -> None:
        self.candidates, self.dropped = candidates, dropped
        self.dead: set[int] = set()

    def asks(self, manifest: Manifest) -> Iterable[Ask]:
        """What a plugin asks of others."""
        found = self.candidates.asks(manifest)
        return [a for a in found if a not in self.dropped] if self.dropped else found

    def options(self, ask: Ask) -> Sequence[Manifest]:
        """Who can meet it, best first."""
        found = self.candidates.options(ask)
        return [m for m in found if id(m) not in self.dead] if self.dead else found

    def versions(self, plugin: str) -> Sequence[Manifest]:
        """The versions of a plugin, newest first."""
        found = self.candidates.versions(plugin)
        return [m for m in found if id(m) not in self.dead] if self.dead else found

    def narrow(self, roots: Sequence[Ask]) -> None:
        """Leave out the versions that cannot be part of any solution, as far as that can be seen without a search.

        Those with a requirement that nobody meets, and those that someone does not accept who is there in any case.
        Raises `NoSolution` when nothing is left for somebody who is needed.
        """
        reachable = self._reachable(roots)
        forced = dict.fromkeys(roots)
        changed = True
        while changed:
            changed = self._force(forced) or self._bury(reachable)

    def _reachable(self, roots: Iterable[Ask]) -> list[Manifest]:
        found: dict[int, Manifest] = {}
        pending = [m for root in roots for m in self.candidates.options(root)]
        while pending:
            manifest = pending.pop()
            if id(manifest) not in found:
                found[id(manifest)] = manifest
                pending += [m for ask in self.asks(manifest) for m in self.candidates.options(ask)]
        return list(found.values())

    def _bury(self, manifests: Iterable[Manifest]) -> bool:
        """Leave out what has a requirement that nobody meets; whether that changed anything."""
        before = len(self.dead)
        for manifest in manifests:
            asks = self.asks(manifest) if id(manifest) not in self.dead else ()
            if any(not a.required.optional and not self.options(a) for a in asks):
                self.dead.add(id(manifest))
        return len(self.dead) > before

    def _force(self, forced: dict[Ask, None]) -> bool:
        """Follow what must be met in any case (`forced`, which grows); whether that changed anything."""
        before = len(self.dead), len(forced)
        pending = list(forced)
        for ask in pending:  # which grows
            options = self.options(ask)
            if not options:
                raise NoSolution(tuple(forced))
            if any(m.id != options[0].id for m in options):
                continue
            there = [m for m in self.versions(options[0].id) if m in options]
            self.dead.update(id(m) for m in self.versions(options[0].id) if m not in options)
            if len(there) == 1:
                more = [a for a in self.asks(there[0]) if not a.required.optional and a not in forced]
                forced.update(dict.fromkeys(more))
                pending += more
        return (len(self.dead), len(forced)) != before


def _first_choices(roots: Sequence[Ask], problem: Problem) -> Solution | None:
    """What everyone would choose alone, if that fits; None if it takes a search to find what does.

    Each plugin's first choice is its newest version that everyone accepts who requires it by its id. Who that is may
    change with the choices, so they are made again until they stay the same.
    """
    wanted: dict[str, list[Ask]] = {}
    for _ in range(_TRIES):
        first = _Newest(problem, wanted)
        solution = _choose(roots, problem, first)
        if solution is not None:
            return solution
        asking = _who_asks(roots, problem, first)
        if asking is None or asking == wanted:
            return None
        wanted = asking
    return None


class _Newest:
    """Each plugin's newest version that all accept who are known to require it; None without any."""

    def __init__(self, problem: Problem, wanted: Mapping[str, Sequence[Ask]]) -> None:
        self._problem, self._wanted = problem, wanted
        self._found: dict[str, Manifest | None] = {}

    def __call__(self, plugin: str) -> Manifest | None:
        if plugin not in self._found:
            asks = self._wanted.get(plugin, ())
            fitting = [m for m in self._problem.versions(plugin) if all(m in self._problem.options(a) for a in asks)]
            self._found[plugin] = fitting[0] if fitting else None
        return self._found[plugin]


def _choose(roots: Sequence[Ask], problem: Problem, first: _Newest) -> Solution | None:
    """The solution of first choices, or None if it is none."""
    solution = Solution()
    pending = list(roots)
    while pending:
        ask = pending.pop()
        options = problem.options(ask)
        if not options:
            if not ask.required.optional:
                return None
            solution.met[ask] = None
            continue
        choice = first(options[0].id)
        if choice is None or (choice is not options[0] and (ask.required.kind == "contract" or choice not in options)):
            return None
        solution.met[ask] = choice
        if choice.id not in solution.chosen:
            solution.chosen[choice.id] = choice
            pending += problem.asks(choice)
    return solution


def _who_asks(roots: Sequence[Ask], problem: Problem, first: _Newest) -> dict[str, list[Ask]] | None:
    """Who requires which plugin by its id, if the first choices are taken as they are; None if there is none."""
    found: dict[str, list[Ask]] = {}
    seen: set[str] = set()
    pending = list(roots)
    while pending:
        ask = pending.pop()
        options = problem.options(ask)
        if not options:
            continue
        if ask.required.kind == "plugin" and not ask.required.optional:
            found.setdefault(ask.required.id, []).append(ask)
        choice = first(options[0].id)
        if choice is None:
            return None
        if choice.id not in seen:
            seen.add(choice.id)
            pending += problem.asks(choice)
    return found
