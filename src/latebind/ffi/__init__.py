"""Address → Python callable. Between a name and a call stands a type: this package reads C prototypes and checks.

`parse_prototype("float cosf(float)")` says what a function takes and gives; `Prototype.bind(address, library)` makes
the function at a runtime address callable, with every argument checked before the call is made.
`Prototype.callback(function)` is the other direction: a Python function that C code can call.
"""

from latebind.ffi.ctype import CType, Kind, Parameter, Prototype
from latebind.ffi.prototype import parse_prototype

__all__ = ["CType", "Kind", "Parameter", "Prototype", "parse_prototype"]
