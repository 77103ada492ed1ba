"""Two plans compared: what a library update, another search path or another image changes for a program.

Objects are matched by what they are asked for (the needed name; the root by being the root), bindings by who refers
to which symbol. Addresses inside an object are not compared: they change with every build.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.linkplan.document import BindingRecord, ObjectRecord, PlanRecord


class Change(StrEnum):
    """What kind of change."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    """The same name leads to another path."""
    REBUILT = "rebuilt"
    """The same path holds another build (build-id or size)."""
    REBOUND = "rebound"
    """The reference gets its definition from another object."""
    LOST = "lost"
    """There was a definition, and there is none now."""
    FOUND = "found"
    """There was no definition, and there is one now."""
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: its kind, what it is about, and both sides in words (None where a side has nothing)."""

    change: Change
    what: str
    before: str | None
    after: str | None
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """Everything that differs between two plans."""

    objects: tuple[Difference, ...]
    bindings: tuple[Difference, ...]
    order: tuple[Difference, ...]

    @property
    def all(self) -> tuple[Difference, ...]:
        """All differences, objects first."""
        return self.objects + self.bindings + self.order

    @property
    def breaks(self) -> bool:
        """Whether the program would fail now: an object or a definition that it needs is gone."""
        return any(d.breaks for d in self.all)


def compare(before: PlanRecord, after: PlanRecord) -> PlanDiff:
    """What is different in `after`."""
    return PlanDiff(_objects(before, after), _bindings(before, after), _order(before, after))


def _keys(plan: PlanRecord) -> list[str]:
    """What each object is matched by, by index."""
    return ["(the file itself)", *(o.soname or o.name for o in plan.objects[1:])]


def _objects(before: PlanRecord, after: PlanRecord) -> tuple[Difference, ...]:
    old = dict(zip(_keys(before), before.objects, strict=True))
    new = dict(zip(_keys(after), after.objects, strict=True))
    found = []
    for key, o in old.items():
        if key not in new:
            lost = o.name in after.missing or key in after.missing
            found.append(Difference(Change.REMOVED, key, o.path, "missing" if lost else None, breaks=lost))
    for key, o in new.items():
        was = old.get(key)
        if was is None:
            there = "missing" if o.name in before.missing or key in before.missing else None
            found.append(Difference(Change.ADDED, key, there, o.path))
        else:
            found += _same_object(key, was, o)
    known = {d.what for d in found}
    gone = [m for m in after.missing if m not in before.missing and m not in known]
    return (*found, *(Difference(Change.LOST, name, None, "missing", breaks=True) for name in gone))


def _same_object(key: str, was: ObjectRecord, now: ObjectRecord) -> list[Difference]:
    if was.path != now.path and key != "(the file itself)":
        return [Difference(Change.MOVED, key, f"{was.path} ({was.why})", f"{now.path} ({now.why})")]
    if (was.build_id, was.size) != (now.build_id, now.size):
        return [Difference(Change.REBUILT, key, _build(was), _build(now))]
    return []


def _build(o: ObjectRecord) -> str:
    return f"{o.path}, {o.size} bytes, build-id {o.build_id or 'none'}"


def _bindings(before: PlanRecord, after: PlanRecord) -> tuple[Difference, ...]:
    old, new = _by_reference(before), _by_reference(after)
    found = []
    for (referrer, symbol, version), (b, target) in new.items():
        what = f"{symbol}@{version} of {referrer}" if version else f"{symbol} of {referrer}"
        previous = old.get((referrer, symbol, version))
        if previous is None:
            if b.kind == "unresolved":
                found.append(Difference(Change.LOST, what, None, "undefined", breaks=True))
            continue
        was = previous[1]
        if was == target:
            continue
        if target is None:
            found.append(Difference(Change.LOST, what, was, "undefined", breaks=not b.weak))
        elif was is None:
            found.append(Difference(Change.FOUND, what, "undefined", target))
        else:
            found.append(Difference(Change.REBOUND, what, was, f"{target} ({b.why})"))
    return tuple(found)


def _by_reference(plan: PlanRecord) -> dict[tuple[str, str, str | None], tuple[BindingRecord, str | None]]:
    keys = _keys(plan)
    return {
        (keys[b.referrer], b.symbol, b.version): (b, None if b.target is None else keys[b.target])
        for b in plan.bindings
    }


def _order(before: PlanRecord, after: PlanRecord) -> tuple[Difference, ...]:
    """Whether the objects that both have get their constructors in another order."""
    old_keys, new_keys = _keys(before), _keys(after)
    both = set(old_keys) & set(new_keys)
    old = [old_keys[i] for i in before.init_order if old_keys[i] in both]
    new = [new_keys[i] for i in after.init_order if new_keys[i] in both]
    if old == new:
        return ()
    return (Difference(Change.REORDERED, "constructors", " → ".join(old), " → ".join(new)),)
