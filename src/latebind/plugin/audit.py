"""Events as lines of the audit log: the one place that says which happening is which line.

| line | what happened | fields beside `time`, `event`, `plugin` |
| --- | --- | --- |
| rejected | a manifest was left out | path, error |
| skipped | a plugin goes without an optional requirement | why |
| verified | a trusted signature holds | version, key, signer |
| grant | a capability was granted, one line for each, before the plugin runs on | version, capability |
| denied | a plugin was not loaded for want of a capability | version, capability, symbols, error |
| refused | a plugin was not loaded, or failed to start | version, error |
| load | a plugin's code is there and has started | version, capabilities, isolation, unenforced |
| start, stop | it begins to serve, it has ended | version, generation |
| unload, rolled back | its code has gone (the latter with a load that failed as a whole) | version, lasting, problems |
| probation | the new code was tried in a process of its own | version, seconds, selftest, inconclusive |
| reload | another generation serves | old, new, generation, state, held, lasting, problems |
| rollback | a reload failed and the old generation serves on | step, error, version |
| suspended, resumed | a plugin that fails again and again is left alone; it works again | failures, seconds, error |
| failed | a call failed by the plugin's doing | version, generation, operation, error, breaks_contract |
| timeout | a call took too long | version, generation, operation, seconds |
| crash | a process that a plugin ran in ended | operation, how |
| overloaded | a call was refused because too many wait | operation, waiting |
| build | a watched plugin was built | command, seconds, error |
| failure | a watch could not do what it was to do | error |

A call that raises for another reason is no line: a mistake in an argument is the caller's, who has the exception.
`PluginStatus.methods` counts both.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeAlias

from latebind.errors import CapabilityDenied
from latebind.plugin import events as e

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from latebind.sandbox import AuditLog

Line: TypeAlias = tuple[str, dict[str, Any]]


def writer(audit: AuditLog) -> Callable[[e.Event], None]:
    """What writes an event's lines, for `Host.subscribe`."""

    def write(event: e.Event) -> None:
        for name, fields in lines(event):
            audit.record(name, event.plugin, **fields)

    return write


@singledispatch
def lines(event: e.Event) -> Iterator[Line]:
    """The lines of an event: (name, fields). Some events are none: a step of a reload, a change that a watch saw."""
    del event
    yield from ()


@lines.register(e.ManifestRejected)
def _(event: e.ManifestRejected) -> Iterator[Line]:
    yield "rejected", {"path": event.path, "error": str(event.error)}


@lines.register(e.RequirementSkipped)
def _(event: e.RequirementSkipped) -> Iterator[Line]:
    yield "skipped", {"why": event.why}


@lines.register(e.SignatureVerified)
def _(event: e.SignatureVerified) -> Iterator[Line]:
    yield "verified", {"version": event.version, "key": event.key, "signer": event.signer}


@lines.register(e.StateChanged)
def _(event: e.StateChanged) -> Iterator[Line]:
    names = {e.State.STARTED: "start", e.State.STOPPED: "stop"}
    if event.after in names:
        yield names[event.after], {"version": event.version, "generation": event.generation}


@lines.register(e.Loaded)
def _(event: e.Loaded) -> Iterator[Line]:
    for capability in event.capabilities:
        yield "grant", {"version": event.version, "capability": capability}
    what: dict[str, Any] = {"capabilities": list(event.capabilities), "isolation": event.isolation}
    if event.unenforced:
        what["unenforced"] = list(event.unenforced)
    yield "load", {"version": event.version, **what}


@lines.register(e.LoadFailed)
def _(event: e.LoadFailed) -> Iterator[Line]:
    error = event.error
    if isinstance(error, CapabilityDenied):
        what = {"capability": error.capability, "symbols": list(error.symbols)}
        yield "denied", {"version": event.version, **what, "error": str(error)}
    else:
        yield "refused", {"version": event.version, "error": str(error)}


@lines.register(e.Unloaded)
def _(event: e.Unloaded) -> Iterator[Line]:
    problems = [str(problem) for problem in event.problems]
    yield event.why, {"version": event.version, "lasting": event.lasting, "problems": problems}


@lines.register(e.ProbationPassed)
def _(event: e.ProbationPassed) -> Iterator[Line]:
    what = {"seconds": event.seconds, "selftest": event.selftest, "inconclusive": event.inconclusive}
    yield "probation", {"version": event.version, **what}


@lines.register(e.Reloaded)
def _(event: e.Reloaded) -> Iterator[Line]:
    what = {"old": event.old, "new": event.new, "generation": event.generation, "state": event.state}
    problems = [str(problem) for problem in event.problems]
    yield "reload", {**what, "held": event.held, "lasting": event.lasting, "problems": problems}


@lines.register(e.RolledBack)
def _(event: e.RolledBack) -> Iterator[Line]:
    yield "rollback", {"step": event.step, "error": str(event.error), "version": event.version}


@lines.register(e.Suspended)
def _(event: e.Suspended) -> Iterator[Line]:
    yield "suspended", {"failures": event.failures, "seconds": event.seconds, "error": str(event.error)}


@lines.register(e.Resumed)
def _(event: e.Resumed) -> Iterator[Line]:
    yield "resumed", {"version": event.version}


@lines.register(e.CallFailed)
def _(event: e.CallFailed) -> Iterator[Line]:
    what = {"version": event.version, "generation": event.generation, "operation": event.operation}
    yield "failed", {**what, "error": event.error.message, "breaks_contract": event.error.breaks_contract}


@lines.register(e.CallTimedOut)
def _(event: e.CallTimedOut) -> Iterator[Line]:
    where = {"version": event.version, "generation": event.generation}
    yield "timeout", {**where, "operation": event.operation, "seconds": event.seconds}


@lines.register(e.Crashed)
def _(event: e.Crashed) -> Iterator[Line]:
    yield "crash", {"operation": event.operation, "how": event.how}


@lines.register(e.CallRefused)
def _(event: e.CallRefused) -> Iterator[Line]:
    yield "overloaded", {"operation": event.operation, "waiting": event.waiting}


@lines.register(e.Built)
def _(event: e.Built) -> Iterator[Line]:
    yield (
        "build",
        {
            "command": event.command,
            "seconds": event.seconds,
            "error": str(event.error) if event.error is not None else None,
        },
    )


@lines.register(e.WatchFailed)
def _(event: e.WatchFailed) -> Iterator[Line]:
    yield "failure", {"error": str(event.error)}
