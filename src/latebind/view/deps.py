"""The closure of a plan: as a tree with the reason for each place, as a list in load order, as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.linkplan import Role
from latebind.search import Missing
from latebind.view.look import PLAIN, Look
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan import LinkPlan, PlannedObject


def tree(plan: LinkPlan, look: Look = PLAIN) -> Iterator[str]:
    """The lines of the tree: who needs whom, where each object is, and by which rule it was found.

    An object is opened where it is first met; further down it is only named.
    """
    yield look.fit(("head", plan.root.path))
    opened = {0}
    yield from _below(plan, plan.root, "", opened, look)


def _below(plan: LinkPlan, parent: PlannedObject, indent: str, opened: set[int], look: Look) -> Iterator[str]:
    children: list[PlannedObject | Missing] = [plan.objects[index] for index in parent.needs]
    children += [missing for missing in plan.missing if parent.index in missing.needed_by]
    for number, child in enumerate(children, 1):
        last = number == len(children)
        branch, deeper = ("└─ ", indent + "   ") if last else ("├─ ", indent + "│  ")
        yield look.fit(("dim", f"{indent}{branch}"), *_line(child, opened))
        if isinstance(child, Missing):
            yield from (look.fit(("dim", deeper), ("", f"tried {place.path}: {place.why}")) for place in child.tried)
        elif child.index not in opened:
            opened.add(child.index)
            yield from _below(plan, child, deeper, opened, look)


def _line(child: PlannedObject | Missing, opened: set[int]) -> list[tuple[str, str]]:
    if isinstance(child, Missing):
        return [("bad", f"{child.name} is missing")]
    if child.index in opened:
        return [("", child.name), ("dim", " (see above)")]
    role = "" if child.role is Role.OWN else f", {child.role}"
    return [("name", child.name), ("", " → "), ("path", child.path), ("dim", f"  [{child.via}: {child.why}{role}]")]


def listing(plan: LinkPlan, look: Look = PLAIN) -> Iterator[str]:
    """The objects in load order, one a line, and below them what is missing."""
    yield look.fit(("head", plan.root.path))
    rows = [(o.name, o.path, o.via, o.why) for o in plan.closure[1:]]
    roles = {"NAME": "name", "PATH": "path", "WHY": "dim"}
    yield from table(("NAME", "PATH", "VIA", "WHY"), rows, indent="  ", look=look, roles=roles)
    for missing in plan.missing:
        who = ", ".join(plan.objects[i].path for i in missing.needed_by)
        yield look.fit(("bad", f"  {missing.name} is missing"), ("", f", needed by {who}"))
        yield from (f"    tried {place.path}: {place.why}" for place in missing.tried)


def document(plan: LinkPlan) -> dict[str, Any]:
    """The closure as `latebind deps --json` prints it: schema 1, objects in load order without the file itself."""
    return {
        "schema": 1,
        "file": plan.root.path,
        "interpreter": plan.root.elf.interpreter,
        "objects": [
            {
                "name": o.name,
                "path": o.path,
                "via": str(o.via),
                "why": o.why,
                "needed_by": [plan.objects[index].path for index in o.needed_by],
            }
            for o in plan.closure[1:]
        ],
        "missing": [
            {
                "name": missing.name,
                "needed_by": [plan.objects[index].path for index in missing.needed_by],
                "tried": [{"path": place.path, "why": place.why} for place in missing.tried],
            }
            for missing in plan.missing
        ],
    }
