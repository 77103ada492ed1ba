"""The closure of a plan: as a tree with the reason for each place, as a list in load order, as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latebind.linkplan import Role
from latebind.search import Missing
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan import LinkPlan, PlannedObject


def tree(plan: LinkPlan) -> Iterator[str]:
    """The lines of the tree: who needs whom, where each object is, and by which rule it was found.

    An object is opened where it is first met; further down it is only named.
    """
    yield plan.root.path
    opened = {0}
    yield from _below(plan, plan.root, "", opened)


def _below(plan: LinkPlan, parent: PlannedObject, indent: str, opened: set[int]) -> Iterator[str]:
    children: list[PlannedObject | Missing] = [plan.objects[index] for index in parent.needs]
    children += [missing for missing in plan.missing if parent.index in missing.needed_by]
    for number, child in enumerate(children, 1):
        last = number == len(children)
        branch, deeper = ("└─ ", indent + "   ") if last else ("├─ ", indent + "│  ")
        yield f"{indent}{branch}{_line(child, opened)}"
        if isinstance(child, Missing):
            yield from (f"{deeper}tried {place.path}: {place.why}" for place in child.tried)
        elif child.index not in opened:
            opened.add(child.index)
            yield from _below(plan, child, deeper, opened)


def _line(child: PlannedObject | Missing, opened: set[int]) -> str:
    if isinstance(child, Missing):
        return f"{child.name} is missing"
    if child.index in opened:
        return f"{child.name} (see above)"
    role = "" if child.role is Role.OWN else f", {child.role}"
    return f"{child.name} → {child.path}  [{child.via}: {child.why}{role}]"


def listing(plan: LinkPlan) -> Iterator[str]:
    """The objects in load order, one a line, and below them what is missing."""
    yield plan.root.path
    rows = [(o.name, o.path, o.via, o.why) for o in plan.closure[1:]]
    yield from table(("NAME", "PATH", "VIA", "WHY"), rows, indent="  ")
    for missing in plan.missing:
        yield f"  {missing.name} is missing, needed by {', '.join(plan.objects[i].path for i in missing.needed_by)}"
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
