"""`latebind audit`: what a program or library could do, from the imports and the code of everything it loads.

Here the table of `sandbox` (which symbol implies which capability, the vocabulary that its policy shares) meets the
plan's bindings and the view; none of the three needs to know the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from latebind.cli.files import for_each, open_file, print_document, print_lines
from latebind.cli.look import look_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.elf import Elf
    from latebind.linkplan import Binding, LinkPlan
    from latebind.sandbox import Capability
    from latebind.search import Files
    from latebind.view.audit import AuditReport, CapabilityUse, ObjectCalls
    from latebind.view.look import Look


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--allow", "allowed", multiple=True, metavar="CAPABILITY",
    help="What may be: `network:connect`, `filesystem:read`, …, or `none`. May be given several times.",
)  # fmt: skip
@click.option("--imports-only", is_flag=True, help="Do not look for system-call instructions.")
@click.option("--c-library", is_flag=True, help="Examine the C library too, whose business the kernel is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each FILE.")
@click.option("--library-path", "-L", multiple=True, metavar="DIR", help="Search DIR before LD_LIBRARY_PATH's folders.")
@click.option("--root", metavar="DIR", help="Look every path up below DIR: a sysroot or an unpacked image.")
@look_options
def command(
    files: tuple[str, ...],
    allowed: tuple[str, ...],
    imports_only: bool,  # noqa: FBT001  (click passes options by keyword)
    c_library: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    library_path: tuple[str, ...],
    root: str | None,
    look: Look,
) -> int:
    """Show what each FILE could do: the capabilities that its imports and those of everything it loads imply, with
    the symbols that imply them, and system calls that its code makes without the C library. Nothing is executed.

    It is evidence and no proof: code may import what it never calls, and load what nobody sees.
    The exit status is 1 where --allow is given and something else was found or could not be examined.
    """  # noqa: D205  (click shows the first paragraph as a whole)
    from latebind.search import Files
    from latebind.view import audit

    grants = _grants(allowed) if allowed else None
    known = Files(root)

    def report(file: str) -> bool:
        found = _examine(open_file(file, known, library_path), known, library_path, grants, c_library, imports_only)
        if as_json:
            print_document(audit.document(found))
        else:
            print_lines(audit.report(found, look))
        return not found.exceeds and not (found.missing and grants is not None)

    return for_each(files, report)


def _grants(texts: Sequence[str]) -> tuple[Capability, ...]:
    """What `--allow` names; a capability that does not exist is a usage error."""
    from latebind.sandbox import Capability

    try:
        return tuple(Capability.parse(text) for text in texts if text != "none")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--allow") from error


def _examine(
    elf: Elf,
    files: Files,
    library_path: tuple[str, ...],
    grants: tuple[Capability, ...] | None,
    c_library: bool,  # noqa: FBT001
    imports_only: bool,  # noqa: FBT001
) -> AuditReport:
    from latebind.linkplan import make_plan
    from latebind.sandbox import Capability
    from latebind.view.audit import AuditReport

    uses: tuple[CapabilityUse, ...] = ()
    objects, passed, missing, notes = [(elf.path, elf)], [], [], []
    if elf.is_dynamic:
        plan = make_plan(elf, files, library_path=library_path)
        family = {o.index for o in plan.closure[1:] if _is_c_library(plan, o.index)}
        chosen = [o for o in plan.closure if c_library or o.index not in family]
        passed = [o.path for o in plan.closure if o not in chosen]
        missing = [m.name for m in plan.missing]
        objects = [(o.path, o.elf) for o in chosen]
        uses = _uses(plan, [o.index for o in chosen], family, grants)
    else:
        notes.append("statically linked: it imports nothing, so only its instructions say what it does")
    calls = None if imports_only else _calls(objects, notes)
    wanted = Capability("system", "call")
    calls_allowed = None if grants is None or imports_only else any(g.touches(wanted) for g in grants)
    return AuditReport(
        elf.path, len(objects) + len(passed), uses, calls, calls_allowed, tuple(passed), tuple(missing), tuple(notes)
    )


def _is_c_library(plan: LinkPlan, index: int) -> bool:
    """Whether an object is the C library's: glibc's family by name, musl by being the interpreter."""
    from latebind.linkplan.roles import is_c_library
    from latebind.search import Via

    item = plan.objects[index]
    return item.via is Via.INTERP or is_c_library(item.elf.soname or item.name)


def _uses(
    plan: LinkPlan, indexes: Sequence[int], family: set[int], grants: tuple[Capability, ...] | None
) -> tuple[CapabilityUse, ...]:
    """The capabilities that the imports of the objects imply, in the table's order."""
    from latebind.sandbox import IMPLIED
    from latebind.view.audit import CapabilityUse

    importers: dict[str, list[str]] = {}
    for index in indexes:
        for binding in plan.bindings_of(index):
            if binding.symbol in IMPLIED and _from_outside(plan, binding, family):
                paths = importers.setdefault(binding.symbol, [])
                if plan.objects[index].path not in paths:
                    paths.append(plan.objects[index].path)
    grouped: dict[Capability, list[tuple[str, tuple[str, ...]]]] = {}
    for symbol, capability in IMPLIED.items():
        if symbol in importers:
            grouped.setdefault(capability, []).append((symbol, tuple(importers[symbol])))
    return tuple(
        CapabilityUse(
            str(capability),
            tuple(symbols),
            None if grants is None else any(grant.touches(capability) for grant in grants),
        )
        for capability, symbols in grouped.items()
    )


def _from_outside(plan: LinkPlan, binding: Binding, family: set[int]) -> bool:
    """Whether the table speaks of this definition: the C library's, a runtime's, or one that is not known.

    A library's own `open` or `bind` is another function; what *it* does, its own imports show.
    """
    from latebind.linkplan.roles import is_runtime

    if binding.target is None or binding.target in family:
        return True
    target = plan.objects[binding.target]
    return binding.target != binding.referrer and is_runtime(target.elf.soname or target.name)


def _calls(objects: Sequence[tuple[str, Elf]], notes: list[str]) -> tuple[ObjectCalls, ...] | None:
    """The system-call instructions of the objects; None, with a note, where they cannot be looked for."""
    from latebind.errors import Unsupported
    from latebind.sandbox.rawcalls import find_raw_calls
    from latebind.view.audit import ObjectCalls, SystemCall

    found = []
    for path, elf in objects:
        try:
            raw = find_raw_calls(elf)
        except Unsupported as error:
            notes.append("; ".join(part for part in (error.why, error.do) if part))
            return None
        calls = tuple(SystemCall(c.address, c.instruction, c.function, c.number) for c in raw.calls)
        found.append(ObjectCalls(path, calls, raw.inside + raw.data))
    return tuple(found)
