"""dlopen's flags (dlopen(3)) in terms of plans and namespaces, for Python callers (dl.py) and native ones (desk.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from latebind.errors import NotFound, Tried
from latebind.linker.loading import load, plan

if TYPE_CHECKING:
    from latebind.elf import Elf
    from latebind.linker.library import Library
    from latebind.linker.namespace import Namespace
    from latebind.linkplan import LinkPlan

RTLD_LAZY: Final = os.RTLD_LAZY
RTLD_NOW: Final = os.RTLD_NOW
RTLD_GLOBAL: Final = os.RTLD_GLOBAL
RTLD_LOCAL: Final = os.RTLD_LOCAL
RTLD_NOLOAD: Final = os.RTLD_NOLOAD
RTLD_NODELETE: Final = os.RTLD_NODELETE
RTLD_DEEPBIND: Final = os.RTLD_DEEPBIND


def plan_for(file: str, mode: int, namespace: Namespace, loader: Elf | None = None) -> LinkPlan:
    """The plan of `dlopen(file, mode)` in `namespace`, called by the object `loader` (default: the program).

    Raises what `plan` raises, ValueError for a mode that POSIX does not allow, and `NotFound` where RTLD_NOLOAD is set
    and the library is not there.
    """
    if not mode & (RTLD_LAZY | RTLD_NOW):
        raise ValueError(f"invalid mode {mode:#x} for dlopen(): neither RTLD_LAZY nor RTLD_NOW")
    made = plan(file, into=namespace, loader=loader)
    if mode & RTLD_NOLOAD and not made.root.present:
        raise NotFound(file, None, (Tried(made.root.path, "is not loaded, and RTLD_NOLOAD forbids to load it"),))
    if mode & RTLD_DEEPBIND:
        made = made.with_deep_binding()
    return made.with_binding("now" if mode & RTLD_NOW else "lazy")


def open_plan(made: LinkPlan, mode: int, namespace: Namespace) -> Library:
    """Load what `plan_for` planned."""
    library = load(made, namespace=namespace, scope="global" if mode & RTLD_GLOBAL else "local")
    try:
        if mode & RTLD_NODELETE:
            library.pin()
    except BaseException:
        library.close()
        raise
    return library
