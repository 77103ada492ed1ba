"""Hooks, wraps and traces: what stands between the references of one load and their definitions.

    hooks    a name      → a replacement; the definition is not asked
    wrap     a name      → a Python function that gets the original as its first argument
    trace    everything  → the original, after the call was reported (trace.py)

All three edit the plan's bindings, so that they hold for every kind of reference: through the PLT, the GOT, or a
pointer in initialised data. Python code is reached through stubs of the core, whose way can be changed: when the
interpreter ends, they lead to the originals, because native destructors may run after it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from latebind import _core
from latebind.elf.mapping import keep
from latebind.errors import SystemFailure, UnresolvedSymbol, Unsupported
from latebind.linkplan import Definition, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.ffi import Prototype
    from latebind.linker.loaded import LoadedObject
    from latebind.linker.trace import Trace, TracedFunction
    from latebind.linkplan import LinkPlan, PreparedPlan

type_of_hook = int | tuple[str, Callable[..., Any]] | Any
"""An address, (C prototype, Python function), or what has an address: a bound function, a ctypes function."""
type_of_wrap = tuple[str, Callable[..., Any]]

_CALLABLE = (Kind.FUNCTION, Kind.IFUNC, Kind.SERVICE)


@dataclass(eq=False, slots=True)
class _Slot:
    """One stub's job: the definition it stands before, and what it leads to instead (None: only observe the calls)."""

    original: Definition | None
    replacement: int | None
    is_python: bool = False
    observed: TracedFunction | None = None
    address_of_original: int = 0
    """Known once the plan was executed."""

    @property
    def target(self) -> int:
        """Where a call goes."""
        return self.replacement if self.replacement is not None else self.address_of_original

    @property
    def last_target(self) -> int:
        """Where it goes when there is no interpreter any more; 0: nowhere, which ends the process with a message."""
        return self.address_of_original or (0 if self.is_python else self.target)


class _Original:
    """The wrapped function, for the wrapper: known only after the plan was executed."""

    def __init__(self, prototype: Prototype, library: str) -> None:
        self._prototype = prototype.with_address_result()
        self._library = library
        self.function: Callable[..., Any] | None = None

    def set(self, address: int) -> None:
        self.function = self._prototype.bind(address, self._library)


class Interposition:
    """The hooks of one load: `addresses` for the plan's hook numbers, and what they keep alive."""

    def __init__(self) -> None:
        self.addresses: dict[str | Definition, int] = {}
        self.callbacks: list[_core.Callback] = []
        self.slots: list[_Slot] = []
        self.originals: list[tuple[_Slot, _Original]] = []
        self.trace: Trace | None = None
        self._objects: set[int] = set()
        self._made: list[_core.Stubs] = []

    def place(self, keys: Mapping[str | Definition, _Slot]) -> None:
        """Make the stubs, one for each slot, and note which hook leads through which."""
        self.slots = list(keys.values())
        if not self.slots:
            return
        observed = [slot.observed for slot in self.slots]
        observer = self.trace.observer(observed) if self.trace is not None else None
        try:
            stubs = keep(self._made, _core.Stubs, len(self.slots), observer)
        except _core.ExecuteError as e:
            raise SystemFailure(e.detail, e.errno, "stubs for hooks") from e
        for number, key in enumerate(keys):
            self.addresses[key] = stubs.address(number)

    @property
    def _stubs(self) -> _core.Stubs | None:
        return self._made[0] if self._made else None

    def attach(self, plan: PreparedPlan, loaded: Mapping[int, LoadedObject]) -> None:
        """The plan was executed: let the stubs lead where they should, before any constructor runs."""
        if self._stubs is None and not self.callbacks:
            return
        for slot in self.slots:
            if slot.original is not None:
                slot.address_of_original = _address(slot.original, loaded)
        for slot, original in self.originals:
            original.set(slot.address_of_original)
        self.arm()
        for index, item in enumerate(plan.objects):
            if item.is_new:
                loaded[index].interposition = self  # first, so that its release is never forgotten
                self._objects.add(id(loaded[index]))
        _live.add(self)

    def arm(self) -> None:
        """Let each stub lead to its target, through the observer where it has one."""
        for number, slot in enumerate(self.slots):
            if self._stubs is None:
                raise AssertionError("there are slots, and no stubs")
            if slot.observed is not None:
                self._stubs.observe(number, slot.target, slot.observed.words_on_stack)
            else:
                self._stubs.point(number, slot.target)

    def disarm(self) -> None:
        """Let each stub lead to its original, where it has one, past all Python code."""
        for number, slot in enumerate(self.slots):
            if self._stubs is not None:
                self._stubs.point(number, slot.last_target)

    def release(self, gone: LoadedObject) -> None:
        """One of the objects that were loaded with it is gone; with the last one, the stubs go."""
        self._objects.discard(id(gone))
        if not self._objects:
            self.discard()

    def abandon(self) -> None:
        """The load failed. Where it had come to constructors, the objects stay, and so do the hooks."""
        if not self._objects:
            self.discard()

    def discard(self) -> None:
        """Unmap the stubs and let the callbacks go. Nothing may refer to them any more."""
        _live.discard(self)
        if self._stubs is not None:
            self._stubs.close()
        self._made.clear()
        self.callbacks.clear()
        self.slots.clear()


_live: WeakSet[Interposition] = WeakSet()


@atexit.register
def _disarm_all() -> None:
    for each in list(_live):
        each.disarm()


def _address(definition: Definition, loaded: Mapping[int, LoadedObject]) -> int:
    if definition.kind is Kind.SERVICE:
        return _core.service_address(definition.value)
    address = loaded[definition.target].base + definition.value
    return _core.call_resolver(address) if definition.kind is Kind.IFUNC else address


