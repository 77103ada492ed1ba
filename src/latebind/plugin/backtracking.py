"""The search for versions that fit together, by resolvelib; imported when everyone's first choice does not fit.

To resolvelib, a plugin's id stands for a choice among its versions, and a requirement that several plugins could meet
(or that may stay open) for a choice among those; choosing one there requires just that version of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from resolvelib import AbstractProvider, BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from latebind.errors import Unsupported
from latebind.plugin.candidates import Ask
from latebind.plugin.solver import NoSolution, Problem, Solution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from latebind.plugin.manifest import Manifest

_ROUNDS: Final = 5_000
"""Steps of a search before it is given up: manifests are not trusted, and the problem is NP-complete."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pin:
    """A requirement for exactly one version of a plugin, which follows from a choice for `ask`."""

    ask: Ask
    manifest: Manifest


@dataclass(frozen=True, slots=True, eq=False)
class _Met:
    """A candidate for a requirement: that this plugin meets it, or (None) that it stays open."""

    ask: Ask
    manifest: Manifest | None


def search(roots: Sequence[Ask], problem: Problem) -> Solution:
    """Meet the roots. Raises `NoSolution`, or `Unsupported` when it takes too long."""
    reporter = _Reporter()
    try:
        # Not its Resolver, which then looks for a way from each plugin to the roots and does not survive circles.
        state = Resolution(_Provider(problem), reporter).resolve(roots, max_rounds=_ROUNDS)
    except ResolutionImpossible as e:
        reporter.seen.update(dict.fromkeys(_asks_in(e.causes)))
        raise NoSolution(tuple(reporter.seen)) from e
    except ResolutionTooDeep as e:
        what = "resolving what the plugins require"
        raise Unsupported(what, f"no answer in {_ROUNDS} steps", "require narrower ranges of versions") from e
    return _read(roots, state.mapping, problem)


def _read(roots: Sequence[Ask], mapping: Mapping[Any, Any], problem: Problem) -> Solution:
    """What resolvelib found, as far as it follows from the roots."""
    solution = Solution()
    pending = list(roots)
    while pending:
        ask = pending.pop()
        found = mapping[_name(ask)]
        manifest = found.manifest if isinstance(found, _Met) else found
        solution.met[ask] = manifest
        if manifest is not None and manifest.id not in solution.chosen:
            solution.chosen[manifest.id] = manifest
            pending += problem.asks(manifest)
    for ask, manifest in solution.met.items():
        # It may have stayed open because of a version that was given up later.
        if manifest is None:
            there = [m for m in problem.options(ask) if solution.chosen.get(m.id) is m]
            solution.met[ask] = there[0] if there else None
    return solution


def _name(thing: Ask | _Pin | Manifest | _Met) -> str | Ask:
    """What resolvelib tells things apart by: a plugin's id, or a requirement that several things could meet."""
    if isinstance(thing, _Pin):
        return thing.manifest.id
    if isinstance(thing, Ask):
        return thing if thing.required.optional or thing.required.kind == "contract" else thing.required.id
    return thing.ask if isinstance(thing, _Met) else thing.id


def _asks_in(causes: Iterable[Any]) -> Iterator[Ask]:
    for cause in causes:
        requirement = cause.requirement
        yield requirement.ask if isinstance(requirement, _Pin) else requirement


class _Provider(AbstractProvider[Any, Any, Any]):
    """Answers resolvelib's questions about one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._choices: dict[Ask, list[_Met]] = {}

    def identify(self, requirement_or_candidate: Any) -> Any:
        return _name(requirement_or_candidate)

    def get_preference(self, identifier: Any, *_: Any, **__: Any) -> Any:
        # Versions before providers, and what is optional last, so that it bends to the rest.
        return not isinstance(identifier, str), isinstance(identifier, Ask) and identifier.required.optional

    def find_matches(self, identifier: Any, requirements: Any, incompatibilities: Any) -> Any:
        bad = {id(c) for c in incompatibilities[identifier]}
        if isinstance(identifier, Ask):
            return [c for c in self._choices_for(identifier) if id(c) not in bad]
        wanted = list(requirements[identifier])
        versions = self._problem.versions(identifier)
        return [m for m in versions if id(m) not in bad and all(self._fits(r, m) for r in wanted)]

    def is_satisfied_by(self, requirement: Any, candidate: Any) -> bool:
        return isinstance(candidate, _Met) or self._fits(requirement, candidate)

    def get_dependencies(self, candidate: Any) -> Any:
        if isinstance(candidate, _Met):
            return [] if candidate.manifest is None else [_Pin(candidate.ask, candidate.manifest)]
        return self._problem.asks(candidate)

    def _choices_for(self, ask: Ask) -> list[_Met]:
        """Always the same objects: resolvelib tells candidates apart by identity."""
        found = self._choices.get(ask)
        if found is None:
            found = self._choices[ask] = [_Met(ask, m) for m in self._problem.options(ask)]
            if ask.required.optional:
                found.append(_Met(ask, None))
        return found

    def _fits(self, requirement: Ask | _Pin, manifest: Manifest) -> bool:
        if isinstance(requirement, _Pin):
            return requirement.manifest is manifest
        return any(m is manifest for m in self._problem.options(requirement))


class _Reporter(BaseReporter[Any, Any, Any]):
    """Remembers which requirements took part in a conflict."""

    def __init__(self) -> None:
        self.seen: dict[Ask, None] = {}

    def rejecting_candidate(self, criterion: Any, candidate: Any) -> None:
        del candidate
        self.seen.update(dict.fromkeys(_asks_in(criterion.information)))
