"""`Library`: the handle on a loaded object. It finds symbols, makes functions callable, and is closed once."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from latebind import _core
from latebind.closing import Closing
from latebind.elf.symbol import STT_TLS
from latebind.errors import ClosedLibrary, UnresolvedSymbol, Unsupported
from latebind.linker.lifetime import lock, sweep_later
from latebind.linker.lookup import Place, address_of
from latebind.linkplan.near import near_names
from latebind.linkplan.table import symbol_table

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
        self._lookup: _core.Lookup | None = None  # from the first question to the close

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
        lookup = self._lookup
        if lookup is None:
            lookup = self._begin_lookup()
        found = lookup.find(name, version)
        while found is None:
            if len(lookup) == len(self._closure):
                root = self._closure[0]
                raise UnresolvedSymbol(name, version, root.path, partial(_near, root, name))
            self._look_into_next(lookup)
            found = lookup.find(name, version)
        return self._address_of(name, *found) if isinstance(found, tuple) else found

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedLibrary(self.path)

    def _begin_lookup(self) -> _core.Lookup:
        self._check_open()
        lookup = _core.Lookup()
        self._look_into_next(lookup)
        self._lookup = lookup
        return lookup

    def _look_into_next(self, lookup: _core.Lookup) -> None:
        """The rest of the closure comes when what it begins with does not define a name: files are read for it."""
        owner = self._closure[len(lookup)]
        lookup.add(symbol_table(owner.elf), owner.base)

    def _address_of(self, name: str, number: int, value: int, type_: int, section: int) -> RuntimeAddress:
        if type_ == STT_TLS:
            raise Unsupported(
                name, "is thread-local: it has an address in each thread", "call a function that returns it"
            )
        return address_of(Place(self._closure[number], value, type_, section))

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
        self._lookup = None
        if self._lifetime is None or self._lifetime.end(self._release):
            self._release()

    def _release(self) -> None:
        with lock:
            if not self._open:
                return
            # One step, with no call in it: control-C comes before or after, and then the sweep is still made.
            self._open, self._closure[0].opened = False, self._closure[0].opened - 1
            sweep_later(self.namespace)


def _near(root: LoadedObject, name: str) -> tuple[str, ...]:
    """What somebody may have meant who asked `root` for `name`: another version of it, or another name."""
    exported = [s for s in root.elf.symbols if s.exported]
    versions = sorted({f"{name}@{s.version}" for s in exported if s.name == name and s.version})
    return tuple(versions) or near_names(name, [s.name for s in exported])