def interpose(
    plan: LinkPlan,
    hooks: Mapping[str, type_of_hook],
    wrap: Mapping[str, type_of_wrap],
    trace: Trace | None,
    made: Interposition,
) -> LinkPlan:
    """`plan` with its references bound to hooks as asked for; the hooks are `made`, the caller's to abandon.

    Raises TypeError for what is no hook, ValueError for a broken prototype or a name that is hooked and wrapped, and
    `UnresolvedSymbol` where a wrapped name has no definition.
    """
    made.trace = trace
    if not hooks and not wrap and trace is None:
        return plan
    both = hooks.keys() & wrap.keys()
    if both:
        raise ValueError(f"{min(both)} is hooked and wrapped: a hook does not ask the original, so wrap is enough")
    bare = plan
    slots: dict[str | Definition, _Slot] = {}
    for name, hook in hooks.items():
        slot = _hook(name, hook, bare, made)
        if slot is not None:
            slots[name] = slot
    for name, wrapping in wrap.items():
        slots |= _wrap(name, wrapping, bare, made)
    plan = bare.with_hooks(tuple(dict.fromkeys((*bare.hooks, *hooks))))
    if trace is not None:
        _trace(plan, trace, slots, made)
    made.place(slots)
    return plan.with_redirects([key for key in slots if isinstance(key, Definition)])


def _definitions(plan: LinkPlan, name: str) -> Iterator[Definition]:
    """What the references to `name` are bound to, each once; more than one where versions or scopes differ."""
    seen = set()
    for binding in plan.bindings:
        found = binding.definition
        if binding.symbol == name and found is not None and found not in seen:
            seen.add(found)
            yield found


def _hook(name: str, hook: type_of_hook, plan: LinkPlan, made: Interposition) -> _Slot | None:
    """The slot of one hook; None for a plain address, which needs no stub."""
    if isinstance(hook, tuple):
        callback = _callback(name, hook)
        made.callbacks.append(callback)
        return _Slot(
            next((d for d in _definitions(plan, name) if d.kind in _CALLABLE), None), callback.address, is_python=True
        )
    made.addresses[name] = _address_of(name, hook)
    return None


def _address_of(name: str, hook: type_of_hook) -> int:
    address = hook if isinstance(hook, int) else getattr(hook, "address", None)
    if address is None:
        import ctypes  # late: most hooks are addresses
        from _ctypes import CFuncPtr  # the base of every ctypes function, which ctypes itself does not export

        if isinstance(hook, CFuncPtr | ctypes.c_void_p):
            address = ctypes.cast(hook, ctypes.c_void_p).value
    if callable(hook) and address is None:
        raise TypeError(f"hook for {name}: a Python function needs a C prototype; give (prototype, function)")
    if not isinstance(address, int) or not 0 < address < 1 << 64:
        raise TypeError(f"hook for {name}: {hook!r} is no address and has none")
    return address


def _callback(name: str, given: tuple[Any, ...]) -> _core.Callback:
    from latebind.ffi import parse_prototype

    if len(given) != 2 or not callable(given[1]):
        raise TypeError(f"hook for {name}: expected (prototype, function), not {given!r}")
    prototype = parse_prototype(given[0])
    if prototype.name != name:
        raise ValueError(f"the prototype {given[0]!r} declares {prototype.name}, but the hook is for {name}")
    return prototype.callback(given[1])


def _wrap(name: str, wrapping: type_of_wrap, plan: LinkPlan, made: Interposition) -> dict[str | Definition, _Slot]:
    """A slot for each definition of `name`: where there are several versions, each wrapper gets its own original."""
    found: dict[str | Definition, _Slot] = {}
    for definition in _definitions(plan, name):
        if definition.kind not in _CALLABLE:
            raise Unsupported(name, f"is no function but {definition.kind.name.lower()}, and cannot be wrapped")
        given, function = wrapping
        path = plan.objects[definition.target].path
        callback, original = _wrapper(name, given, function, path)
        found[definition] = slot = _Slot(definition, callback.address, is_python=True)
        made.callbacks.append(callback)
        made.originals.append((slot, original))
    if not found:
        undefined = [b for b in plan.bindings if b.symbol == name]
        raise UnresolvedSymbol(name, undefined[0].version if undefined else None, f"wrap for {plan.root.path}")
    return found


def _wrapper(name: str, given: str, function: Callable[..., Any], path: str) -> tuple[_core.Callback, _Original]:
    def call(*arguments: Any) -> Any:
        return function(original.function, *arguments)

    callback = _callback(name, (given, call))
    original = _Original(callback.prototype, path)
    return callback, original


def _trace(plan: LinkPlan, trace: Trace, slots: dict[str | Definition, _Slot], made: Interposition) -> None:
    """A slot before every function that the plan's objects call and the trace wants, hooked ones included."""
    seen = set()
    for binding in plan.bindings:
        if (binding.referrer, binding.symbol_index) not in seen:  # once, though a call and an address may both refer
            seen.add((binding.referrer, binding.symbol_index))
            trace.bound(plan, binding)
        key = binding.symbol if binding.kind is Kind.HOOK else binding.definition
        if key is None or (binding.kind not in _CALLABLE and binding.kind is not Kind.HOOK):
            continue
        if not trace.wants(binding.symbol):
            continue
        slot = slots.get(key)
        if slot is None and isinstance(key, str):
            slot = _Slot(None, made.addresses[key])
        elif slot is None and isinstance(key, Definition):
            slot = _Slot(key, None)
        if slot is not None and slot.observed is None:
            slots[key] = slot
            slot.observed = trace.function(plan, binding)
