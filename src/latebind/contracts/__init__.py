"""Python class → typed interface: versions, the C header, the plugin's note, and calls in both directions.

`define` reads a Protocol class into the frozen model of `model` and `types`; `header`, `layout` and `note` derive
from the model what a plugin's compiler, linker and host check; `marshal` and `native` carry values over.
"""

from latebind._core import Callback
from latebind.contracts.calls import Call, CallPool
from latebind.contracts.cxx import cxx_header
from latebind.contracts.deadline import Deadline
from latebind.contracts.define import Handle, contract, contract_of, quick
from latebind.contracts.header import declaration, header, preamble
from latebind.contracts.layout import layout_digest, signature_hash
from latebind.contracts.model import Contract, Function, Method, Parameter, symbol_prefix
from latebind.contracts.native import NativeMethod, Owner
from latebind.contracts.note import ContractNote, PluginNote, differences, read_note
from latebind.contracts.opened import Exports, Opened, missing_method
from latebind.contracts.rust import rust_module
from latebind.contracts.semver import Range, Version, compatible
from latebind.contracts.service import missing_service, service_callbacks
from latebind.contracts.types import (
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
)

__all__ = [
    "Call",
    "CallPool",
    "Callback",
    "Contract",
    "ContractNote",
    "Deadline",
    "Exports",
    "Float32",
    "Float64",
    "Function",
    "Handle",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Method",
    "NativeMethod",
    "Opened",
    "Owner",
    "Parameter",
    "PluginNote",
    "Range",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Version",
    "compatible",
    "contract",
    "contract_of",
    "cxx_header",
    "declaration",
    "differences",
    "header",
    "layout_digest",
    "missing_method",
    "missing_service",
    "preamble",
    "quick",
    "read_note",
    "rust_module",
    "service_callbacks",
    "signature_hash",
    "symbol_prefix",
]
