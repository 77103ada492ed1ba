"""Calls: a bound `Prototype`. Every argument is checked and converted before the call, never during it.

ctypes (libffi) does the call itself and releases the interpreter lock around it. What ctypes would do silently is
refused here: an integer that does not fit is not cut off, a string is not taken for a number, and a read-only buffer
is not handed to a function that may write to it. Each error names the library, the function and the parameter.
"""

from __future__ import annotations

import ctypes
import math
import operator
import struct
from typing import TYPE_CHECKING, Any, Final

from latebind.errors import ClosedLibrary
from latebind.ffi.ctype import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from latebind.ffi.ctype import CType, Parameter, Prototype

_INTEGERS: Final[dict[tuple[int, bool], Any]] = {
    (1, True): ctypes.c_int8,
    (1, False): ctypes.c_uint8,
    (2, True): ctypes.c_int16,
    (2, False): ctypes.c_uint16,
    (4, True): ctypes.c_int32,
    (4, False): ctypes.c_uint32,
    (8, True): ctypes.c_int64,
    (8, False): ctypes.c_uint64,
}
_OTHERS: Final[dict[tuple[Kind, int], Any]] = {
    (Kind.BOOL, 1): ctypes.c_bool,
    (Kind.FLOATING, 4): ctypes.c_float,
    (Kind.FLOATING, 8): ctypes.c_double,
    (Kind.TEXT, 8): ctypes.c_char_p,
    (Kind.POINTER, 8): ctypes.c_void_p,
    (Kind.VOID, 0): None,
}


class NativeFunction:
    """A C function at a runtime address, with the prototype that says how to call it.

    `prototype`, `address` and `library` say what it is. Called with the wrong number of arguments or a value that
    its parameter cannot hold, it raises TypeError, OverflowError or ValueError, and nothing has been called.

    Results: integers as int, floating point as float, bool as bool, void as None, `char *` as bytes (None for
    NULL), any other pointer as an address (None for NULL).
    """

    __slots__ = ("_alive", "_call", "_converters", "address", "library", "prototype")

    def __init__(
        self,
        prototype: Prototype,
        address: int,
        library: str,
        alive: Callable[[], bool] | None,
        *,
        keep_errno: bool = False,
    ) -> None:
        if not address:
            raise ValueError(f"{library}: {prototype.name} cannot be called: its address is 0")
        self.prototype = prototype
        self.address = address
        self.library = library
        self._alive = alive
        self._converters = tuple(CONVERTERS[parameter.type.kind] for parameter in prototype.parameters)
        passed = (passed_as(parameter.type) for parameter in prototype.parameters)
        self._call = ctypes.CFUNCTYPE(returned_as(prototype.result), *passed, use_errno=keep_errno)(address)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. Arguments are positional, as in C."""
        parameters = self.prototype.parameters
        if len(arguments) != len(parameters):
            plural = "" if len(parameters) == 1 else "s"
            raise TypeError(
                f"{self.library}: {self.prototype} takes {len(parameters)} argument{plural}, not {len(arguments)}"
            )
        if self._alive is not None and not self._alive():
            raise ClosedLibrary(self.library)
        converted = []
        for convert, parameter, value in zip(self._converters, parameters, arguments, strict=True):
            try:
                converted.append(convert(parameter.type, value))
            except (TypeError, OverflowError, ValueError) as error:
                place = self._place(parameter, len(converted) + 1)
                raise type(error)(f"{place}: {error}") from None
        return self._call(*converted)

    def _place(self, parameter: Parameter, position: int) -> str:
        name = f"{position} ({parameter})"
        return f"{self.library}: {self.prototype.name}, parameter {name}"

    def __repr__(self) -> str:
        return f"<{self.prototype} in {self.library} at {self.address:#x}>"


def returned_as(result: CType) -> Any:
    """The ctypes type that a result of this type comes as."""
    if result.kind is Kind.INTEGER:
        return _INTEGERS[result.size, result.signed]
    return _OTHERS[result.kind, result.size]


def passed_as(parameter: CType) -> Any:
    """The ctypes type that an argument of this type travels as."""
    # An address, a bytes object and a ctypes array can all be passed as void *; as char * only bytes could.
    return ctypes.c_void_p if parameter.kind is Kind.TEXT else returned_as(parameter)


def _integer(wanted: CType, value: object) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what has no __index__ raises TypeError
    except TypeError:
        raise TypeError(f"expected an integer, not {_shown(value)}") from None
    bits = wanted.size * 8
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if wanted.signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise OverflowError(f"{number} does not fit: {wanted} holds {low} to {high}")
    return number


def _boolean(_wanted: CType, value: object) -> bool:
    if isinstance(value, int) and value in {0, 1}:  # True and False too; 0 and 1 are what C programs write
        return bool(value)
    raise TypeError(f"expected True or False, not {_shown(value)}")


def _floating(wanted: CType, value: object) -> float:
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):  # float() would also parse a str
        raise TypeError(f"expected a number, not {_shown(value)}")
    number = float(value)  # type: ignore[arg-type]  # it has __float__ or __index__
    if wanted.size == 4 and math.isfinite(number):
        try:
            struct.pack("<f", number)
        except OverflowError:
            raise OverflowError(f"{number!r} does not fit: float ends at 3.4028235e+38") from None
    return number


def _text(wanted: CType, value: object) -> object:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a str with a NUL character would be cut off there; pass bytes if that is meant")
        return value.encode()
    if isinstance(value, bytes):  # also for `char *`: many C interfaces write it and mean `const char *`
        return value
    return _pointer(wanted, value, expected="bytes, str, an address, None or a buffer")


def _pointer(wanted: CType, value: object, expected: str = "an address, None or a buffer") -> object:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 1 << 64:
            raise OverflowError(f"{value} is not an address")
        return value
    address = getattr(value, "address", None)  # a NativeFunction or a Callback
    if isinstance(address, int):
        return address
    if callable(value):
        raise TypeError("a Python function has no C type; make a Callback of it with `Prototype.callback`")
    try:
        view = memoryview(value)  # type: ignore[arg-type]  # what is no buffer raises TypeError
    except TypeError:
        raise TypeError(f"expected {expected}, not {_shown(value)}") from None
    return _buffer(wanted, value, view)


def _buffer(wanted: CType, value: object, view: memoryview) -> object:
    """What ctypes passes as the address of the buffer's first byte, for as long as the call lasts."""
    if not view.c_contiguous:
        raise ValueError("the buffer is not contiguous")
    if not view.readonly:
        return (ctypes.c_char * view.nbytes).from_buffer(view)
    if not wanted.const:
        raise TypeError(f"the function may write through {wanted}; pass a writable buffer such as bytearray")
    return value if isinstance(value, bytes) else view.tobytes()


def _shown(value: object) -> str:
    """`value` as an error message shows it: its type, and itself where that is short."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 40 else type(value).__name__


CONVERTERS: Final[dict[Kind, Callable[[CType, object], object]]] = {  # value → what ctypes takes; raises if it cannot
    Kind.BOOL: _boolean,
    Kind.INTEGER: _integer,
    Kind.FLOATING: _floating,
    Kind.TEXT: _text,
    Kind.POINTER: _pointer,
}
