"""`ldd`: what ld.so would load for a file, as glibc's ldd prints it. Nothing is executed.

The real ldd runs the dynamic linker with LD_TRACE_LOADED_OBJECTS=1, which maps the file and everything that it needs
and prints its list of objects (glibc's elf/ldd.bash.in and elf/rtld.c). Here the list comes from `find_closure`; the
addresses in parentheses are made up, as plausible as the real ones, which change from run to run.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from latebind.compat.ldd_relocate import Fatal, undefined_symbols, unused
from latebind.compat.ldd_versions import version_information, version_problems
from latebind.compat.output import path_text
from latebind.elf.header import EM_386, ET_DYN, ET_EXEC
from latebind.elf.segment import PT_LOAD
from latebind.elf.symbol_rows import byte_text
from latebind.errors import LatebindError, MalformedElf
from latebind.linkplan.making import plan_of_closure
from latebind.search import Files, Resident, Via, find_closure
from latebind.search.environment import environment_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from latebind.compat.output import Output
    from latebind.elf import Elf
    from latebind.linkplan import LinkPlan
    from latebind.search import Closure, Environment, Found

LINKERS: Final = ("/lib/ld-linux.so.2", "/lib64/ld-linux-x86-64.so.2", "/libx32/ld-linux-x32.so.2")
"""The dynamic linkers that ldd asks in turn (RTLDLIST)."""

_OS_ABIS: Final = frozenset({0, 3})  # ELFOSABI_SYSV and ELFOSABI_GNU: what ld.so takes
_HIGHEST: Final = 0x7FFFF7FFF000
_PAGE: Final = 0x1000


@dataclass(frozen=True, slots=True)
class LddOptions:
    """What ldd's options ask for."""

    verbose: bool = False
    """The versions that each object needs, and where each is found (-v)."""
    relocate: bool = False
    """Undefined symbols of data relocations (-d)."""
    bind_now: bool = False
    """And of calls; without `relocate` it changes nothing (-r asks for both)."""
    unused: bool = False
    """Only those direct dependencies that the program does not use (-u)."""


DEFAULTS: Final = LddOptions()


class Line(NamedTuple):
    """One object of ld.so's list: the name that it was asked for by, and where it is, None where it is nowhere."""

    name: str
    path: str | None
    found: Found | None = None


@dataclass(slots=True)
class _Run:
    """What stays the same for all files of one run."""

    output: Output
    environment: Mapping[str, str]
    linkers: tuple[tuple[str, Elf], ...]
    options: LddOptions
    files: Files


def ldd(
    files: Sequence[str],
    output: Output,
    environment: Mapping[str, str],
    options: LddOptions = DEFAULTS,
    *,
    linkers: Sequence[str] = LINKERS,
) -> int:
    """Print what each of `files` would load; 1 where one is no dynamic executable or cannot be read.

    `environment` holds the environment variables that count for the search.
    """
    known = Files()
    run = _Run(output, environment, tuple(_usable(linkers, known)), options, known)
    status = 0
    for file in files:
        if len(files) > 1:
            output.write(f"{path_text(file)}:\n")
        if not _list_file(file if "/" in file else f"./{file}", run):
            status = 1
    return status


def _usable(linkers: Sequence[str], files: Files) -> Iterator[tuple[str, Elf]]:
    for path in linkers:
        if os.access(path, os.X_OK):
            yield path, files.elf(path)


def _list_file(path: str, run: _Run) -> bool:
    shown, output = path_text(path), run.output
    if not os.path.exists(path):
        output.complain(f"{shown}: No such file or directory")
    elif not os.path.isfile(path):
        output.complain(f"{shown}: not regular file")
    elif not os.access(path, os.R_OK):
        output.complain(f"error: you do not have read permission for `{shown}'")
    else:
        return _trace(path, run)
    return False


def _trace(path: str, run: _Run) -> bool:
    fine, lines = True, []
    answer: Iterator[str] | None = None
    try:
        elf = run.files.elf(path)
        linker = next((where for where, own in run.linkers if _verify(elf, own)), None)
        answer = None if linker is None else _answer(elf, path, linker, run)
        for line in answer or ():
            lines.append(line)  # noqa: PERF402  (what came before an error counts)
    except MalformedElf:
        answer = None
    except Fatal as error:  # ldd passes on what the dynamic linker says, to its own standard output
        lines.append(f"{error}\n")
        fine = False
    except _Unused:
        fine = False
    if answer is None:
        run.output.message("\tnot a dynamic executable")
        return False
    run.output.write_all(lines)
    return fine


def _verify(elf: Elf, linker: Elf) -> bool:
    """Whether this dynamic linker would take the file (`ld.so --verify`)."""
    header, own = elf.header, linker.header
    return (
        (header.elf_class, header.data, header.machine) == (own.elf_class, own.data, own.machine)
        and header.os_abi in _OS_ABIS
        and header.abi_version <= (3 if header.os_abi else 0)
        and header.version == 1
        and header.type in {ET_EXEC, ET_DYN}
        and any(s.type == PT_LOAD for s in elf.segments)
        and elf.is_dynamic
    )


def _answer(elf: Elf, path: str, linker: str, run: _Run) -> Iterator[str]:
    """What the traced program prints. Raises `Fatal` where ld.so would give up."""
    options, shown = run.options, path_text(path)
    closure, env = _closure(elf, path, linker, run)
    for name in _not_preloaded(closure, run.environment):
        yield (
            f"ERROR: ld.so: object '{path_text(name)}' from LD_PRELOAD cannot be preloaded"
            " (cannot open shared object file): ignored.\n"
        )
    chain = in_load_order(closure, elf.interpreter or linker, linker)
    members = [closure.objects[0], *(line.found for line in chain if line.found is not None)]
    yield from version_problems(members, shown, debugging=options.unused)
    if options.unused:
        yield from _unused(plan_of_closure(closure, env), chain, shown, warn=options.relocate)
        return
    yield from _list(elf, chain)
    if options.relocate:
        yield from undefined_symbols(plan_of_closure(closure, env), shown, bind_now=options.bind_now)
    if options.verbose:
        yield from version_information(members, shown)


