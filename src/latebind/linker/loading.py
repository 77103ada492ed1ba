"""`plan` and `load`: from a name, a path or bytes to a plan, and from a plan to a library in this process."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from latebind.elf import Elf, read
from latebind.elf.archive import is_archive
from latebind.elf.header import ET_REL
from latebind.errors import NotFound, Tried, Unsupported
from latebind.linker.descriptor import read_descriptor
from latebind.linker.interpose import Interposition, interpose, type_of_hook, type_of_wrap
from latebind.linker.keeping import keep_plan, question_for, settings_now
from latebind.linker.library import Library
from latebind.linker.lifetime import lock
from latebind.linker.namespace import Namespace, check_complete, running_program, this_process
from latebind.linker.static import is_relocatable, is_static_input, link
from latebind.linker.transaction import roll_back
from latebind.linkplan import LinkPlan, Surroundings, make_plan, prepare
from latebind.linkplan.machines import MACHINES, UNKNOWN
from latebind.search import Files, locate
from latebind.search.environment import environment_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from latebind.linker.trace import Trace, type_of_sink

type_of_target = str | os.PathLike[str] | bytes | int | Elf


class _HasSurroundings(Protocol):
    def surroundings(self) -> Surroundings: ...


def plan(
    target: type_of_target,
    *,
    into: _HasSurroundings | None = None,
    library_path: tuple[str, ...] = (),
    root: str | None = None,
    loader: Elf | None = None,
) -> LinkPlan:
    """Plan the loading of `target`, reading files and executing nothing.

    `target` is a path (with a slash), a name to search for as dlopen(3) does, the bytes of an ELF file, an open file
    descriptor (which stays yours), or an `Elf`. A relocatable object or a static archive is linked in memory first, as
    `link` does.
    Without `into` the plan says what ld.so would do in a fresh process; with it (`this_process()`, a `Namespace`) the
    plan can be loaded there. `library_path` holds folders to search before LD_LIBRARY_PATH; `root` is a sysroot. A name
    is searched for on behalf of `loader` (its DT_RUNPATH counts, and its folder is $ORIGIN), by default the program.

    Raises `NotFound`, `MalformedElf` or `Unsupported`. Needed objects that are not found and references without a
    definition are part of the plan (`missing`, `unresolved`).
    """
    around = into.surroundings() if into is not None else None
    return _plan_in(target, Files(root), around, library_path, loader)


def _plan_in(
    target: type_of_target,
    files: Files,
    around: Surroundings | None,
    library_path: tuple[str, ...],
    loader: Elf | None = None,
) -> LinkPlan:
    program = running_program().summary
    if files.root is None:
        files.read_whole(program.machine, MACHINES.get(program.machine, UNKNOWN).largest_page)
    elf = _read_target(target, files, around, library_path, loader)
    return make_plan(elf, files, surroundings=around, library_path=library_path)


def _read_target(
    target: type_of_target,
    files: Files,
    around: Surroundings | None,
    library_path: tuple[str, ...],
    loader: Elf | None,
) -> Elf:
    if isinstance(target, (Elf, bytes, bytearray, memoryview)):
        return _read_bytes(target, library_path)
    if isinstance(target, int):
        return read_descriptor(target, files)
    name = os.fspath(target)
    if name.endswith((".o", ".a", ")")) or "/" in name:
        path = files.real(name)
        if is_static_input(path):
            return link(path, library_path=library_path)
    if ("/" in name and (loader is None or "$" not in name)) or files.root is not None:
        return files.elf(name)
    return _search(name, files, around, library_path, loader or running_program())


def _read_bytes(target: Elf | bytes | bytearray | memoryview, library_path: tuple[str, ...]) -> Elf:
    if isinstance(target, Elf):
        return link(target, library_path=library_path) if target.header.type == ET_REL else target
    data = bytes(target)
    return link(data, library_path=library_path) if is_archive(data) or is_relocatable(data) else read(data)


def _search(name: str, files: Files, around: Surroundings | None, library_path: tuple[str, ...], program: Elf) -> Elf:
    """The file for a bare name: one that is there already, or what the search finds."""
    for resident in around.residents if around is not None else ():
        if name in resident.names or name == resident.elf.summary.soname:
            return resident.elf
    environment = environment_for(program, files).with_library_path(library_path)
    try:
        return locate(name, program, files, environment).elf
    except NotFound as e:
        if not os.path.exists(name):
            raise
        hint = Tried(f"./{name}", f"is here, but a bare name is searched for; say ./{name} to mean the file")
        raise NotFound(name, None, (*e.tried, hint)) from e


def load(
    target: type_of_target | LinkPlan,
    *,
    namespace: Namespace | None = None,
    hooks: Mapping[str, type_of_hook] | None = None,
    wrap: Mapping[str, type_of_wrap] | None = None,
    trace: Trace | type_of_sink | None = None,
    library_path: tuple[str, ...] = (),
    binding: str | None = None,
    scope: str = "local",
    keep: bool = True,
) -> Library:
    """Load a library with our own linker and run its constructors.

    `target` is what `plan` takes, or a plan made for `namespace` (default: `this_process()`). `scope` is ``"local"`` or
    ``"global"`` (later loads into the namespace see its symbols).

    `hooks` maps symbol names to replacements: every reference to such a name from the objects that are loaded now
    binds there, through the PLT or not. A replacement is an address, something that has one (a bound function, a
    ctypes function), or (C prototype, Python function). `wrap` maps names to (C prototype, Python function) where the
    function gets the original as its first argument: ``wrap={"abs": ("int abs(int)", lambda original, n: …)}``.
    `trace` is a list that gets, or a function that is called with, a record of each binding and each call between
    objects (`latebind.linker.trace`); a `Trace` says more precisely which.

    `binding` is ``"now"`` or ``"lazy"`` (default: the plan's, which is ``"now"`` unless said otherwise). With
    ``"lazy"`` each call through a PLT is bound when it is first made, unless the object was linked with ``-z now`` or
    LD_BIND_NOW is set, and a *function* without a definition is no error here: it is looked for again when it is
    called, also in what was loaded with global scope since. Where it is still nowhere, the process ends with status
    127 and a message that names symbol and library, as under ld.so: a native caller cannot be told otherwise. A
    *variable* without a definition, and a function whose address is taken, raise here.

    The plan is kept in the user's cache folder, and used again while everything that it rests on is as it was
    (`latebind.linkplan.kept`); not with `keep` False, for relative paths, or with hooks, wraps and traces.

    Raises `NotFound`, `MalformedElf`, `UnresolvedSymbol`, `Unsupported` or `SystemFailure`; then nothing is left
    behind: no mapping, no descriptor.
    """
    if scope not in ("local", "global"):
        raise ValueError(f"scope is {scope!r}, must be 'local' or 'global'")
    where = namespace or this_process()
    undo: list[Callable[[], None]] = []  # what is done where anything goes wrong, even control-C at the very end
    try:
        with lock:  # what is there must not change between planning and loading
            if not isinstance(target, LinkPlan) and not hooks and not wrap and trace is None:
                library = _load_kept(target, where, library_path, binding, undo, is_global=scope == "global", keep=keep)
            else:
                ready = target if isinstance(target, LinkPlan) else plan(target, into=where, library_path=library_path)
                interposition = Interposition()
                undo.append(interposition.abandon)
                ready = interpose(_bound_when(ready, binding), hooks or {}, wrap or {}, _as_trace(trace), interposition)
                check_complete(ready, interposition.addresses)
                closure = where.open(prepare(ready), interposition, undo, global_scope=scope == "global")
                library = Library(lambda: ready, closure, where)
    except BaseException:
        with lock:
            roll_back(undo)
        raise
    return library


def _bound_when(ready: LinkPlan, binding: str | None) -> LinkPlan:
    """`ready` with its calls bound as asked for; LD_BIND_NOW, where it is set, has the last word (ld.so(8))."""
    if binding is not None:
        ready = ready.with_binding(binding)
    return ready.with_binding("now") if ready.lazy and os.environ.get("LD_BIND_NOW") else ready


def _load_kept(
    target: type_of_target,
    where: Namespace,
    library_path: tuple[str, ...],
    binding: str | None,
    undo: list[Callable[[], None]],
    *,
    is_global: bool,
    keep: bool,
) -> Library:
    """Load `target`, by its kept plan where there is one that holds; else keep the plan that is made."""
    snapshot = where.snapshot()
    settings = settings_now()
    store = settings.store if keep else None
    question = question_for(target, snapshot, settings, library_path, binding) if store is not None else None
    kept = store.find(question) if store is not None and question is not None else None
    if store is not None and question is not None and kept is not None:
        try:
            closure = where.open(kept, None, undo, global_scope=is_global, there=snapshot.system)
        except (NotFound, Unsupported):
            if store.holds(question):
                raise
            roll_back(undo)  # a file is not the one that it was
        else:

            def plan_again() -> LinkPlan:
                return _bound_when(_plan_in(target, Files(), snapshot.surroundings(), library_path), binding)

            return Library(plan_again, closure, where)
    files = Files()
    with _without_collections():
        made = _bound_when(_plan_in(target, files, snapshot.surroundings(), library_path), binding)
        check_complete(made, {})
        files.end_reading()
        prepared = prepare(made)
    closure = where.open(prepared, None, undo, global_scope=is_global, there=snapshot.system)
    if store is not None and question is not None:
        keep_plan(store, question, prepared, files, closure, snapshot)
    return Library(lambda: made, closure, where)


@contextmanager
def _without_collections() -> Iterator[None]:
    """No search for cyclic garbage meanwhile: a plan is thousands of objects that all stay. Under the lock.

    Nor just after: they count as old at once, as after two searches that find nothing (`gc.freeze` takes what there is
    out of all generations, `gc.unfreeze` puts it into the oldest). Not where somebody else has frozen objects.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        if was_enabled and gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
    finally:
        if was_enabled:
            gc.enable()


def _as_trace(trace: Trace | type_of_sink | None) -> Trace | None:
    if trace is None:
        return None
    from latebind.linker.trace import Trace  # late: reads prototypes

    return trace if isinstance(trace, Trace) else Trace(trace)
