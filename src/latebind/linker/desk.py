"""The desk: what loaded native code asks the linker at run time, answered.

The core calls these methods from the thread that asks (src/core/py_callback.c, src/core/dl.c); each returns a number
and, where something went wrong, a text for dlerror.
"""

from __future__ import annotations

import os
import weakref
from itertools import count
from typing import TYPE_CHECKING, Final

from latebind import _core
from latebind.errors import LatebindError, UnresolvedSymbol
from latebind.linker.lifetime import lock
from latebind.linker.lookup import address_of, find_symbol
from latebind.linker.modes import open_plan, plan_for
from latebind.linker.namespace import Namespace, this_process, whose
from latebind.linker.searching import search_path
from latebind.linkplan import Kind, Role
from latebind.linkplan.near import near_names
from latebind.linkplan.resolve import bind_call
from latebind.linkplan.roles import is_shared
from latebind.linkplan.services import SERVICES

if TYPE_CHECKING:
    from latebind.linker.library import Library
    from latebind.linker.loaded import LoadedObject
    from latebind.linkplan import Binding

type_of_answer = tuple[int, str | None]

_REFUSALS: Final = (LatebindError, _core.ExecuteError, OSError, ValueError, MemoryError)
"""What becomes a text for dlerror."""
_RTLD_DEFAULT: Final = 0
_RTLD_NEXT: Final = 2**64 - 1
_LM_ID_BASE: Final = 0
_LM_ID_NEWLM: Final = -1


class Desk:
    """Answers questions of native code. One for the process."""

    def __init__(self) -> None:
        self._open: dict[int, list[Library]] = {}
        self._numbers = count(1)
        self._spaces: weakref.WeakValueDictionary[int, Namespace] = weakref.WeakValueDictionary()

    # binding ----------------------------------------------------------------------------------------------------

    def find_late(self, base: int, symbol: int) -> type_of_answer:
        """The function for the symbol number `symbol` of the object at `base`, which had no definition when loaded."""
        found = whose(base)
        if found is None:
            return 0, None
        at, namespace = found
        places = namespace.scope_of(at)
        binding = bind_call(at.elf, 0, symbol, [(i, o.elf) for i, o in enumerate(places)])
        if binding.target is None:
            return 0, _hint(at, binding.symbol)
        target = places[binding.target]
        at.holds.append(target)
        return _function_address(target, binding), None

    # dlopen and its relatives -----------------------------------------------------------------------------------

    def open(self, caller: int, file: bytes, mode: int) -> type_of_answer:
        """`dlopen(file, mode)`, called from the object at `caller` (0: unknown): a handle."""
        found = whose(caller)
        return self._open_for(found, found[1] if found is not None else this_process(), file, mode)

    def open_in(self, caller: int, list_id: int, file: bytes, mode: int) -> type_of_answer:
        """`dlmopen(list_id, file, mode)`."""
        with lock:
            where = this_process() if list_id == _LM_ID_BASE else self._spaces.get(list_id)
            if list_id == _LM_ID_NEWLM:
                where = Namespace()
            if where is None:
                return 0, f"dlmopen: there is no namespace {list_id}"
            return self._open_for(whose(caller), where, file, mode)

    def _open_for(
        self, caller: tuple[LoadedObject, Namespace] | None, where: Namespace, file: bytes, mode: int
    ) -> type_of_answer:
        try:
            with lock:
                made = plan_for(os.fsdecode(file), mode, where, caller[0].elf if caller is not None else None)
                if made.root.role is not Role.OWN:
                    return _core.system_open(made.root.path, mode), None
                library = open_plan(made, mode, where)
                try:
                    self._open.setdefault(library.handle, []).append(library)
                except BaseException:
                    library.close()
                    raise
                return library.handle, None
        except _REFUSALS as e:
            return 0, _text(e)

    def close(self, handle: int) -> type_of_answer:
        """`dlclose(handle)` of one of ours."""
        with lock:
            opened = self._open.get(handle, [])
            if not opened:
                return 0, "dlclose: the library is not open through this handle"
            try:
                library = opened.pop()
                if not opened:
                    del self._open[handle]
                library.close()
            except _REFUSALS as e:
                return 0, _text(e)
        return 0, None

    def find(self, caller: int, handle: int, name: bytes, version: str | None) -> type_of_answer:
        """`dlvsym`, or `dlsym` where there is no version; `handle` is one of ours, RTLD_DEFAULT or RTLD_NEXT."""
        text = os.fsdecode(name)
        try:
            with lock:
                places = self._places(caller, handle)
                place = find_symbol(places, text, version)
                if place is None:
                    path = places[0].path if places and handle not in (_RTLD_DEFAULT, _RTLD_NEXT) else None
                    raise UnresolvedSymbol(text, version, path)
                if text in SERVICES and is_shared(place.owner.elf.summary.soname):
                    return _core.service_address(SERVICES[text]), None
                return address_of(place), None
        except _REFUSALS as e:
            return 0, _text(e)

    def _places(self, caller: int, handle: int) -> list[LoadedObject]:
        """Where `find` looks."""
        if handle not in (_RTLD_DEFAULT, _RTLD_NEXT):
            return list(self._library(handle).closure)
        found = whose(caller)
        if found is None:
            raise UnresolvedSymbol("RTLD_NEXT", None, "the caller, which is in no library that latebind loaded")
        at, namespace = found
        scope = namespace.scope_of(at)
        if handle == _RTLD_DEFAULT:
            return scope
        return scope[next((i for i, o in enumerate(scope) if o.elf is at.elf), -1) + 1 :]

    def _library(self, handle: int) -> Library:
        opened = self._open.get(handle)
        if not opened:
            raise UnresolvedSymbol("dlsym", None, "a library that is not open through this handle")
        return opened[-1]

    def search_folder(self, base: int, index: int) -> type_of_answer:
        """(How many folders what the object at `base` needs is looked for in, the name of one) for RTLD_DI_SERINFO.

        (0, why) where that cannot be told.
        """
        try:
            found = whose(base)
            if found is None:
                return 0, "dlinfo: the library is not there any more"
            with lock:
                folders = search_path(*found)
        except _REFUSALS as e:
            return 0, _text(e)
        return len(folders), folders[index] if index < len(folders) else None

    def namespace_id(self, base: int) -> type_of_answer:
        """The number of the namespace of the object at `base` (dlinfo's RTLD_DI_LMID)."""
        found = whose(base)
        if found is None or found[1] is this_process():
            return _LM_ID_BASE, None
        with lock:
            known = [number for number, space in self._spaces.items() if space is found[1]]
            number = known[0] if known else next(self._numbers)
            self._spaces[number] = found[1]
            return number, None


def _text(refusal: Exception) -> str:
    return "out of memory" if isinstance(refusal, MemoryError) else str(refusal)


def _hint(at: LoadedObject, symbol: str) -> str | None:
    """What the core says before it ends the process: names that come close."""
    near = near_names(symbol, [s.name for o in (at, *at.scope) for s in o.elf.symbols if s.exported])
    return f"; did you mean {', '.join(near)}?" if near else None


def _function_address(target: LoadedObject, binding: Binding) -> int:
    if binding.kind is Kind.ABSOLUTE:
        return binding.value
    address = target.base + binding.value
    return _core.call_resolver(address) if binding.kind is Kind.IFUNC else address


def open_desk() -> None:
    """From now on native code gets answers."""
    _core.set_desk(Desk())