def _closure(elf: Elf, path: str, linker: str, run: _Run) -> tuple[Closure, Environment]:
    env = environment_for(elf, run.files, run.environment, interpreter=linker).replaced(invoked=True)
    resident = Resident(linker, run.files.elf(linker), frozenset({elf.interpreter} - {None}), Via.INTERP)  # type: ignore[arg-type]
    closure = find_closure(elf, run.files, env, [resident])
    for missing in closure.missing:
        for place in missing.tried:
            of_its_name = os.path.basename(place.path) == os.path.basename(missing.name)  # not the cache
            reason = _refusal(place.path) if of_its_name else None
            if reason is not None:
                problem = f"error while loading shared libraries: {path_text(place.path)}: {reason}"
                raise Fatal(f"{path_text(path)}: {problem}")
    return closure, env


def _list(elf: Elf, chain: Sequence[Line]) -> Iterator[str]:
    """The objects with their addresses, or that there are none."""
    if not elf.dynamic.needed:
        yield "\tstatically linked\n"
        return
    address = _HIGHEST
    for line in chain:
        if line.path is None:
            yield f"\t{byte_text(line.name)} => not found\n"
            continue
        address -= _span(line.found.elf if line.found is not None else None)
        same = line.name == line.path or ("/" in line.name and line.found is not None and line.found.resident is None)
        name = line.path if same else f"{line.name} => {line.path}"
        yield f"\t{byte_text(name)} (0x{address:016x})\n"


class _Unused(LatebindError):
    """Ld.so would end with the status 1 because something is not used."""


def _unused(plan: LinkPlan, chain: Sequence[Line], shown: str, *, warn: bool) -> Iterator[str]:
    """What `ldd -u` prints. Like ld.so it takes the first objects of the list for those that the program needs."""
    said, used = unused(plan, shown, warn=warn)
    yield from said
    behind = iter([line for line in chain if line.path is None or line.found is not None])
    idle = [line for line, _ in zip(behind, plan.root.elf.dynamic.needed, strict=False) if _is_idle(line, used)]
    if idle:
        yield "Unused direct dependencies:\n"
        yield from (f"\t{byte_text(line.path or line.name)}\n" for line in idle)
        raise _Unused


def _is_idle(line: Line, used: set[int]) -> bool:
    return line.found is None or line.found.index not in used


def _refusal(path: str) -> str | None:
    """Why the dynamic linker stops at the file `path`, None where it only goes on to the next place.

    It stops at what is no ELF file (`open_verify` in glibc's elf/dl-load.c), and passes over a missing file and one
    of another class or machine.
    """
    try:
        with open(path, "rb") as f:
            head = f.read(64)
    except OSError:
        return None
    if len(head) < 64:
        return "file too short"
    return None if head[:4] == b"\x7fELF" else "invalid ELF header"


def _not_preloaded(closure: Closure, environment: Mapping[str, str]) -> list[str]:
    """The names of LD_PRELOAD for which there is no object."""
    known = {name for o in closure.objects for name in (o.name, o.path, o.summary.soname, *o.names)}
    return [name for name in re.split("[ :]+", environment.get("LD_PRELOAD", "")) if name and name not in known]


def _span(elf: Elf | None) -> int:
    """The bytes of address space that an object takes, whole pages; None is the kernel's vDSO."""
    if elf is None:
        return 2 * _PAGE
    loads = [s for s in elf.segments if s.type == PT_LOAD]
    size = max(s.vaddr + s.memsz for s in loads) - min(s.vaddr for s in loads) if loads else 0
    return (size + _PAGE) // _PAGE * _PAGE


# the order of ld.so's list ------------------------------------------------------------------------------------


def in_load_order(closure: Closure, interpreter: str, linker: str) -> list[Line]:
    """The objects behind the file itself in the order of ld.so's list (its `l_next` chain in trace mode).

    Objects stand in the order in which they were loaded, names that were not found between them where they were
    looked for, each time that they were; the vDSO is first. The dynamic linker, where something needs it, stands
    behind the object that precedes it in the *search* order; where that is the file itself, it precedes the vDSO.
    """
    objects = closure.objects
    own = next((o for o in objects if o.via is Via.INTERP), None)
    before = objects[own.index - 1] if own is not None else None
    linker_line = Line(interpreter, linker, own)
    vdso = "linux-gate.so.1" if objects[0].elf.header.machine == EM_386 else "linux-vdso.so.1"
    chain = [linker_line] if before is objects[0] else []
    chain.append(Line(vdso, vdso))
    for line in _loads(closure):
        if line.found is not None and line.found is own:
            continue
        chain.append(line)
        if before is not None and line.found is before:
            chain.append(linker_line)
    return chain


def _loads(closure: Closure) -> Iterator[Line]:
    """The objects and the missing names as ld.so meets them: breadth-first, as `find_closure` walks."""
    objects, following = closure.objects, 1
    missing = {(m.name, loader) for m in closure.missing for loader in m.needed_by}
    while following < len(objects) and objects[following].via is Via.PRELOAD:
        yield Line(objects[following].name, objects[following].path, objects[following])
        following += 1
    for loader in objects:
        if loader.via is Via.INTERP:
            continue
        for name in loader.summary.needed:
            if (name, loader.index) in missing:
                yield Line(name, None)
            elif following < len(objects) and objects[following].name == name:
                yield Line(name, objects[following].path, objects[following])
                following += 1
