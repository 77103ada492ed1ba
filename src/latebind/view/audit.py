"""What a program could do, as far as its files show: capabilities with the imports that imply them, system calls.

The values here are texts: which symbol implies which capability, and what is allowed, is the business of `sandbox`,
whose words the command line puts in. So this package needs nothing above `linkplan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latebind.view.look import PLAIN, Look

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_SHOWN = 8  # system calls of one object; --json has all


@dataclass(frozen=True, slots=True)
class CapabilityUse:
    """One capability: the symbols that imply it, each with the paths of the objects that import it.

    `allowed` is None where nothing was said about what is allowed.
    """

    capability: str
    symbols: tuple[tuple[str, tuple[str, ...]], ...]
    allowed: bool | None


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system-call instruction: its virtual address, its text, the function around it, the call's number."""

    address: int
    instruction: str
    function: str | None
    number: int | None


@dataclass(frozen=True, slots=True)
class ObjectCalls:
    """The system-call instructions of one object. `hidden` counts their bytes inside other instructions or data."""

    path: str
    calls: tuple[SystemCall, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All that is known. `calls` is None where nobody looked; `notes` are reservations a reader should know of."""

    file: str
    objects: int
    uses: tuple[CapabilityUse, ...]
    calls: tuple[ObjectCalls, ...] | None
    calls_allowed: bool | None
    passed_over: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def exceeds(self) -> bool:
        """Whether something was found that is not allowed."""
        unlooked = self.calls is None or any(o.calls for o in self.calls)
        return any(u.allowed is False for u in self.uses) or (self.calls_allowed is False and unlooked)


def report(found: AuditReport, look: Look = PLAIN) -> Iterator[str]:
    """The report's lines."""
    count = f": {found.objects} object{'s' if found.objects != 1 else ''}"
    yield look.fit(("head", found.file), ("", count))
    if not found.uses:
        yield "  its imports imply no capability"
    for use in found.uses:
        yield look.fit(
            ("", "  "), ("bad" if use.allowed is False else "name", use.capability), *_verdict(allowed=use.allowed)
        )
        width = max(len(look.readable(symbol)) for symbol, _ in use.symbols)
        for symbol, importers in use.symbols:
            shown = look.readable(symbol).ljust(min(width, 40))
            yield look.fit(("", f"    {shown}  "), ("dim", ", ".join(_base(path) for path in importers)))
    yield from _calls(found, look)
    if found.passed_over:
        names = ", ".join(_base(path) for path in found.passed_over)
        yield look.fit(("dim", f"  passed over, since the kernel is their business: {names}"))
    yield from (
        look.fit(("bad", f"  {name} is missing"), ("", ": what it would do is not known")) for name in found.missing
    )
    yield from (look.fit(("warn", f"  {note}")) for note in found.notes)


def _verdict(*, allowed: bool | None) -> list[tuple[str, str]]:
    return [] if allowed is None else [("good", "  allowed")] if allowed else [("bad", "  not allowed")]


def _calls(found: AuditReport, look: Look) -> Iterator[str]:
    if found.calls is None:
        return
    total = sum(len(o.calls) for o in found.calls)
    allowed = found.calls_allowed if total else None
    what = f"{total} instruction{'s' if total != 1 else ''}" if total else "none"
    role = "bad" if allowed is False else "name"
    yield look.fit(("", "  "), (role, "system calls by instruction"), ("", f": {what}"), *_verdict(allowed=allowed))
    for item in found.calls:
        if item.calls or item.hidden:
            parts = [str(len(item.calls))] if item.calls else []
            parts += (
                [f"{item.hidden} look-alike{'s' if item.hidden > 1 else ''} in data or inside other instructions"]
                if item.hidden
                else []
            )
            yield look.fit(("", "    "), ("path", item.path), ("", f": {', '.join(parts)}"))
        for call in item.calls[:_MOST_SHOWN]:
            where = f"  in {look.readable(call.function)}" if call.function else ""
            number = f", number {call.number}" if call.number is not None else ""
            yield look.fit(("", f"      {call.address:#x}  {call.instruction}{where}{number}"))
        if len(item.calls) > _MOST_SHOWN:
            yield f"      … and {len(item.calls) - _MOST_SHOWN} more"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def document(found: AuditReport) -> dict[str, Any]:
    """The report as `latebind audit --json` prints it: schema 1."""
    return {
        "schema": 1,
        "file": found.file,
        "exceeds": found.exceeds,
        "capabilities": [
            {
                "capability": use.capability,
                "allowed": use.allowed,
                "symbols": [{"symbol": symbol, "imported_by": list(paths)} for symbol, paths in use.symbols],
            }
            for use in found.uses
        ],
        "system_calls": None
        if found.calls is None
        else [
            {
                "object": item.path,
                "hidden": item.hidden,
                "instructions": [
                    {"address": c.address, "instruction": c.instruction, "function": c.function, "number": c.number}
                    for c in item.calls
                ],
            }
            for item in found.calls
            if item.calls or item.hidden
        ],
        "system_calls_allowed": found.calls_allowed,
        "passed_over": list(found.passed_over),
        "missing": list(found.missing),
        "notes": list(found.notes),
    }
