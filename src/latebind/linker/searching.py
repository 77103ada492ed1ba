"""Where what a loaded object needs is looked for: dlinfo(3), RTLD_DI_SERINFO, for Python callers and native ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latebind.linker.namespace import running_program, this_process
from latebind.search import Files
from latebind.search.environment import environment_for
from latebind.search.rules import Rules

if TYPE_CHECKING:
    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Namespace
    from latebind.search.rules import Owner


def search_path(at: LoadedObject, namespace: Namespace) -> list[str]:
    """The folders where the DT_NEEDED of `at`, and what its code opens, is looked for, in order. Under the lock."""
    program, files = running_program(), Files()
    chain: list[Owner] = [o.elf for o in _loaders(at, namespace)]
    if namespace is this_process():
        chain.append(program)
    return Rules(environment_for(program, files), files).folders(chain)


def _loaders(at: LoadedObject, namespace: Namespace) -> list[LoadedObject]:
    """`at`, the object that needed it when it was loaded, the one that needed that, … (glibc's `l_loader`)."""
    chain = [at]
    while True:
        loaders = [o for o in namespace.members if o.number < chain[-1].number and any(n is chain[-1] for n in o.needs)]
        if not loaders:
            return chain
        chain.append(min(loaders, key=lambda o: o.number))
