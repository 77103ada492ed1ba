"""`Library`: the handle on a loaded object. It finds symbols, makes functions callable, and is closed once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from latebind import _core
from latebind.closing import Closing
from latebind.elf.symbol import STT_TLS
from latebind.errors import ClosedLibrary, UnresolvedSymbol, Unsupported
from latebind.linker.lifetime import lock, sweep_later
from latebind.linker.lookup import address_of, find_symbol
from latebind.linkplan.near import near_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latebind.elf.bytesource import RuntimeAddress
    from latebind.ffi.declaration import Declarations
    from latebind.linker.got import Slot
    from latebind.linker.lasting import Lasting
    from latebind.linker.loaded import LoadedObject
    from latebind.linker.namespace import Namespace
    from latebind.linkplan import LinkPlan, Role


class Library(Closing):
    """A handle on one loaded object and everything it needs; a context manager.

    Handles are counted: the object stays while any handle, or another object, holds it. Looking something up through
    a closed handle raises `ClosedLibrary`.
    """

    def __init__(self, plan: Callable[[], LinkPlan], closure: tuple[LoadedObject, ...], namespace: Namespace) -> None:
        self._make_plan = plan
        self.namespace = namespace
        """Where the library lives."""
        self._closure = closure
        self._open = True
        self._lifetime: _core.Lifetime | None = None
        self._callbacks: list[_core.Callback] = []
        self._addresses: dict[tuple[str, str | None], RuntimeAddress] = {}

    def __repr__(self) -> str:
        return f"<Library {self.path} ({self.role}){' closed' if self.closed else ''}>"

    @cached_property
    def plan(self) -> LinkPlan:
        """The plan that was executed. Where a kept one was, it is made anew, from the files as they are now."""
        return self._make_plan()

    @property
    def path(self) -> str:
        """The file it was loaded from."""
        return self._closure[0].path

    @property
    def role(self) -> Role:
        """Who loaded it: ``"own"`` for our linker, ``"resident"`` or ``"system"`` for the system's."""
        return self._closure[0].role

    @property
    def base(self) -> RuntimeAddress:
        """The load bias: runtime address = base + virtual address in the file."""
        return self._closure[0].base

    @property
    def handle(self) -> int:
        """What `dlopen` returns for it to native code; 0 where the system's linker loaded it."""
        image = self._closure[0].image
        return image.handle if image is not None else 0

    @property
    def closure(self) -> tuple[LoadedObject, ...]:
        """The records of the object and everything it needs, breadth-first; for the linker's own parts."""
        self._check_open()
        return self._closure

    def pin(self) -> None:
        """Never unload it, whatever is closed (RTLD_NODELETE)."""
        self._check_open()
        self.namespace.pin(self._closure[0])

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._open or (self._lifetime is not None and self._lifetime.is_over)

    def symbol(self, name: str, version: str | None = None) -> RuntimeAddress:
        """The address of `name`: in this object or, breadth-first, in what it needs (dlsym(3), dlvsym(3)).

        Without `version` the default one is taken. Raises `UnresolvedSymbol` with near misses.
        """
        self._check_open()
        known = self._addresses.get((name, version))
        if known is None:
            known = self._addresses[name, version] = self._look_up(name, version)
        return known

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedLibrary(self.path)

    def _look_up(self, name: str, version: str | None) -> RuntimeAddress:
        place = find_symbol(self._closure, name, version)
        if place is None:
            exported = [s.name for s in self._closure[0].elf.symbols if s.exported]
            raise UnresolvedSymbol(name, version, self.path, near_names(name, exported))
        if place.type == STT_TLS:
            raise Unsupported(
                name, "is thread-local: it has an address in each thread", "call a function that returns it"
            )
        return address_of(place)

    def function(
        self,
        prototype: str | Callable[..., Any],
        *,
        types: Declarations | None = None,
        quick: bool = False,
        out: Sequence[str] = (),
    ) -> _core.Function:
        """The function that the C `prototype` names and types, as a callable: ``"double cos(double)"``.

        `types` (a `latebind.ffi.Header`) explains the prototype's own names of types. A name alone means the function
        that `types` declares, or else the one that the library's debug information describes. A Python function stands
        for a prototype, too: its name and annotations are read, its body is not.

        Other Python threads run during a call, unless it is `quick`: that is for functions that neither wait nor take
        long. Pointer parameters named in `out` are left out by the caller, who gets what was stored through them
        behind the result. Calling it after `close` raises `ClosedLibrary`.

        Raises `UnresolvedSymbol` where there is no such function, `ValueError` where the prototype cannot be parsed,
        and `Unsupported` for a type that cannot be passed, or where nothing describes a name alone.
        """
        from latebind.ffi.find import find_prototype  # late: pycparser is not needed to load or to look up

        self._check_open()
        if isinstance(prototype, str) and prototype.isidentifier() and not (types and prototype in types.prototypes):
            self.symbol(prototype)  # rather no such function than nothing about it
        parsed = find_prototype(prototype, types, (o.elf for o in self._closure))
        address = self.symbol(types.symbols.get(parsed.name, parsed.name) if types is not None else parsed.name)
        return parsed.bind(address, self.path, lifetime=self.lifetime, quick=quick, out=out)

    def callback(
        self, prototype: str, function: Callable[..., Any], *, types: Declarations | None = None
    ) -> _core.Callback:
        """`function` for the library's code to call and to keep: it stays callable until the library is closed.

        A Python function that is passed to a call directly is callable for as long as that call lasts. An exception in
        it is raised by the call from Python that is under way in the same thread, or else reported by
        `sys.unraisablehook`.
        """
        from latebind.ffi import parse_prototype

        self._check_open()
        made = parse_prototype(prototype, types).callback(function, raises=True)
        self._callbacks.append(made)
        return made

    @property
    def lifetime(self) -> _core.Lifetime:
        """What tells bound functions that the library was closed."""
        self._check_open()
        if self._lifetime is None:
            self._lifetime = _core.Lifetime(ClosedLibrary, self.path)
        return self._lifetime

    def got(self) -> tuple[Slot, ...]:
        """The slots of this object's global offset table by address: what is bound, and where each points now."""
        from latebind.linker.got import read_slots

        self._check_open()
        root = self._closure[0]
        return read_slots(root.elf, root.base, self.namespace.owner_of)

    def lasting(self) -> tuple[Lasting, ...]:
        """What would stay in the process, and why, if this handle were the last one and were closed now.

        Empty where everything would be unloaded. Threads that run in the library count, though its destructors may end
        them. `will_last` (latebind.linker.lasting) asks the same of a plan.
        """
        from latebind.linker.lasting import lasts

        self._check_open()
        return lasts(self._closure, self.namespace.members)

    def close(self) -> None:
        """Give the handle back; the last one runs the destructors and unmaps. Closing twice does nothing.

        From now on calls are refused. Where calls of this handle's functions are under way, in other threads or because
        a callback closes the library, it stays until the last of them has returned.
        """
        if self._lifetime is None or self._lifetime.end(self._release):
            self._release()

    def _release(self) -> None:
        with lock:
            if not self._open:
                return
            # One step, with no call in it: control-C comes before or after, and then the sweep is still made.
            self._open, self._closure[0].opened = False, self._closure[0].opened - 1
            try:
                self._addresses.clear()
            finally:
                sweep_later(self.namespace)
