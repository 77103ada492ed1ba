"""Why nothing fits: the smallest set of requirements that cannot all be met, as an error that names them.

A search that fails has tried many things, and the last of them is rarely the reason. So requirements are left out, and
what can be left out without making things possible has no part in it. What remains is the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.errors import LatebindError, NotFound, Tried, VersionConflict
from latebind.plugin.candidates import Ask, Candidates, left_out
from latebind.plugin.solver import NoSolution, solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def explain(roots: Sequence[Ask], candidates: Candidates, failure: NoSolution) -> LatebindError:
    """The error for roots that cannot be met: `NotFound` if something is nowhere, or else `VersionConflict`."""
    everything = _reachable(roots, candidates)
    core = _smallest(roots, candidates, everything, _with_ancestors(failure.asks, everything))
    ends = [a for a in core if not candidates.options(a)]
    if ends and all(_nowhere(a, candidates) for a in ends):
        return _not_found(ends[0], core, candidates)
    return _conflict(core, ends, candidates)


def _reachable(roots: Iterable[Ask], candidates: Candidates) -> dict[Ask, Ask | None]:
    """Every requirement that could come up, outermost first, each with the one that it first came from."""
    found: dict[Ask, Ask | None] = dict.fromkeys(roots)
    pending = list(found)
    for ask in pending:  # which grows
        for manifest in candidates.options(ask):
            for following in candidates.asks(manifest):
                if following not in found:
                    found[following] = ask
                    pending.append(following)
    return found


def _with_ancestors(asks: Iterable[Ask], everything: dict[Ask, Ask | None]) -> set[Ask]:
    found: set[Ask] = set()
    for ask in asks:
        step: Ask | None = ask
        while step is not None and step not in found:
            found.add(step)
            step = everything.get(step)
    return found


def _smallest(
    roots: Sequence[Ask], candidates: Candidates, everything: dict[Ask, Ask | None], seen: set[Ask]
) -> list[Ask]:
    """Requirements of which none can be left out; outermost first. What is optional is never a reason."""
    mandatory = [a for a in everything if not a.required.optional]
    place = {a: i for i, a in enumerate(mandatory)}

    def impossible(kept: Sequence[Ask]) -> bool:
        keep = set(kept)
        try:
            solve(roots, candidates, frozenset(a for a in everything if a not in keep))
        except NoSolution:
            return True
        return False

    core = [a for a in mandatory if a in seen]
    if not impossible(core):
        core = mandatory  # the search did not meet all that matters
    return sorted(_quick_explain(impossible, [], core, grown=False), key=place.__getitem__)


def _quick_explain(
    impossible: Callable[[Sequence[Ask]], bool], given: list[Ask], asks: list[Ask], *, grown: bool
) -> list[Ask]:
    """The part of `asks` that it takes to make `given` impossible (U. Junker, QuickXplain, AAAI 2004).

    `grown` says whether `given` has become more since it was last looked at.
    """
    if grown and impossible(given):
        return []
    if len(asks) == 1:
        return asks
    half = len(asks) // 2
    left, right = asks[:half], asks[half:]
    second = _quick_explain(impossible, given + left, right, grown=bool(left))
    first = _quick_explain(impossible, given + second, left, grown=bool(second))
    return first + second


def _nowhere(ask: Ask, candidates: Candidates) -> bool:
    """Whether nothing is known that is called so or provides it, in whatever version."""
    failed = ask.required.kind == "plugin" and ask.required.id in candidates.known.failed
    return not failed and not candidates.exists(ask.required)


def _not_found(ask: Ask, core: Sequence[Ask], candidates: Candidates) -> NotFound:
    required = ask.required
    where = "the host's services and the known plugins" if required.kind == "contract" else "the known plugins"
    tried = (Tried(where, f"none is or provides {required.id}"), *left_out(candidates.known.rejected))
    out = [
        Tried(m.path, f"provides it and failed: {' '.join(str(error).split())}")
        for plugin, error in candidates.known.failed.items()
        for m in candidates.known.registry.versions(plugin)[:1]
        if required.kind == "contract" and any(p.contract == required.id for p in m.provides)
    ]
    if ask.consumer is None:
        return NotFound(f"plugin {required.id}", None, (*tried, *out))
    return NotFound(required.id, _needed_by(ask, core), (*out, *tried))


def _needed_by(ask: Ask, core: Sequence[Ask]) -> str:
    """`p.b 1.0.0, which p.a 1.0.0 requires`: from the one that misses it to the outermost."""
    assert ask.consumer is not None
    text, consumer = str(ask.consumer), ask.consumer
    seen = {consumer.id}
    while True:
        user = next(
            (a.consumer for a in core if a.consumer and a.consumer.id not in seen and _about(a, consumer)), None
        )
        if user is None:
            return text
        text, consumer = f"{text}, which {user} requires", user
        seen.add(user.id)


def _about(ask: Ask, manifest: object) -> bool:
    from latebind.plugin.manifest import Manifest

    assert isinstance(manifest, Manifest)
    if ask.required.kind == "plugin":
        return ask.required.id == manifest.id
    return any(p.contract == ask.required.id for p in manifest.provides)


def _conflict(core: Sequence[Ask], ends: Sequence[Ask], candidates: Candidates) -> VersionConflict:
    last = next((a for a in ends if not _nowhere(a, candidates)), core[-1])
    same = [a for a in core if (a.required.kind, a.required.id) == (last.required.kind, last.required.id)]
    if last.consumer is None or last in ends or len(same) == 1:
        asked = str(last.required) if last.consumer is None else str(last)
        text = f"{asked}, and none fits: {', '.join(candidates.turned_down(last))}"
    else:
        users = dict.fromkeys(str(a.consumer) for a in same if a.consumer is not None)
        there = ", ".join(str(m.version) for m in candidates.versions(last.required.id))
        text = f"{last.required.kind} {last.required.id}: none fits {' and '.join(users)} alike (there is {there})"
    chain = [f"{a}{', which is nowhere' if _nowhere(a, candidates) else ''}" for a in core]
    for plugin in dict.fromkeys(a.required.id for a in core if a.required.kind == "plugin"):
        loaded = candidates.fixed.get(plugin)
        if loaded is not None and candidates.is_loaded(loaded):
            chain.append(f"{loaded} is loaded")
    return VersionConflict(text, tuple(chain))
