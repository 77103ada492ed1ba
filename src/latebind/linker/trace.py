"""Traces: which definition each reference got, and each call through one, with its time and its arguments.

A call is seen where it leaves an object that was loaded with the trace: through the PLT, the GOT or a pointer that
the linker filled. Calls inside an object, and calls made by objects that others loaded, are not seen. Arguments are
read as the function's prototype says, at the moment of the call; without a prototype only the call is recorded.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.elf.bytesource import RuntimeAddress
from latebind.ffi import Kind, Parameter, Prototype, parse_prototype, view
from latebind.ffi.program import compile_prototype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latebind.linkplan import Binding, LinkPlan

MOST_TEXT: Final = 256
"""How many bytes of a text argument are recorded at most."""
# With these a trace would show the compiler's and the linker's doing instead of the program's.
_QUIET: Final = frozenset({"__tls_get_addr", "__cxa_finalize", "__stack_chk_fail"})


@dataclass(frozen=True, slots=True)
class Bound:
    """A reference was bound: by which object, to which object's definition (None: none, or a hook), and why."""

    referrer: str
    symbol: str
    version: str | None
    definer: str | None
    why: str

    def __str__(self) -> str:
        name = f"{self.symbol}@{self.version}" if self.version else self.symbol
        return f"{self.referrer}: {name} → {self.definer or self.why}"


@dataclass(frozen=True, slots=True)
class TracedFunction:
    """What is known of a function that is traced. `definer` is the path of its object, None for a hook."""

    symbol: str
    version: str | None
    definer: str | None
    prototype: Prototype | None

    @property
    def words_on_stack(self) -> int:
        """How many eight-byte words of its arguments are passed on the stack."""
        return _program(self.prototype).used[2] if self.prototype is not None else 0


@dataclass(frozen=True, slots=True)
class Called:
    """A call. `thread` is the kernel's id, `caller` the address where it returns to.

    `time_ns` is CLOCK_MONOTONIC, as `time.monotonic_ns`. `arguments` is None where the prototype is not known. In it, a
    `const char *` is bytes (`MOST_TEXT` of them at most), any other pointer an address, and NULL is None.
    """

    function: TracedFunction
    time_ns: int
    thread: int
    caller: RuntimeAddress
    arguments: tuple[Any, ...] | None

    @property
    def symbol(self) -> str:
        """The name of the function that was called."""
        return self.function.symbol

    def __str__(self) -> str:
        if self.arguments is None or self.function.prototype is None:
            return f"{self.symbol}(…)"
        pairs = zip(self.function.prototype.parameters, self.arguments, strict=True)
        return f"{self.symbol}({', '.join(_shown(p, a) for p, a in pairs)})"


type_of_sink = list[Any] | Callable[[Any], object]


class Trace:
    """Records `Bound` and `Called` events: appends them to `sink`, or calls it with each, in the calling thread.

    `symbols` limits the calls to these names; `prototypes` are C prototypes of functions whose arguments shall be
    read. A sink must not wait for another thread that is in traced code: the calls are made where the code stands.
    """

    def __init__(
        self, sink: type_of_sink, *, symbols: Collection[str] | None = None, prototypes: Iterable[str] = ()
    ) -> None:
        self._send: Callable[[Any], object] = sink.append if isinstance(sink, list) else sink
        self._symbols = None if symbols is None else frozenset(symbols)
        self._prototypes = {p.name: p for p in map(parse_prototype, prototypes)}

    def wants(self, symbol: str) -> bool:
        """Whether calls of `symbol` are recorded."""
        return symbol not in _QUIET if self._symbols is None else symbol in self._symbols

    def bound(self, plan: LinkPlan, binding: Binding) -> None:
        """Record a binding of `plan`."""
        definer = plan.objects[binding.target].path if binding.target is not None else None
        referrer = plan.objects[binding.referrer].path
        self._send(Bound(referrer, binding.symbol, binding.version, definer, plan.why(binding)))

    def function(self, plan: LinkPlan, binding: Binding) -> TracedFunction:
        """What is known of the function that `binding` refers to."""
        definer = plan.objects[binding.target].path if binding.target is not None else None
        return TracedFunction(binding.symbol, binding.version, definer, self._prototypes.get(binding.symbol))

    def observer(
        self, functions: Sequence[TracedFunction | None]
    ) -> Callable[[int, int, int, int, bytes, bytes], object]:
        """What `_core.Stubs` calls; `functions` by stub number."""
        send = self._send

        def observe(number: int, time_ns: int, thread: int, caller: int, frame: bytes, stack: bytes) -> None:
            function = functions[number]
            if function is not None:
                prototype = function.prototype
                arguments = None if prototype is None else read_arguments(prototype, frame + stack)
                send(Called(function, time_ns, thread, RuntimeAddress(caller), arguments))

        return observe


def read_arguments(prototype: Prototype, words: bytes) -> tuple[Any, ...]:
    """The arguments of a call: `words` are the argument registers and the stack, as the core delivers them.

    The core shows the registers in the order in which a call of ours fills them, so the same program reads them.
    """
    return tuple(
        _read(parameter, slot[3], words)
        for parameter, slot in zip(prototype.parameters, _program(prototype).parameters, strict=True)
    )


_program = functools.lru_cache(maxsize=512)(compile_prototype)


def _read(parameter: Parameter, pieces: tuple[tuple[int, int, int], ...], words: bytes) -> Any:
    wanted = parameter.type
    data = bytearray(wanted.bytes)
    for word, offset, size in pieces:
        data[offset : offset + size] = words[8 * word : 8 * word + size]
    if wanted.kind not in {Kind.TEXT, Kind.POINTER}:
        value: Any = view(wanted, data)
        return value if wanted.kind is Kind.RECORD else value.value
    number = int.from_bytes(data, "little")
    if wanted.kind is Kind.TEXT and wanted.const and number:  # without const it may be a buffer yet to be filled
        return _text(number)
    return number or None


def _text(address: int) -> bytes | int:
    """Up to `MOST_TEXT` bytes of the text at `address`; the address where nothing can be read there.

    Read as a file, this process's memory gives an error where a pointer would crash (proc(5), /proc/pid/mem).
    """
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(memory, MOST_TEXT, address)
        finally:
            os.close(memory)
    except (OSError, OverflowError):
        return address
    return data.partition(b"\0")[0]


def _shown(parameter: Parameter, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"{value.decode("utf-8", "backslashreplace")}"'
    return f"{value:#x}" if parameter.type.kind in {Kind.POINTER, Kind.TEXT} else repr(value)
