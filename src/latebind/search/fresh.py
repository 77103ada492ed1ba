"""What the dynamic linker does in a fresh process: it is there itself, and everything else is loaded."""

from __future__ import annotations

from latebind.elf.numbers import ET_CORE, ET_REL
from latebind.elf.summary import summary_of
from latebind.errors import NotFound, Unsupported
from latebind.search.closure import Closure, Resident, Residents, find_closure
from latebind.search.rules import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from latebind.elf import Elf
    from latebind.elf.summary import Summary
    from latebind.search.environment import Environment
    from latebind.search.files import Files


def fresh_closure(root: Elf | Summary, files: Files, env: Environment, path: str | None = None) -> Closure:
    """Everything that starting `root`, or loading it into a fresh process, pulls in; `path` as in `find_closure`.

    Raises `Unsupported` for a file that no dynamic linker can load (relocatable, static, a core dump).
    """
    file = summary_of(root)
    check_loadable(file, path)
    there = residents_of(files, env)
    is_linker = there.linker is not None and there.linker.summary is file
    return find_closure(file, files, env, () if is_linker else there, path)


def residents_of(files: Files, env: Environment) -> Residents:
    """What is there when the dynamic linker of `env` loads a program: itself, where it is among `files`."""
    return files.kept(("residents", env.interpreter), lambda: _residents(files, env.interpreter))


def _residents(files: Files, path: str | None) -> Residents:
    try:
        return Residents([Resident(path, files.summary(path), via=Via.INTERP)] if path else ())
    except NotFound:
        return Residents()


def check_loadable(file: Summary, path: str | None = None) -> None:
    """Raise `Unsupported`, naming `path`, where no dynamic linker can load `file`."""
    path = path or file.path
    if file.type == ET_REL:
        raise Unsupported(path, "is a relocatable object (ET_REL)", "link it to a shared object with `cc -shared`")
    if file.type == ET_CORE:
        raise Unsupported(path, "is a core dump", "inspect it instead")
    if not file.is_dynamic:
        raise Unsupported(
            path, "is statically linked: it has no dynamic section, so there is nothing to bind", "inspect it instead"
        )
