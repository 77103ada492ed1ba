"""Bindings and their reasons: which definition each reference of an object gets, as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from latebind.elf.relocation import relocation_name
from latebind.linkplan import Kind
from latebind.linkplan.near import near_misses, near_names
from latebind.view.look import PLAIN, Look
from latebind.view.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from latebind.linkplan import Binding, LinkPlan


_MOST_NEAR: Final = 10
"""References without a definition for which near misses are sought in an overview: each takes milliseconds."""


def overview(plan: LinkPlan, bindings: Iterable[Binding], look: Look = PLAIN) -> Iterator[str]:
    """All `bindings`, grouped by the object that defines them; what has no definition comes first."""
    groups: dict[str, list[Binding]] = {}
    for binding in bindings:
        groups.setdefault(_group(plan, binding), []).append(binding)
    for name in sorted(groups, key=lambda name: (name.startswith("→"), name)):
        yield look.fit(("", "  "), ("path" if name.startswith("→") else "bad" if name == "undefined" else "warn", name))
        rows = [(named(b, look), kind_name(b), ", ".join(relocation_names(plan, b)), plan.why(b)) for b in groups[name]]
        roles = {"SYMBOL": "name", "RELOCATION": "dim"}
        yield from table(("SYMBOL", "KIND", "RELOCATION", "WHY"), rows, indent="    ", look=look, roles=roles)
        for binding in groups[name][:_MOST_NEAR] if name == "undefined" else ():
            yield from (f"    near {named(binding, look)}: {near}" for near in _near(plan, binding, look))


def _group(plan: LinkPlan, binding: Binding) -> str:
    if binding.target is None:
        return "undefined, weak" if binding.kind is Kind.WEAK_UNDEFINED else "undefined"
    return f"→ {plan.objects[binding.target].path}"


def one(plan: LinkPlan, binding: Binding, look: Look = PLAIN) -> Iterator[str]:
    """Everything about one binding: who refers, how, to what, why, and where the search went before."""
    referrer = plan.objects[binding.referrer]
    through = ", ".join(relocation_names(plan, binding))
    yield f"{look.paint('name', named(binding, look))}, referred to by {referrer.path} through {through}"
    if binding.target is None:
        nothing = ("warn", "nothing (address 0)") if binding.weak else ("bad", "nothing: loading fails here")
        yield f"  → {look.paint(*nothing)}"
    else:
        size = f", {binding.size} bytes" if binding.size else ""
        path = look.paint("path", plan.objects[binding.target].path)
        yield f"  → {path}, {kind_name(binding)} at {binding.value:#x}{size}"
    yield f"  why: {plan.why(binding)}"
    searched = [plan.objects[index].path for index in plan.scope[: max(binding.position, 0)]]
    if binding.target is None:
        searched = [plan.objects[index].path for index in plan.scope]
    if searched:
        yield f"  not defined in: {', '.join(searched)}"
    if binding.kind is Kind.UNRESOLVED:
        yield from (f"  near: {near}" for near in _near(plan, binding, look))


def _near(plan: LinkPlan, binding: Binding, look: Look) -> Iterator[str]:
    for near in near_misses(binding.symbol, binding.version, (plan.objects[i].elf for i in plan.scope)):
        yield f"{look.readable_version(near.symbol)} in {near.path} {near.why}"


def absent(plan: LinkPlan, symbol: str, look: Look = PLAIN) -> Iterator[str]:
    """What can be said of a symbol that the root does not refer to: whether it defines it, what comes close."""
    root = plan.root
    own = [s for s in root.elf.symbols if s.name == symbol and s.defined]
    yield f"{root.path} does not refer to {look.paint('bad', symbol)}"
    for found in own:
        exported = "exports" if found.exported else "has, without exporting it,"
        yield f"  it {exported} {found.versioned_name} itself, {found.type_name} at {found.value:#x}"
    near = near_names(symbol, (b.symbol for b in plan.bindings_of(0)))
    if near and not own:
        yield f"  did you mean {', '.join(near)}?"


def document(plan: LinkPlan, bindings: Iterable[Binding]) -> dict[str, Any]:
    """`bindings` as `latebind explain --json` prints them: schema 1, one entry for each type of relocation."""
    return {
        "schema": 1,
        "file": plan.root.path,
        "bindings": [
            {
                "from": plan.objects[b.referrer].path,
                "symbol": b.symbol,
                "version": b.version,
                "to": None if b.target is None else plan.objects[b.target].path,
                "relocation": relocation,
                "why": plan.why(b),
            }
            for b in bindings
            for relocation in relocation_names(plan, b)
        ],
    }


def named(binding: Binding, look: Look = PLAIN) -> str:
    """The reference's name, with the version that it asks for."""
    name = look.readable(binding.symbol)
    return f"{name}@{binding.version}" if binding.version else name


def kind_name(binding: Binding) -> str:
    """What is bound to: ``function``, ``data``, ``weak undefined``, …."""
    return binding.kind.name.lower().replace("_", " ")


def relocation_names(plan: LinkPlan, binding: Binding) -> list[str]:
    """The types of the relocations through which the referrer refers to it."""
    machine = plan.objects[binding.referrer].elf.header.machine
    return [relocation_name(machine, kind) for kind in binding.types]
