"""A plan's record and the comparison of two, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan import Difference, PlanDiff


def differences(diff: PlanDiff) -> Iterator[str]:
    """The lines of a comparison: objects, bindings, order; each difference with its two sides."""
    if not diff.all:
        yield "no difference"
    for title, part in (("objects", diff.objects), ("bindings", diff.bindings), ("order", diff.order)):
        if part:
            yield f"{title}: {len(part)}"
            for d in part:
                yield f"  {d.change}: {d.what}{'   ← breaks' if d.breaks else ''}"
                yield from (f"    {side} {text}" for side, text in (("before", d.before), ("after ", d.after)) if text)


def document(diff: PlanDiff) -> dict[str, Any]:
    """The comparison as `latebind plan diff --json` prints it."""

    def entry(d: Difference) -> dict[str, Any]:
        return {"change": str(d.change), "what": d.what, "before": d.before, "after": d.after, "breaks": d.breaks}

    return {
        "schema": 1,
        "breaks": diff.breaks,
        "objects": [entry(d) for d in diff.objects],
        "bindings": [entry(d) for d in diff.bindings],
        "order": [entry(d) for d in diff.order],
    }
