"""What ld.so would say while it relocates the objects of a list: `ldd -d`, `-r` and `-u`. Nothing is relocated.

`ldd -d` sets LD_WARN, with which ld.so (the trace mode in glibc's elf/rtld.c, `dl_main`) relocates all objects, those
that others need first, and reports each look-up that fails; calls are bound only with `-r` (LD_BIND_NOW) or where the
object asks for it. `ldd -u` (LD_DEBUG=unused) relocates the program alone and notes which objects define something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from latebind.compat.output import path_text
from latebind.elf import dynamic as dyn
from latebind.elf.header import EM_X86_64
from latebind.elf.relocation import read_relocations
from latebind.elf.symbol_rows import byte_text
from latebind.errors import LatebindError
from latebind.linkplan.binding import How, Kind
from latebind.linkplan.machines import MACHINES, UNKNOWN
from latebind.linkplan.resolve import references
from latebind.search import Via

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.linkplan import Binding, LinkPlan, PlannedObject

# What glibc applies (`elf_machine_rela` of sysdeps/x86_64/dl-machine.h); it gives up on any other type. Of machines
# that are not here every type counts as known.
_KNOWN: Final = {EM_X86_64: frozenset({0, 1, 2, 5, 6, 7, 8, 10, 16, 17, 18, 32, 33, 36, 37})}
_ADDRESS, _PLT, _COPY = range(3)  # the classes of references, which are looked up each for itself
_NONE: Final = 0
_TLSDESC: Final = {62: 36, 3: 41, 183: 1031}
"""The type among calls that is bound at once all the same, by `e_machine`."""


class Fatal(LatebindError):
    """The dynamic linker would give up with this message."""


def undefined_symbols(plan: LinkPlan, program: str, *, bind_now: bool) -> Iterator[str]:
    """One line for each look-up of a relocation that fails, in ld.so's order. Raises `Fatal` where it would give up."""
    for index in plan.init_order:
        item = plan.objects[index]
        if item.via is not Via.INTERP:
            lazy = not (bind_now or _binds_now(item))
            yield from _complaints(plan, item, program, lazy=lazy, undefined=True, warn=True)


def unused(plan: LinkPlan, program: str, *, warn: bool) -> tuple[list[str], set[int]]:
    """What ld.so says while it relocates the program, and the indexes of the objects that define what it refers to.

    It does not speak of undefined symbols then; `warn` is LD_WARN, which makes it strict about sizes.
    """
    said = list(_complaints(plan, plan.root, program, lazy=False, undefined=False, warn=warn))
    return said, {b.target for b in plan.bindings_of(0) if b.target is not None and b.how not in _OWN}


_OWN: Final = (How.LOCAL, How.PROTECTED)  # bound without a look-up, or to the referrer whatever is found


def _binds_now(item: PlannedObject) -> bool:
    return bool(item.elf.dynamic.flags & dyn.DF_BIND_NOW or item.elf.dynamic.flags_1 & dyn.DF_1_NOW)


def _complaints(
    plan: LinkPlan, item: PlannedObject, program: str, *, lazy: bool, undefined: bool, warn: bool
) -> Iterator[str]:
    """The lines for one object. Its relocations are walked only where there is something to say."""
    machine = item.elf.header.machine
    row = MACHINES.get(machine, UNKNOWN)
    types = {kind for _, kind in references(item.elf)}
    known = _KNOWN.get(machine, types)
    classes = {kind: _PLT if kind in row.plt else _COPY if kind == row.copy else _ADDRESS for kind in types}
    bindings = {(b.symbol_index, classes[b.types[0]]): b for b in plan.bindings_of(item.index)}
    failed = {key for key, b in bindings.items() if undefined and b.kind is Kind.UNRESOLVED and b.how not in _OWN}
    if not failed and types <= known and not types & {_NONE, row.copy}:
        return
    name = program if item.index == 0 else path_text(item.path)
    versions = _known_versions(plan, item) if failed else set()
    cached: tuple[int, int] | None = None
    for symbol, kind, call in _relocations(item, row.relative):
        if call and lazy and kind != _TLSDESC.get(machine):
            if kind not in {row.jump_slot, row.irelative} and machine in _KNOWN:
                raise Fatal(_given_up(program, item, f"unexpected PLT reloc type 0x{kind:02x}"))
            continue
        if kind not in known:
            raise Fatal(_given_up(program, item, f"unexpected reloc type 0x{kind:02x}"))
        if not symbol or kind == _NONE:
            continue
        key = symbol, classes[kind]
        # ld.so remembers the last look-up of an object and does not repeat it (`resolve_map` in elf/dl-reloc.c)
        if key in failed and key != cached:
            yield f"undefined symbol: {_name(bindings[key], versions)}\t({name})\n"
        if kind == row.copy and key in bindings:
            yield from _size_warning(item, bindings[key], program, warn=warn)
        cached = key


def _relocations(item: PlannedObject, relative: int) -> Iterator[tuple[int, int, bool]]:
    """Symbol and type of each relocation, and whether it is a call's, in the order in which ld.so applies them."""
    elf = item.elf
    for table in elf.relocation_tables:
        if table.tag == "RELR":
            continue
        entries = read_relocations(elf.source, table, elf.header.machine, relative)
        call = table.tag == "JMPREL"
        for symbol, kind in zip(entries.column("symbol"), entries.column("type"), strict=True):
            if kind != relative:
                yield symbol, kind, call


def _known_versions(plan: LinkPlan, item: PlannedObject) -> set[str]:
    """The versions that ld.so has a row for in its table of the object's versions.

    The table reaches as far as the indexes of those that objects which are there are to have: what a missing object
    was to have may lie beyond it (`_dl_check_map_versions` in elf/dl-version.c, "In trace mode, dependencies may be
    missing").
    """
    missing = {m.name for m in plan.missing if item.index in m.needed_by}
    needs, definitions = item.elf.version_needs, item.elf.version_definitions
    most = max([*(n.index for n in needs if n.file not in missing), *(d.index for d in definitions)], default=0)
    return {n.name for n in needs if n.index <= most} | {d.name for d in definitions}


def _name(binding: Binding, versions: set[str]) -> str:
    version = f", version {byte_text(binding.version)}" if binding.version and binding.version in versions else ""
    return f"{byte_text(binding.symbol)}{version}"


def _size_warning(item: PlannedObject, binding: Binding, program: str, *, warn: bool) -> Iterator[str]:
    """A copy of a variable that has another size where it is defined; smaller there counts only with LD_WARN."""
    own = item.elf.symbols[binding.symbol_index].size
    if binding.target is None:
        return
    if binding.size > own or (binding.size < own and warn):
        name = byte_text(binding.symbol)
        yield f"{program}: Symbol `{name}' has different size in shared object, consider re-linking\n"


def _given_up(program: str, item: PlannedObject, reason: str) -> str:
    name = f"{path_text(item.path)}: " if item.index else ""
    return f"{program}: error while loading shared libraries: {name}{reason}"
