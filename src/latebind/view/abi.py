"""The comparison of two builds' interfaces, as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from latebind.linkplan.abi import AbiKind, Bump
from latebind.view.look import PLAIN, Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan.abi import AbiChange, AbiDiff

_TITLES: Final = {
    AbiKind.MACHINE: "machine",
    AbiKind.SONAME: "soname",
    AbiKind.REMOVED: "removed",
    AbiKind.VERSION: "changed in version",
    AbiKind.TYPE: "changed in type",
    AbiKind.SIZE: "changed in size",
    AbiKind.SIGNATURE: "changed in signature",
    AbiKind.LAYOUT: "changed in layout",
    AbiKind.ADDED: "added",
}
_BUMPS: Final = {
    Bump.MAJOR: "needs a new major version: what was linked with the old one may fail",
    Bump.MINOR: "needs a new minor version: there is more, and what was there still works",
    Bump.PATCH: "a patch version will do: the interface is the same",
}


def report(diff: AbiDiff, look: Look = PLAIN) -> Iterator[str]:
    """The lines of a comparison: what breaks stands out, additions come last, the verdict ends it."""
    yield look.fit(("head", diff.old), ("", " → "), ("head", diff.new))
    for kind, title in _TITLES.items():
        changes = [c for c in diff.changes if c.kind is kind]
        if changes:
            yield f"  {title}: {len(changes)}"
            for change in changes:
                yield from _change(change, look)
    role = {Bump.MAJOR: "bad", Bump.MINOR: "warn", Bump.PATCH: "good"}[diff.bump]
    yield look.fit(("", "  "), (role, _BUMPS[diff.bump]))


def _change(change: AbiChange, look: Look) -> Iterator[str]:
    symbol = change.kind not in (AbiKind.LAYOUT, AbiKind.MACHINE, AbiKind.SONAME)
    name = look.readable_version(change.what) if symbol else change.what
    role = "bad" if change.breaks else "good" if change.kind is AbiKind.ADDED else "warn"
    mark = ("bad", "   ← breaks") if change.breaks else ("", "")
    if change.before is None or change.after is None:
        known = change.after if change.before is None else change.before
        yield look.fit(("", "    "), (role, name), ("dim", f"  {known}" if known else ""), mark)
    elif len(change.before) + len(change.after) < 60:
        yield look.fit(("", "    "), (role, name), ("", f": {change.before} → {change.after}"), mark)
    else:
        yield look.fit(("", "    "), (role, name), mark)
        yield look.fit(("", f"      before {change.before}"))
        yield look.fit(("", f"      after  {change.after}"))


def document(diff: AbiDiff) -> dict[str, Any]:
    """The comparison as `latebind abi --json` prints it: schema 1."""
    return {
        "schema": 1,
        "old": diff.old,
        "new": diff.new,
        "breaks": diff.breaks,
        "bump": str(diff.bump),
        "declarations_compared": diff.declared,
        "changes": [
            {"kind": str(c.kind), "what": c.what, "before": c.before, "after": c.after, "breaks": c.breaks}
            for c in diff.changes
        ],
    }
