"""Address → Python callable. Between a name and a call stands a type: this package reads C prototypes and checks.

`parse_prototype("float cosf(float)")` says what a function takes and gives; `Prototype.bind(address, library)` makes
the function at a runtime address callable, with every argument checked before the call is made.
`Prototype.callback(function)` is the other direction: a Python function that C code can call. `Header` reads the
declarations of a whole header, and `new`, `at` and `view` give memory the types that it declares.
"""

from latebind._core import Callback, Function
from latebind.ffi.call import errno, set_errno
from latebind.ffi.ctype import CType, Kind, Parameter, Prototype
from latebind.ffi.header import Header
from latebind.ffi.prototype import parse_prototype, parse_type
from latebind.ffi.values import address_of, at, new, reader, size_of, view

__all__ = [
    "CType",
    "Callback",
    "Function",
    "Header",
    "Kind",
    "Parameter",
    "Prototype",
    "address_of",
    "at",
    "errno",
    "new",
    "parse_prototype",
    "parse_type",
    "reader",
    "set_errno",
    "size_of",
    "view",
]
